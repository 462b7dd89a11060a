"""Saved states that someone changed and sealed again: refused before the first step, or gone on with to the end."""

import shutil

import pytest
from resume_fakes import LinearAgent, interrupted, make_run

from tensor_optix.core.loop import run_checkpoint
from tensor_optix.core.storage.json_files import read_sealed_json, write_sealed_json
from tensor_optix.core.storage.state_files import read_agent_state, write_agent_state
from tensor_optix.exceptions import TensorOptixError

NAN = {"$float": "nan"}


class Counting(LinearAgent):
    steps = 0

    def act(self, observation):
        Counting.steps += 1
        return super().act(observation)


@pytest.fixture(scope="module", params=["backoff", "pbt"])
def cut(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    patch = pytest.MonkeyPatch()
    patch.setattr(run_checkpoint.RunCheckpoint, "save_if_due", run_checkpoint.RunCheckpoint.save)
    interrupted(make_run(folder, tuner=request.param, stop_at=31))
    patch.undo()
    return request.param, folder


@pytest.fixture
def slots(cut, tmp_path):
    shutil.copytree(cut[1], tmp_path, dirs_exist_ok=True)
    return [path.parent for path in (tmp_path / "run-0001" / "checkpoint").glob("?/loop.json")]


def changed(slots, path, value):
    """Put a value into the loop of every slot, and seal it; a path may end with ``#``: one more element."""
    for slot in slots:
        sealed = read_sealed_json(slot / "loop.json")
        node = sealed["loop"]
        *way, last = path
        for key in way:
            node = node[key]
        if last == "#":
            node.append(value)
        elif value is KeyError:
            del node[last]
        else:
            node[last] = value
        write_sealed_json(slot / "loop.json", sealed)


def assert_refused(tmp_path, tuner):
    Counting.steps = 0
    with pytest.raises(TensorOptixError) as refused:
        make_run(tmp_path, tuner=tuner, agent=Counting(init_seed=1), max_env_steps=4000).run(resume=True)
    assert Counting.steps == 0
    return str(refused.value)


def of(part, *path):
    return ("parts", part, "state", *path)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("own",), NAN),
        (("own",), []),
        (("own", "seed"), -1),
        (("own", "seed"), KeyError),
        (("own", "windows"), "many"),
        (("own", "budget"), [1]),
        (("nan",), 5),
        (of("judge", "fresh"), [[[1.0], 1]]),
        (of("judge", "fresh"), [[1.0, "a"]]),
        (of("judge", "fresh"), [[1.0]]),
        (of("judge", "look"), [["/etc/passwd", 1]]),
        (of("judge", "recent", "#"), [1]),
        (of("judge", "recent", "#"), NAN),
        (of("judge", "standing", "level"), [1]),
        (of("judge", "standing", "level"), NAN),
        (of("judge", "standing", "metrics", "primary_score"), NAN),
        (of("judge", "drop", "sums"), [0.0]),
        (of("judge", "plateau", "bins", "means", 0), NAN),
        (of("judge", "plateau", "bins", "origin"), NAN),
        (of("judge", "plateau", "bins", "last"), "a"),
        (of("arena", "num_sets"), 1e300),
        (of("arena", "num_sets"), 0.5),
    ],
)
def test_the_loop_s_own_numbers(slots, tmp_path, cut, path, value):
    changed(slots, path, value)
    assert_refused(tmp_path, cut[0])


def test_points_of_other_lengths(slots, tmp_path, cut):
    if cut[0] != "pbt":
        pytest.skip("has no points")
    changed(slots, of("optimizer", "past", 0, "point"), [0.5, 0.5])
    assert "points of 1 numbers" in assert_refused(tmp_path, "pbt")


def test_a_centre_outside_the_bounds_is_brought_inside(slots, tmp_path, cut):
    """As where a run is resumed with narrower bounds."""
    if cut[0] != "backoff":
        pytest.skip("has no centre")
    changed(slots, of("optimizer", "point", "coordinates", "learning_rate", "centre"), 2**62)
    result = make_run(tmp_path, agent=Counting(init_seed=1)).run(resume=True)
    assert result.reason == "budget"


def test_a_champion_that_the_agent_cannot_hold(slots, tmp_path, cut):
    for slot in slots:
        state = read_agent_state(slot / "champion")
        del state.meta["rng"]
        write_agent_state(slot / "champion", state)
    assert "set_state could not take a state" in assert_refused(tmp_path, cut[0])


def test_an_agent_whose_hyperparameters_lie_outside_the_bounds(slots, tmp_path, cut):
    for slot in slots:
        state = read_agent_state(slot / "agent")
        state.meta["params"]["learning_rate"] = 7.0
        write_agent_state(slot / "agent", state)
    assert "must lie inside its bounds" in assert_refused(tmp_path, cut[0])
