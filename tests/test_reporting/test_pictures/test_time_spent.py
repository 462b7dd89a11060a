"""Where the time went, and how fast a run was."""

import pytest
from written_runs import write_run

from tensor_optix.core.storage.logbook_file import append_entry
from tensor_optix.reporting.pictures.time_spent import REST, seconds_by_use, steps_per_second, time_spent
from tensor_optix.reporting.run import Run


def test_what_is_not_timed_is_the_loop_itself(tmp_path):
    spent = seconds_by_use(Run.load(write_run(tmp_path, [1.0] * 10)))
    assert spent["learning"] == pytest.approx(5.0)
    assert spent["acting and stepping"] == pytest.approx(2.0)
    assert spent[REST] == pytest.approx(10.0 - 5.0 - 2.0 - 1.0)


def test_calls_of_run_are_added_up(tmp_path):
    path = write_run(tmp_path, [1.0] * 10)
    when = {"windows": 10, "env_steps": 1000, "seconds": 10.0}
    append_entry(path, {"kind": "began", **when})
    append_entry(path, {"kind": "ended", **when, "seconds": 13.0, "spent": {"learning": 2.0, "greedy episodes": 1.0}})
    spent = seconds_by_use(Run.load(path))
    assert spent["learning"] == pytest.approx(7.0)
    assert sum(spent.values()) == pytest.approx(13.0)


def test_the_speed_is_steps_of_training_in_a_second(tmp_path):
    seconds, speeds = steps_per_second(Run.load(write_run(tmp_path, [1.0] * 10)))
    assert seconds[-1] == 10.0
    assert speeds == pytest.approx([100.0] * len(speeds))


def test_a_run_without_a_logbook_has_no_times(tmp_path):
    run = Run.load(write_run(tmp_path, [1.0], has_logbook=False))
    assert seconds_by_use(run) == {}
    assert time_spent(run) is None


def test_the_picture_tells_the_numbers_in_words_too(tmp_path):
    picture = time_spent(Run.load(write_run(tmp_path, [1.0] * 10)))
    assert "learning 5.0 s" in picture.text
    assert picture.narrow[:4] == b"\x89PNG"
