"""What drives the real loop in tests: no tuning, and a loop of fakes with one callback that writes everything down."""

import numpy as np

from tensor_optix import BackoffScheduler, BaseOptimizer, CheckpointRegistry, HyperparamSet, LoopController
from tensor_optix.testing.fakes import (
    PlayablePipeline,
    RecordingCallback,
    RewardEvaluator,
    ScriptedPipeline,
    StatefulAgent,
)


class NoTuning(BaseOptimizer):
    """Suggests what is; keeps the history that it was shown last."""

    def suggest(self, current_hyperparams, metrics_history):
        self.history = metrics_history
        return current_hyperparams.copy()

    def on_improvement(self, metrics):
        pass

    def on_plateau(self, metrics_history):
        pass


class CountUp(NoTuning):
    """Adds one to `x` at every suggestion."""

    def suggest(self, current_hyperparams, metrics_history):
        suggested = super().suggest(current_hyperparams, metrics_history)
        suggested.params["x"] += 1.0
        return suggested


def make_loop(tmp_path, scores, agent=None, live=False, optimizer=None, callbacks=(), scheduler=None, **arguments):
    """Return a loop over a script of scores (or a pipeline), and what notes its events."""
    recorder = RecordingCallback()
    loop = LoopController(
        agent or StatefulAgent(),
        arguments.pop("evaluator", None) or RewardEvaluator(),
        optimizer or NoTuning(),
        scores if hasattr(scores, "episodes") else ScriptedPipeline(scores, live=live),
        CheckpointRegistry(str(tmp_path / "run")),
        scheduler or BackoffScheduler(),
        callbacks=[*callbacks, recorder],
        seed=0,
        **arguments,
    )
    return loop, recorder


class BareAgent:
    """Six methods, and no class of ours above it."""

    def __init__(self):
        self.weight, self.params = 0.0, {"rate": 0.1}

    def act(self, observation):
        return 0

    def learn(self, window):
        self.weight += 1.0
        return {"loss": 0.5}

    def get_hyperparams(self):
        return HyperparamSet(dict(self.params), 0)

    def set_hyperparams(self, hyperparams):
        self.params = dict(hyperparams.params)

    def save_weights(self, path):
        np.save(path + ".npy", self.weight)

    def load_weights(self, path):
        self.weight = float(np.load(path + ".npy"))


class Learner(StatefulAgent):
    """Skill grows by one a window up to a ceiling; `damage` takes it away; the world may get harder."""

    def __init__(self, ceiling=40.0):
        super().__init__({"x": 1.0})
        self.ceiling = ceiling
        self.world_loss = 0.0
        self.changed_worlds = 0
        self.bold = None

    def learn(self, episode_data):
        diagnostics = super().learn(episode_data)
        self.weight = min(self.weight, self.ceiling)
        return diagnostics

    def on_world_change(self):
        self.changed_worlds += 1

    def bold_hyperparams(self):
        return self.bold

    @property
    def skill(self):
        return self.weight - self.world_loss


def make_playing_loop(tmp_path, agent, script=None, barrier_every=0, spread=0.3, **arguments):
    """Return a loop whose agent can play, its events, and its pipeline."""
    rng = np.random.default_rng(0)
    pipeline = PlayablePipeline(
        script or (lambda k: agent.skill + 0.3 * rng.normal()), lambda: agent.skill, spread, barrier_every
    )
    recorder = RecordingCallback()
    arguments.setdefault("report_episodes", 10)
    loop = LoopController(
        agent,
        RewardEvaluator(),
        NoTuning(),
        pipeline,
        CheckpointRegistry(str(tmp_path / "run")),
        BackoffScheduler(),
        callbacks=[recorder],
        seed=0,
        **arguments,
    )
    return loop, recorder, pipeline


def damage_at(agent, window, rng):
    """A script that wrecks the policy itself at one window."""

    def script(k):
        if k == window:
            agent.weight = 2.0
            agent.ceiling = 2.0
        return agent.skill + 0.3 * rng.normal()

    return script
