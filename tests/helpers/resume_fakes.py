"""A small agent with everything that makes resuming hard, and runs of it."""

import hashlib
import json
from pathlib import Path

import gymnasium as gym
import numpy as np

from tensor_optix import BackoffOptimizer, BatchPipeline, LoopCallback, PBTOptimizer, RLOptimizer
from tensor_optix.core.base_agent import BaseAgent
from tensor_optix.core.base_evaluator import BaseEvaluator
from tensor_optix.core.loop.conclusion import NEVER_PLAYED
from tensor_optix.core.storage.agent_files import capture
from tensor_optix.core.types import AgentState, EvalMetrics, HyperparamSet


class SixMethods(BaseAgent):
    """Draws actions from linear logits; learns noisily, with momentum, from a replay of its own.

    It saves its weights and nothing else.
    """

    def __init__(self, num_inputs=4, init_seed=0):
        self.weights = np.random.default_rng(init_seed).normal(size=(num_inputs, 2)) * 0.1
        self.momentum = np.zeros_like(self.weights)
        self.replay = np.zeros((0, num_inputs))
        self.hyperparams = HyperparamSet({"learning_rate": 0.01, "gamma": 0.99}, 0)
        self.rng = np.random.default_rng(init_seed)

    def bind(self, observation_space, action_space, *, num_envs=1, seed=None):
        self.rng = np.random.default_rng(seed)

    def act(self, observation):
        logits = observation @ self.weights
        return int(logits[1] + self.rng.gumbel() > logits[0] + self.rng.gumbel())

    def act_batch(self, observations):
        return np.array([self.act(observation) for observation in observations])

    def act_greedy(self, observation):
        return int(np.argmax(observation @ self.weights))

    def learn(self, window):
        seen = window.observations.reshape(-1, self.weights.shape[0])
        self.replay = np.concatenate([self.replay, seen[::7]])[-200:]
        rows = self.rng.integers(len(self.replay), size=20)
        push = self.replay[rows].T @ self.rng.normal(size=(20, 2)) / 20.0
        self.momentum = 0.9 * self.momentum + push
        self.weights = self.weights + self.hyperparams.params["learning_rate"] * self.momentum
        return {"loss": float(np.abs(push).sum()), "odd": float("nan")}

    def get_hyperparams(self):
        return self.hyperparams.copy()

    def set_hyperparams(self, hyperparams):
        self.hyperparams = hyperparams.copy()

    def save_weights(self, path):
        np.save(path + ".npy", self.weights)

    def load_weights(self, path):
        self.weights = np.load(path + ".npy")


class LinearAgent(SixMethods):
    """The same with a state."""

    def get_state(self, scope="learner"):
        arrays, meta = {"weights": self.weights.copy()}, {}
        if scope != "policy":
            arrays["momentum"] = self.momentum.copy()
            meta = {"rng": self.rng.bit_generator.state, "params": dict(self.hyperparams.params)}
        if scope == "all":
            arrays["replay"] = self.replay.copy()
        return AgentState(arrays, meta, scope)

    def set_state(self, state):
        self.weights = state.arrays["weights"].copy()
        if state.scope != "policy":
            self.momentum = state.arrays["momentum"].copy()
            self.rng.bit_generator.state = state.meta["rng"]
            self.hyperparams = HyperparamSet(dict(state.meta["params"]), 0)
        if state.scope == "all":
            self.replay = state.arrays["replay"].copy()


class MeanReturn(BaseEvaluator):
    def score(self, episode_data, train_diagnostics):
        returns = episode_data.completed_returns
        mean = float(np.mean(returns)) if len(returns) else float("nan")
        return EvalMetrics(mean, dict(train_diagnostics), episode_data.episode_id, num_episodes=len(returns))


class Scores(LoopCallback):
    """Keeps state, NaN and arrays included."""

    def __init__(self):
        self.scores = []

    def on_episode_end(self, episode_id, metrics):
        self.scores.append(float("nan") if metrics is None else metrics.primary_score)

    def state_dict(self):
        return {"scores": self.scores, "best": -np.inf, "last": np.array(self.scores[-3:])}

    def load_state_dict(self, state):
        assert state["best"] == -np.inf
        assert isinstance(state["last"], np.ndarray)
        self.scores = list(state["scores"])


class Interruption(Exception):
    pass


class Interrupt(BaseEvaluator):
    """Wraps an evaluator; raises when it is asked about a certain window."""

    def __init__(self, inner, window):
        self.inner, self.window = inner, window

    def score(self, episode_data, train_diagnostics):
        if episode_data.episode_id == self.window:
            self.window = None
            raise Interruption
        return self.inner.score(episode_data, train_diagnostics)


TUNERS = {
    "none": lambda: None,
    "backoff": lambda: BackoffOptimizer({"learning_rate": (1e-4, 1.0)}),
    "pbt": lambda: PBTOptimizer({"learning_rate": (1e-4, 1.0)}),
}


def make_run(folder, *, num_envs=1, tuner="backoff", agent=None, stop_at=None, seed=5, callbacks=None, **arguments):
    """Return an optimizer over CartPole whose runs last some tenths of a second."""

    def env():
        return gym.make("CartPole-v1") if num_envs == 1 else gym.make_vec("CartPole-v1", num_envs)

    agent, callbacks = agent or LinearAgent(), [Scores()] if callbacks is None else callbacks
    evaluator = MeanReturn() if stop_at is None else Interrupt(MeanReturn(), stop_at)
    settings = {"max_env_steps": 3300, "report_episodes": 3, "plateau_threshold": 2, "max_snapshots": 2, **arguments}
    optimizer = RLOptimizer(
        agent,
        settings.pop("pipeline", None) or BatchPipeline(env, agent, 60 // num_envs, barrier_interval_steps=300),
        evaluator,
        settings.pop("optimizer", None) or TUNERS[tuner](),
        checkpoint_dir=str(folder),
        callbacks=callbacks,
        seed=seed,
        **settings,
    )
    optimizer.agent_under_test, optimizer.callbacks_under_test = agent, callbacks
    return optimizer


def left_alone(folder, **arguments):
    """Return the outcome of a run that nothing interrupts."""
    optimizer = make_run(folder / "left-alone", **arguments)
    return outcome_of(optimizer, optimizer.run())


def resumed(folder, **arguments):
    """Resume as another process would: other weights, another seed; return the optimizer and its result."""
    optimizer = make_run(folder, **{"seed": None, "agent": LinearAgent(init_seed=77), **arguments})
    return optimizer, optimizer.run(resume=True)


def wait_for_writers(optimizer):
    """Return once everything saved so far is on the disk: what comes then must not depend on how fast that went."""
    optimizer._controller.registry.flush()
    optimizer._controller._session._checkpoint.flush()


def interrupted(optimizer):
    """Run into the interruption."""
    try:
        optimizer.run()
    except Interruption:
        return
    raise AssertionError("the run was not interrupted")


def outcome_of(optimizer, result):
    """Return all that must be the same, whether or not the run was ever interrupted."""
    run = Path(result.run_dir)
    champion = result.champion
    state = capture(optimizer.agent_under_test, "all")
    weights = run / f"snapshot_{champion.snapshot_id}" / "weights" / "state.safetensors"
    return {
        "ending": (result.reason, result.explanation, result.state, result.windows),
        "env_steps": dict(result.env_steps),
        "rows": (run / "history.jsonl").read_text(),
        "history": repr(result.history),
        "champion": (champion.snapshot_id, champion.episode_id, champion.eval_metrics.primary_score),
        "snapshots": sorted(path.name for path in run.glob("snapshot_*")),
        "champion_weights": hashlib.sha256(weights.read_bytes()).hexdigest() if weights.exists() else None,
        "report": result.report.returns.tolist(),
        "hyperparams": repr(optimizer.agent_under_test.get_hyperparams().params),
        "agent": {name: array.tobytes() for name, array in state.arrays.items()},
        "agent_meta": json.dumps(state.meta, sort_keys=True, default=repr),
        "callbacks": [repr(c.scores) for c in optimizer.callbacks_under_test if hasattr(c, "scores")],
    }


def other_notes(result):
    """Return the notes but for NaN that a callback here keeps on purpose, and for reports that are not played here."""
    return tuple(note for note in result.notes if "holds NaN" not in note and note != NEVER_PLAYED)


def assert_same(outcome, expected, of=""):
    differing = {name: (outcome[name], expected[name]) for name in expected if outcome[name] != expected[name]}
    if differing:
        raise AssertionError(f"{of} These differ: {list(differing)}. {repr(differing)[:2000]}")
