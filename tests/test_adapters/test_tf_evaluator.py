"""The default score, against numbers worked out by hand."""

import json
import logging
import math
import subprocess
import sys

import numpy as np
import pytest

from tensor_optix.adapters.tensorflow.tf_evaluator import TFEvaluator
from tensor_optix.core.storage.plain_state import require_like
from tensor_optix.core.types import EpisodeData
from tensor_optix.exceptions import InvalidArgumentError, InvalidTypeError


def window(rewards, terminated=None, truncated=None, **extra):
    none = np.zeros(np.shape(rewards), bool)
    return EpisodeData(
        observations=rewards,
        actions=rewards,
        rewards=rewards,
        terminated=none if terminated is None else terminated,
        truncated=none if truncated is None else truncated,
        infos=[],
        episode_id=4,
        **extra,
    )


def score(*args, evaluator=None, **kwargs):
    return (evaluator or TFEvaluator()).score(window(*args, **kwargs), {}).primary_score


def test_mean_of_the_whole_returns_that_the_pipeline_tells():
    metrics = TFEvaluator().score(window([1.0, 2.0], completed_returns=np.array([10.0, 20.0, 60.0])), {})
    assert metrics.primary_score == 30.0
    assert metrics.num_episodes == 3
    assert metrics.episode_id == 4


def test_no_episode_ended_is_no_evidence():
    metrics = TFEvaluator().score(window([1.0, 2.0], completed_returns=[]), {})
    assert math.isnan(metrics.primary_score)
    assert metrics.num_episodes == 0
    assert not metrics.is_evidence
    assert math.isnan(score([1.0, 2.0]))


def test_not_told_means_the_flags_of_this_window():
    assert score([1.0, 2.0, 3.0, 4.0], [False, True, False, False]) == 3.0
    assert score([1.0, 2.0, 3.0, 4.0], [False, True, False, False], [False, False, True, False]) == 3.0
    assert score([1.0, 2.0, 3.0, 4.0], np.array([0, 0, 0, 1], bool)) == 10.0


def test_not_told_in_a_vector():
    rewards = np.array([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]])
    terminated = np.array([[False, True], [True, False], [False, True]])
    # environment 0: 1 + 2; environment 1: 10, then 20 + 30
    assert score(rewards, terminated) == pytest.approx((3 + 10 + 50) / 3)
    valid = np.array([[True, True], [True, False], [False, True]])
    assert score(rewards, terminated, valid=valid) == pytest.approx((3 + 10 + 30) / 3)


def test_metrics():
    diagnostics = {"loss": 0.5, "kl": np.float32(0.25), "note": "x", "flag": True, "list": [1], "total_reward": -1}
    metrics = TFEvaluator().score(window([1.0, 2.0, 3.0]), diagnostics).metrics
    assert metrics == {
        "loss": 0.5,
        "kl": 0.25,
        "mean_reward": 2.0,
        "total_reward": 6.0,
        "reward_std": pytest.approx(math.sqrt(2 / 3)),
    }


def test_steps_that_only_reset_count_nowhere():
    metrics = TFEvaluator().score(window([1.0, 0.0, 3.0], valid=np.array([True, False, True])), {}).metrics
    assert metrics == {"mean_reward": 2.0, "total_reward": 4.0, "reward_std": 1.0}
    weighted = TFEvaluator(reward_weight=1.0)
    assert score([1.0, 0.0, 3.0], valid=np.array([True, False, True]), evaluator=weighted) == 2.0
    nothing = np.array([False, False])
    assert math.isnan(score([0.0, 0.0], valid=nothing, evaluator=weighted))
    assert math.isnan(TFEvaluator().score(window([0.0, 0.0], valid=nothing), {}).metrics["reward_std"])


def test_the_weighted_formula():
    evaluator = TFEvaluator(reward_weight=2.0, stability_weight=1.0, length_weight=1.0, max_episode_length=8)
    expected = 0.5 * 2.5 - 0.25 * math.sqrt(1.25) + 0.25 * 4 / 8
    assert score([1.0, 2.0, 3.0, 4.0], evaluator=evaluator) == pytest.approx(expected, rel=1e-12)
    assert score([1.0, 2.0, 3.0, 4.0], evaluator=TFEvaluator(length_weight=3.0)) == 4 / 1000
    assert score([1.0, 3.0], evaluator=TFEvaluator(0.0, 1.0, None)) == -1.0
    assert TFEvaluator(1.0).score(window([1.0], completed_returns=[7.0]), {}).num_episodes is None


def test_a_function_replaces_the_score():
    evaluator = TFEvaluator(primary_score_fn=lambda data, diagnostics: data.total_reward - diagnostics["loss"])
    metrics = evaluator.score(window([1.0, 2.0]), {"loss": 0.5})
    assert metrics.primary_score == 2.5
    assert metrics.num_episodes is None


# tasks that never end


def test_a_task_that_never_ends_is_scored_by_its_step_reward(caplog):
    evaluator = TFEvaluator(max_episode_length=5)
    steps = np.array([1.0, 2.0] * 5)
    with caplog.at_level(logging.INFO):
        scores = [score(steps, completed_returns=[], evaluator=evaluator) for _ in range(4)]
        metrics = evaluator.score(window(steps, completed_returns=[]), {})
    assert all(math.isnan(s) for s in scores)
    assert metrics.primary_score == 1.5
    assert metrics.num_episodes is None
    # it stays so, and says so once
    with caplog.at_level(logging.INFO):
        assert score(steps, completed_returns=[99.0], evaluator=evaluator) == 1.5
    assert len([r for r in caplog.records if "never ends" in r.message]) == 1


def test_steps_are_counted_per_environment():
    evaluator = TFEvaluator(max_episode_length=5)
    scores = [score(np.ones((25, 4)), completed_returns=[], evaluator=evaluator) for _ in range(2)]
    assert [math.isnan(s) for s in scores] == [True, False]


def test_one_end_is_enough_to_know():
    evaluator = TFEvaluator(max_episode_length=5)
    assert score([1.0], completed_returns=[8.0], evaluator=evaluator) == 8.0
    for _ in range(60):
        assert math.isnan(score([1.0], completed_returns=[], evaluator=evaluator))


def test_state_goes_through_json():
    def scores(evaluator, count):
        return [score(np.ones(10), completed_returns=[], evaluator=evaluator) for _ in range(count)]

    one, other = TFEvaluator(max_episode_length=5), TFEvaluator(max_episode_length=5)
    scores(one, 4)
    other.load_state_dict(json.loads(json.dumps(one.state_dict())))
    assert scores(other, 1) == [1.0]
    third = TFEvaluator(max_episode_length=5)
    third.load_state_dict(json.loads(json.dumps(other.state_dict())))
    assert scores(third, 1) == [1.0]


# bad input


@pytest.mark.parametrize("weights", [(0.0, 0.0, 0.0), (0.0, None, None)])
def test_weights_that_sum_to_nothing(weights):
    with pytest.raises(ValueError, match="weights must sum to more than 0"):
        TFEvaluator(*weights)


@pytest.mark.parametrize("weight", [-0.5, math.nan, math.inf])
def test_weights_out_of_range(weight):
    with pytest.raises(InvalidArgumentError, match="`stability_weight` must be finite"):
        TFEvaluator(1.0, weight, 0.0)


def test_arguments_of_the_wrong_type():
    with pytest.raises(InvalidTypeError, match="`reward_weight` must be a number"):
        TFEvaluator("1")
    with pytest.raises(InvalidTypeError, match="`primary_score_fn` must be a function"):
        TFEvaluator(primary_score_fn=3)
    with pytest.raises(InvalidArgumentError, match="`max_episode_length` must be"):
        TFEvaluator(max_episode_length=0)


def test_it_needs_no_tensorflow():
    code = (
        "import sys; sys.modules['tensorflow'] = sys.modules['keras'] = sys.modules['gymnasium'] = None\n"
        "from tensor_optix.adapters.tensorflow.tf_evaluator import TFEvaluator; TFEvaluator()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("is_done", [[False, False], [False, True]])
def test_what_was_saved_at_any_time_is_taken_by_a_new_one(is_done):
    evaluator = TFEvaluator(max_episode_length=2)
    for _ in range(20):
        evaluator.score(window([1.0, 2.0], terminated=np.array(is_done)), {})
        saved = json.loads(json.dumps(evaluator.state_dict()))
        fresh = TFEvaluator(max_episode_length=2)
        require_like(saved, fresh.state_dict(), "evaluator")
        fresh.load_state_dict(saved)
        assert fresh.state_dict() == saved
