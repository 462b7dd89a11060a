"""A drop is told once and soon, and the champion comes back where that was asked for."""

import numpy as np
import pytest
from loop_fakes import CountUp, make_loop

from tensor_optix import LoopCallback
from tensor_optix.testing.fakes import ScriptedPipeline, SixMethodAgent, StatefulAgent


class CollapsingPipeline(ScriptedPipeline):
    """100 while the agent's weight is below 30, then 1: the policy itself is damaged."""

    def __init__(self, agent):
        super().__init__(lambda k: 100.0 if agent.weight < 30 else 1.0)


def test_a_collapse_fires_once_within_five_windows(tmp_path):
    loop, recorder = make_loop(tmp_path, [100.0] * 12 + [1.0] * 30)
    loop.run()
    assert recorder.count("on_degradation") == 1
    ((window, metrics),) = recorder.arguments("on_degradation")
    assert 12 <= window < 17
    assert metrics.primary_score == 1.0


def test_a_noisy_collapse_fires_once_within_five_windows(tmp_path):
    rng = np.random.default_rng(5)
    scores = np.concatenate([rng.normal(100, 5, 25), rng.normal(1, 0.3, 40)])
    loop, recorder = make_loop(tmp_path, scores)
    loop.run()
    windows = [window for window, _ in recorder.arguments("on_degradation")]
    assert len(windows) == 1
    assert 25 <= windows[0] < 30


@pytest.mark.parametrize("agent_class", [SixMethodAgent, StatefulAgent])
def test_rollback_brings_everything_back_and_the_bad_window_is_not_learned(tmp_path, agent_class):
    agent = agent_class({"x": 7.0})
    pipeline = CollapsingPipeline(agent)

    after = {}

    class Peek(LoopCallback):
        def on_degradation(self, episode_id, eval_metrics):
            after["window"] = episode_id
            loop.stop()

        def on_episode_end(self, episode_id, eval_metrics):
            if episode_id == after.get("window"):
                after["weight"], after["x"] = agent.weight, agent.hyperparams.params["x"]
                after["slot"] = getattr(agent, "slot", None)

    loop, _ = make_loop(
        tmp_path,
        pipeline,
        agent,
        optimizer=CountUp(),
        callbacks=[Peek()],
        rollback_on_degradation=True,
        max_episodes=60,
    )
    loop.run()
    champion = loop.best_snapshot
    assert 30 <= after["window"] < 35
    assert after["window"] not in agent.learned_windows
    assert after["weight"] == champion.episode_id
    assert after["x"] == champion.hyperparams.params["x"]
    if agent_class is StatefulAgent:
        assert after["slot"] == 0.5 * champion.episode_id


def test_without_rollback_the_loop_keeps_learning(tmp_path):
    agent = StatefulAgent()
    loop, recorder = make_loop(tmp_path, [100.0] * 12 + [1.0] * 12, agent)
    loop.run()
    assert recorder.count("on_degradation") == 1
    assert agent.learned_windows == list(range(24))


def test_a_second_collapse_after_recovery_fires_again(tmp_path):
    loop, recorder = make_loop(tmp_path, [100.0] * 12 + [1.0] * 10 + [100.0] * 12 + [1.0] * 10)
    loop.run()
    assert recorder.count("on_degradation") == 2
