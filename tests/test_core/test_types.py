import math

import numpy as np
import pytest

from tensor_optix import (
    AgentState,
    EpisodeData,
    EvalMetrics,
    EvaluationResult,
    HyperparamSet,
    LoopState,
)
from tensor_optix.exceptions import InvalidArgumentError, InvalidTypeError


def window(**changes):
    data = {
        "observations": [[0.0], [1.0]],
        "actions": [0, 1],
        "rewards": [1.0, 2.0],
        "terminated": [False, True],
        "truncated": [False, False],
        "infos": [{}, {}],
        "episode_id": 3,
    }
    return EpisodeData(**{**data, **changes})


def test_loop_states_are_exactly_four():
    assert [state.name for state in LoopState] == ["ACTIVE", "COOLING", "DORMANT", "WATCHDOG"]


def test_dones_of_lists_is_a_plain_list_of_bools():
    dones = window(truncated=[True, False]).dones
    assert dones == [True, True]
    assert isinstance(dones, list)
    assert all(type(done) is bool for done in dones)


def test_dones_of_arrays_keeps_their_shape():
    flags = np.zeros((2, 3), bool)
    flags[1, 2] = True
    np.testing.assert_array_equal(window(terminated=flags, truncated=np.zeros((2, 3), bool)).dones, flags)


def test_total_reward_length_and_env_steps():
    single = window()
    assert (single.total_reward, single.length, single.env_steps) == (3.0, 2, 2)
    vector = window(rewards=np.ones((2, 5)))
    assert (vector.total_reward, vector.length, vector.env_steps) == (10.0, 2, 10)


def test_mutable_defaults_are_not_shared():
    first, second = window(), window()
    first.metadata["x"] = 1
    assert second.metadata == {}


def test_beats_is_strict():
    low, high = EvalMetrics(1.0, {}, 0), EvalMetrics(2.0, {}, 1)
    assert high.beats(low)
    assert not low.beats(low)
    assert not high.beats(low, margin=1.0)
    assert high.beats(low, margin=0.999)
    assert not EvalMetrics(math.nan, {}, 2).beats(low)
    assert not EvalMetrics(math.nan, {}, 2).is_evidence


def test_copy_of_hyperparams_is_independent():
    original = HyperparamSet({"nested": [1, 2]}, episode_id=4)
    copied = original.copy()
    copied.params["nested"].append(3)
    assert original.params == {"nested": [1, 2]}
    assert copied.episode_id == 4


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: window(episode_id=1.5),
            InvalidTypeError,
            "`episode_id` of EpisodeData must be an integer. Received: 1.5",
        ),
        (lambda: window(rewards="ab"), InvalidTypeError, "`rewards` must be a sequence of numbers.*Received: 'ab'"),
        (lambda: window(rewards=[[1.0], [1.0, 2.0]]), InvalidTypeError, "`rewards` must be a sequence of numbers"),
        (lambda: window(terminated=None), InvalidTypeError, "`terminated` must be a sequence of numbers"),
        (lambda: window(rewards=[1.0]), InvalidArgumentError, "same steps. Received, in steps: {'rewards': 1, 'term"),
        (
            lambda: EvalMetrics("1", {}, 0),
            InvalidTypeError,
            "`primary_score` of EvalMetrics must be a number. Received: '1'",
        ),
        (
            lambda: EvalMetrics(1.0, {}, 0, hyperparams={}),
            InvalidTypeError,
            "must be HyperparamSet or None. Received: {}",
        ),
        (
            lambda: HyperparamSet([1], 0),
            InvalidTypeError,
            "`params` must be a dict. Received: list .1.. Write Hyper",
        ),
        (lambda: AgentState({"a": 1.0}), InvalidTypeError, r"`arrays\['a'\]` must be a ndarray. Received: 1.0"),
        (
            lambda: AgentState({}, scope="learnr"),
            InvalidArgumentError,
            "`scope` must be one of .*Did you mean 'learner'",
        ),
        (lambda: HyperparamSet({1: 2}, 0), InvalidTypeError, "must be a dict by names. Received: {1: 2}"),
        (
            lambda: EvaluationResult(1.0, (0.0, 2.0), np.ones(2), np.ones(3), 3),
            InvalidArgumentError,
            r"one number for each episode, .*Received shapes: \(2,\) and \(3,\)",
        ),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_when_it_is_made(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_param_spec_is_found_among_the_values_too():
    from tensor_optix.core import search_space, types

    assert types.ParamSpec is search_space.ParamSpec
