"""The stand-ins do what their tests rely on."""

import itertools
import math

import numpy as np
import pytest

from tensor_optix import LoopCallback
from tensor_optix.core.callbacks import HOOKS
from tensor_optix.testing.fakes import (
    PlayablePipeline,
    RecordingCallback,
    RewardEvaluator,
    ScriptedPipeline,
    SixMethodAgent,
    StatefulAgent,
)


def windows_of(pipeline, count=100):
    return list(itertools.islice(pipeline.episodes(), count))


@pytest.mark.parametrize("scores", [[1.0, math.nan, 3.0], lambda k: (1.0, math.nan, 3.0, None)[k]])
def test_a_script_is_played_to_its_end(scores):
    windows = windows_of(ScriptedPipeline(scores))
    assert [window.episode_id for window in windows] == [0, 1, 2]
    np.testing.assert_array_equal([window.total_reward for window in windows], [1.0, math.nan, 3.0])
    assert all(window.length == 1 for window in windows)


def test_a_function_is_asked_just_before_its_window():
    asked = []
    windows = ScriptedPipeline(lambda k: asked.append(k) or float(k)).episodes()
    assert asked == []
    next(windows)
    assert asked == [0]


def test_episodes_are_noise_around_the_agents_skill_and_follow_from_their_seed():
    pipeline = PlayablePipeline([0.0], lambda: 10.0, spread=2.0)
    first, again, other = (pipeline.play_episodes(None, 400, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.returns, again.returns)
    assert not np.array_equal(first.returns, other.returns)
    assert first.mean == pytest.approx(10.0, abs=0.5)
    assert np.std(first.returns) == pytest.approx(2.0, rel=0.2)
    assert pipeline.seeds_played == [1, 1, 2]


def test_barriers_come_regularly_and_on_request():
    pipeline = PlayablePipeline(lambda k: 0.0, lambda: 0.0, barrier_every=3)
    windows = pipeline.episodes()
    seen = [next(windows).metadata["barrier"] for _ in range(4)]
    assert pipeline.request_barrier()
    seen += [next(windows).metadata["barrier"] for _ in range(2)]
    assert seen == [True, False, False, True, True, False]


def test_the_evaluator_adds_up_and_hands_on_what_learning_said():
    (window,) = windows_of(ScriptedPipeline([2.5]))
    metrics = RewardEvaluator().score(window, {"loss": 1.0})
    assert (metrics.primary_score, metrics.metrics, metrics.episode_id) == (2.5, {"loss": 1.0}, 0)


def test_agents_count_what_they_learned_and_bring_it_back(tmp_path):
    windows = windows_of(ScriptedPipeline([1.0] * 4))
    agent, other = StatefulAgent({"x": 1.0}), SixMethodAgent()
    for window in windows:
        agent.learn(window)
    agent.save_weights(str(tmp_path / "weights"))
    other.load_weights(str(tmp_path / "weights"))
    assert (other.weight, other.learned_windows) == (4.0, [])
    state = agent.get_state()
    agent.learn(windows[0])
    agent.set_state(state)
    assert (agent.weight, agent.slot, agent.learned_windows) == (4.0, 2.0, [0, 1, 2, 3, 0])


def test_every_hook_is_written_down_in_order():
    told_by_itself = {"on_run_start", "on_window", "on_greedy_episodes", "on_decision", "on_run_end"}
    callback = RecordingCallback()
    hooks = [name for name in HOOKS if name not in told_by_itself]
    for number, name in enumerate(hooks):
        is_of_the_loop = name in ("on_loop_start", "on_loop_stop")
        getattr(callback, name)(*(() if is_of_the_loop else (number,)))
    assert isinstance(callback, LoopCallback)
    assert callback.names() == hooks
    assert callback.count("on_plateau") == 1
    assert callback.arguments("on_improvement") == [(hooks.index("on_improvement"),)]
