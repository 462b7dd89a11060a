"""A trained agent on a live feed: frozen, watched, and learning again when it fails."""

import numpy as np
from loop_fakes import CountUp, make_loop

from tensor_optix import LoopCallback, LoopState
from tensor_optix.testing.fakes import ScriptedPipeline, StatefulAgent


def test_live_goes_on_as_watchdog_frozen_until_degradation(tmp_path):
    rng = np.random.default_rng(4)
    agent = StatefulAgent()
    drop_at = {}

    class DropLater(ScriptedPipeline):
        def __init__(self):
            super().__init__(self.script, live=True)

        def script(self, k):
            if loop.state is LoopState.WATCHDOG and "watch" not in drop_at:
                drop_at["watch"] = k
            if k > 3000:
                return None
            dropped = "watch" in drop_at and k >= drop_at["watch"] + 60
            if dropped and "drop" not in drop_at:
                drop_at["drop"] = k
            return (1.0 if dropped else 5.0) + 0.05 * rng.normal()

    loop, recorder = make_loop(tmp_path, DropLater(), agent, max_episodes=3000)
    result = loop.run()
    assert recorder.count("on_dormant") >= 1
    window = recorder.arguments("on_degradation")[0][0]
    assert drop_at["drop"] <= window < drop_at["drop"] + 6
    frozen = range(drop_at["watch"], window + 1)
    assert not set(frozen) & set(agent.learned_windows)
    assert window + 1 in agent.learned_windows
    assert result.reason in ("budget", "stopped")


def test_a_frozen_champion_is_announced_and_its_scores_credited_to_what_made_it(tmp_path):
    rng = np.random.default_rng(4)

    class Watched(LoopCallback):
        def __init__(self):
            self.made_by = []

        def on_episode_end(self, episode_id, eval_metrics):
            if loop.state is LoopState.WATCHDOG:
                self.made_by.append(eval_metrics.hyperparams.params["x"])

    watched = Watched()
    pipeline = ScriptedPipeline(lambda k: None if watched.made_by[20:] else 5.0 + rng.normal(), live=True)
    loop, recorder = make_loop(
        tmp_path, pipeline, StatefulAgent({"x": 0.0}), optimizer=CountUp(), callbacks=[watched], max_episodes=3000
    )
    loop.run()
    champion = loop.best_snapshot.eval_metrics.hyperparams.params["x"]
    assert set(watched.made_by[1:]) == {champion}, "the first is of the window that was learned before"
    before, after = recorder.arguments("on_hyperparam_update")[-1]
    assert before["x"] > after["x"] == loop.best_snapshot.hyperparams.params["x"]
