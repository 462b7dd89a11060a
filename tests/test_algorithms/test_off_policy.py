"""Which gradient steps env steps bring, and what an off-policy learner goes on from."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tensor_optix.algorithms.off_policy import ReplayLearner
from tensor_optix.algorithms.replay.replay_buffer import ReplayBuffer
from tensor_optix.core.types import EpisodeData
from tensor_optix.exceptions import CheckpointError, StateMismatchError


def make_learner(seed=0):
    buffer = ReplayBuffer(50, np.zeros(2, np.float32), np.int64(0), np.random.default_rng(1))
    return ReplayLearner(np.random.default_rng(seed), buffer)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=12), st.integers(0, 60), st.integers(1, 7), st.integers(0, 3))
def test_gradient_steps_come_with_env_steps_however_windows_are_cut(windows, starts, frequency, steps):
    learner = make_learner()
    due = sum(learner.advance(num_steps, starts, frequency, steps) for num_steps in windows)
    assert due == max(0, sum(windows) - starts) // frequency * steps
    assert learner.env_steps == learner.exploration_steps == sum(windows)


def test_what_is_left_over_is_part_of_the_state():
    first, second = make_learner(3), make_learner(4)
    first.advance(7, 0, 5, 1)
    arrays, meta = first.state_dict()
    second.check_state(arrays, meta)
    second.load_state_dict(arrays, meta)
    assert first.advance(3, 0, 5, 1) == second.advance(3, 0, 5, 1) == 1
    assert first.rng.random() == second.rng.random()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"progress": {"env_steps": 1}}, StateMismatchError, "`exploration_steps` is None"),
        ({"progress": None}, StateMismatchError, "`env_steps` is None"),
        ({"progress": [1, 2]}, CheckpointError, "where a .* was expected"),
    ],
)
def test_a_state_that_cannot_be_is_refused(change, error, message):
    learner = make_learner()
    arrays, meta = learner.state_dict()
    with pytest.raises(error, match=message):
        learner.check_state(arrays, {**meta, **change})


def test_a_count_below_zero_is_refused():
    learner = make_learner()
    arrays, meta = learner.state_dict()
    with pytest.raises(StateMismatchError, match="`env_steps` is -1"):
        learner.check_state(arrays, {**meta, "progress": {**meta["progress"], "env_steps": -1}})


def test_a_changed_world_empties_the_replay():
    learner = make_learner()
    seen, zeros = np.zeros((5, 2), np.float32), np.zeros(5)
    learner._replay.add(EpisodeData(seen, zeros.astype(int), zeros, zeros, zeros, [], 0, next_observations=seen))
    assert len(learner._replay) == 5
    learner.on_world_change()
    assert len(learner._replay) == 0
