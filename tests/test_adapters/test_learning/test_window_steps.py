"""Windows become time-major steps: against two environments and five steps written out by hand."""

import numpy as np
import pytest

from tensor_optix.adapters.tensorflow.acting.model_inputs import ModelInputs
from tensor_optix.adapters.tensorflow.actions.discrete import DiscreteSampler
from tensor_optix.adapters.tensorflow.learning.window_steps import (
    flat_leaves,
    flat_parts,
    nested_like,
    own_choices,
    read_raw_steps,
    read_steps,
)
from tensor_optix.core.types import EpisodeData
from tensor_optix.exceptions import NonFiniteError

INPUTS = ModelInputs(("observation",), ((1,),), (np.dtype(np.float32),), lambda tensors: tensors[0])
SAMPLER = DiscreteSampler(2)
F, T = False, True


def window(**changes):
    """Env 0 terminates at step 1 and resets at step 2; env 1 is truncated at step 3, and step 4 is its reset."""
    seen = np.array([[0, 10], [1, 11], [2, 12], [5, 13], [6, 14]], np.float32)[..., None]
    after = np.array([[1, 11], [2, 12], [5, 13], [6, 14], [7, 20]], np.float32)[..., None]
    told = {
        "observations": seen,
        "actions": np.array([[0, 1], [1, 1], [0, 0], [0, 1], [1, 0]]),
        "rewards": np.array([[1, 2], [3, 4], [9, 6], [7, 8], [5, 9]], np.float64),
        "terminated": np.array([[F, F], [T, F], [F, F], [F, F], [F, F]]),
        "truncated": np.array([[F, F], [F, F], [F, F], [F, T], [F, F]]),
        "valid": np.array([[T, T], [T, T], [F, T], [T, T], [T, F]]),
        "next_observations": after,
    }
    return EpisodeData(**{**told, **changes}, infos=[], episode_id=3)


def test_steps_of_an_on_policy_learner_by_hand():
    steps = read_steps(window(), INPUTS, SAMPLER)
    assert steps.continues.tolist() == [[T, T], [F, T], [T, T], [T, F], [F, F]]
    assert (steps.cut == ~steps.continues).all()
    assert steps.rewards.tolist() == [[1, 2], [3, 4], [0, 6], [7, 8], [5, 0]]
    assert steps.successors[0][:, 0].tolist() == [2, 14, 7, 20]
    values = steps.observations[0][..., 0]
    assert steps.next_values(values, steps.successors[0][:, 0])[:2].tolist() == [[1, 11], [2, 12]]
    assert [part.shape for part in steps.valid_observations()] == [(8, 1)]
    assert np.isnan(steps.log_probs).all()


def test_steps_of_a_replay_by_hand():
    steps = read_raw_steps(window(), np.zeros(1, np.float32))
    assert steps.follows.tolist() == [[T, T], [F, T], [F, T], [T, F]]
    assert steps.is_step.tolist() == steps.valid.tolist()
    assert steps.needs_end.tolist() == [[F, F], [F, F], [F, F], [F, T], [T, F]]
    assert steps.rewards.dtype == np.float32


def test_a_step_whose_end_is_not_told_is_none():
    steps = read_raw_steps(window(next_observations=None), np.zeros(1, np.float32))
    assert steps.is_step.tolist() == [[T, T], [T, T], [F, T], [T, F], [F, F]]
    assert not steps.needs_end.any()
    assert steps.successors == []


def test_a_single_environment_is_one_of_one():
    single = {name: getattr(window(), name)[:, 0] for name in ("observations", "actions", "rewards", "terminated")}
    single |= {"truncated": window().truncated[:, 0], "valid": None, "next_observations": None}
    recorded = np.array([-1.0, np.nan, -3.0, -4.0, -5.0])
    steps = read_steps(window(**single, action_log_probs=recorded), INPUTS, SAMPLER)
    assert steps.rewards.shape == (5, 1)
    np.testing.assert_array_equal(steps.log_probs[:, 0], recorded.astype(np.float32))
    assert steps.successors[0][:, 0].tolist() == [1, 6], "without a successor, what was seen last"


@pytest.mark.parametrize(("what", "name"), [("observations", "observation"), ("rewards", "reward")])
def test_what_is_not_finite_is_named_with_its_place(what, name):
    spoilt = np.array(getattr(window(), what))
    spoilt[3, 1] = np.inf
    expected = f"Window 3 holds 1 steps whose {name} is NaN or infinite, the first at step 3 of environment 1"
    with pytest.raises(NonFiniteError, match=expected):
        read_steps(window(**{what: spoilt}), INPUTS, SAMPLER)
    with pytest.raises(NonFiniteError, match=expected):
        read_raw_steps(window(**{what: spoilt}), np.zeros(1, np.float32))


def test_what_stands_where_nothing_is_learned_from_may_be_anything():
    spoilt = window().rewards
    spoilt[2, 0] = np.nan
    assert read_steps(window(rewards=spoilt), INPUTS, SAMPLER).rewards[2, 0] == 0.0
    after = window().next_observations
    after[0, 0] = np.nan
    read_steps(window(next_observations=after), INPUTS, SAMPLER)


def test_parts_have_a_row_for_each_step():
    assert flat_parts(window(), INPUTS)[0][:, 0].tolist() == [0, 10, 1, 11, 2, 12, 5, 13, 6, 14]
    assert flat_parts(window(), INPUTS, after=True)[0][:3, 0].tolist() == [1, 11, 2]


def test_what_is_taken_apart_is_put_together():
    example = {"a": 0, "b": (0, {"c": 0})}
    leaves = list(flat_leaves(example, {"b": (2, {"c": 3}), "a": 1}))
    assert leaves == [1, 2, 3]
    assert nested_like(example, leaves) == {"a": 1, "b": (2, {"c": 3})}


OTHERS = np.array([[F, F], [T, F], [F, F], [F, T], [F, F]])


def test_a_step_that_others_chose_is_left_out_and_what_comes_before_bootstraps():
    told = own_choices(window(action_log_probs=np.where(OTHERS, np.nan, -1.0)))
    assert told.valid.tolist() == [[T, T], [F, T], [F, T], [T, F], [T, F]]
    steps = read_steps(told, INPUTS, SAMPLER)
    assert steps.continues[:, 0].tolist() == [F, F, T, T, F]
    assert steps.successors[0][:, 0].tolist() == [1, 2, 13, 14, 7, 20]
    plain = window(action_log_probs=np.full((5, 2), -1.0))
    assert own_choices(plain) is plain
    assert own_choices(window()).action_log_probs is None
    assert own_choices(window(valid=None, action_log_probs=np.where(OTHERS, np.nan, -1.0))).valid.tolist() == (
        (~OTHERS).tolist()
    )


def test_a_policy_none_of_whose_choices_were_done_says_so(caplog):
    assert not own_choices(window(action_log_probs=np.full((5, 2), np.nan))).valid.any()
    assert "No action of window 3 was chosen by the agent's policy" in caplog.text


def test_nothing_goes_on_into_a_step_that_others_chose():
    steps = read_raw_steps(window(action_log_probs=np.where(OTHERS, np.nan, -1.0)), np.zeros(1, np.float32))
    assert steps.is_step.tolist() == window().valid.tolist()
    assert steps.follows.tolist() == [[F, T], [F, T], [F, F], [T, F]]
    assert steps.needs_end.tolist() == [[T, F], [F, F], [F, T], [F, T], [T, F]]
