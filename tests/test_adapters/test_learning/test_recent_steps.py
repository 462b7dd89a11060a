"""Recent steps: what belongs together stays together, however the stream was cut into windows."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tensor_optix.adapters.tensorflow.acting.model_inputs import ModelInputs
from tensor_optix.adapters.tensorflow.actions.discrete import DiscreteSampler
from tensor_optix.adapters.tensorflow.learning.recent_steps import RecentSteps, StepLayout
from tensor_optix.adapters.tensorflow.learning.window_steps import read_steps
from tensor_optix.core.types import EpisodeData

INPUTS = ModelInputs(("observation",), ((1,),), (np.dtype(np.float32),), lambda tensors: tensors[0])
SAMPLER = DiscreteSampler(2)
LAYOUT = StepLayout(INPUTS.shapes, INPUTS.dtypes, np.zeros((), np.int32))


def stream(ends, valid=None):
    """One long life: observations count up; after an end the count jumps, as a reset does."""
    length = len(ends)
    observations = (
        np.arange(length, dtype=np.float32)[:, None] + 100 * np.concatenate([[0], np.cumsum(ends)[:-1]])[:, None]
    )
    return EpisodeData(
        observations,
        np.zeros(length, int),
        np.arange(length, dtype=float),
        np.asarray(ends, bool),
        np.zeros(length, bool),
        [],
        0,
        next_observations=observations + 1,
        valid=valid,
    )


def part(window, rows):
    names = ("observations", "actions", "rewards", "terminated", "truncated", "next_observations")
    return EpisodeData(**{name: getattr(window, name)[rows] for name in names}, infos=[], episode_id=0)


def test_windows_that_do_not_follow_each_other_are_not_joined():
    recent = RecentSteps(10**6, LAYOUT)
    recent.append(read_steps(part(stream([0] * 9), slice(0, 3)), INPUTS, SAMPLER))
    recent.append(read_steps(part(stream([0] * 9), slice(5, 9)), INPUTS, SAMPLER))
    assert recent.all().continues[:, 0].tolist() == [1, 1, 0, 1, 1, 1, 0]


def test_as_few_windows_are_kept_as_hold_the_capacity():
    recent = RecentSteps(10, LAYOUT)
    for _ in range(7):
        recent.append(read_steps(stream([0] * 4), INPUTS, SAMPLER))
    assert len(recent) == 3
    recent.append(read_steps(stream([0] * 50), INPUTS, SAMPLER))
    assert len(recent) == 1


def test_recent_steps_come_back_from_their_state_and_go_on_alike():
    first, second = RecentSteps(9, LAYOUT), RecentSteps(9, LAYOUT)
    for length in (3, 5, 2):
        first.append(read_steps(stream([0, 1, 0, 0, 0][:length]), INPUTS, SAMPLER))
    first.fill_log_probs(np.arange(10.0)[:, None])
    second.check_state(first.state_dict())
    second.load_state_dict(first.state_dict())
    for recent in (first, second):
        recent.append(read_steps(stream([0] * 4), INPUTS, SAMPLER))
    one, other = first.state_dict(), second.state_dict()
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


def test_recorded_log_probs_are_kept():
    window = stream([0, 0, 0])
    window.action_log_probs = np.array([-1.0, np.nan, -3.0])
    recent = RecentSteps(10, LAYOUT)
    recent.append(read_steps(window, INPUTS, SAMPLER))
    recent.fill_log_probs(np.full((3, 1), -9.0))
    assert recent.all().log_probs[:, 0].tolist() == [-1.0, -9.0, -3.0]


def test_forgetting_the_newest_window_undoes_it():
    recent = RecentSteps(10**6, LAYOUT)
    recent.append(read_steps(part(stream([0] * 6), slice(0, 3)), INPUTS, SAMPLER))
    before = recent.state_dict()
    recent.append(read_steps(part(stream([0] * 6), slice(3, 6)), INPUTS, SAMPLER))
    assert recent.all().continues[2, 0]
    recent.forget_newest()
    for name, array in recent.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.booleans(), min_size=2, max_size=20), st.data())
def test_cutting_a_stream_into_windows_changes_nothing(ends, data):
    whole = read_steps(stream(ends), INPUTS, SAMPLER)
    cut = data.draw(st.integers(1, len(ends) - 1))
    recent = RecentSteps(10**6, LAYOUT)
    for rows in (slice(0, cut), slice(cut, None)):
        recent.append(read_steps(part(stream(ends), rows), INPUTS, SAMPLER))
    joined = recent.all()
    np.testing.assert_array_equal(joined.continues, whole.continues)
    values = whole.observations[0][..., 0]
    for steps in (joined, whole):
        after = steps.next_values(values, steps.successors[0][:, 0])
        np.testing.assert_array_equal(after, values + 1)
