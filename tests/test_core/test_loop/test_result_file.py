"""The result in a run's folder: what it holds, and what is not believed of it."""

import re

import pytest
from resume_fakes import LinearAgent, make_run, resumed

from tensor_optix.core.loop.result_file import read_outcome
from tensor_optix.core.storage.json_files import read_sealed_json, write_sealed_json

RUN = "run-0001"


def test_it_is_the_result_without_its_arrays(tmp_path):
    result = make_run(tmp_path).run()
    document = read_sealed_json(tmp_path / RUN / "result.json")
    assert document["reason"] == result.reason == "budget"
    assert document["explanation"] == result.explanation
    assert document["champion"]["snapshot_id"] == result.champion.snapshot_id
    assert document["report"]["mean"] == result.confirmed_mean
    assert document["report"]["num_episodes"] == 3
    assert document["env_steps"] == dict(result.env_steps)
    assert document["windows"] == result.windows
    assert not any(isinstance(value, list) and value for name, value in document.items() if name != "notes")


def test_it_is_there_after_an_error_as_well(tmp_path):
    class Broken(LinearAgent):
        def learn(self, window):
            if window.episode_id == 9:
                raise RuntimeError("out of luck")
            return super().learn(window)

    with pytest.raises(RuntimeError, match="out of luck"):
        make_run(tmp_path, agent=Broken()).run()
    document = read_sealed_json(tmp_path / RUN / "result.json")
    assert (document["reason"], document["explanation"]) == ("error", "RuntimeError: out of luck")
    assert document["report"] is None


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"format": 1, "sha256": ""}'])
def test_what_is_no_result_is_said_and_the_run_goes_on_from_its_checkpoint(tmp_path, caplog, text):
    first = make_run(tmp_path).run()
    (tmp_path / RUN / "result.json").write_text(text)
    _, result = resumed(tmp_path)
    assert "cannot be read and is not used" in caplog.text
    assert result.history == first.history


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 99}, "is no result of this version"),
        ({"reason": "luck"}, "is no result of this version"),
        ({"windows": "many"}, "`windows` is 'many', which it cannot be"),
        ({"budget": {"max_windows": "all"}}, "a budget is .*which it cannot be"),
        ({"report": {"episodes": "../x"}}, "leads outside"),
    ],
)
def test_what_no_run_wrote_is_not_believed(tmp_path, caplog, change, message):
    make_run(tmp_path).run()
    path = tmp_path / RUN / "result.json"
    write_sealed_json(path, {**read_sealed_json(path), **change})
    assert read_outcome(tmp_path / RUN) is None
    assert re.search(message, caplog.text)


def test_nor_are_other_episodes_than_those_of_the_report(tmp_path, caplog):
    make_run(tmp_path).run()
    (path,) = (tmp_path / RUN).glob("report-*.json")
    write_sealed_json(path, {"returns": [1.0], "lengths": [1]})
    assert read_outcome(tmp_path / RUN) is None
    assert "holds other episodes than" in caplog.text
