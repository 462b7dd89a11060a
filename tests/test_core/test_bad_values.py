"""Values that no file and no agent can take are named where they appear."""

import json
from decimal import Decimal
from fractions import Fraction

import gymnasium as gym
import numpy as np
import pytest

from tensor_optix import BackoffOptimizer, BatchPipeline, EvalMetrics, HyperparamSet, LoopCallback, RLOptimizer
from tensor_optix.core.base_evaluator import BaseEvaluator
from tensor_optix.core.base_optimizer import BaseOptimizer
from tensor_optix.core.loop import run_checkpoint
from tensor_optix.exceptions import EnvironmentFailureError, InvalidArgumentError, InvalidTypeError, NonFiniteError
from tensor_optix.testing.fakes import ScriptedPipeline, StatefulAgent


class Measures(BaseEvaluator):
    def __init__(self, metrics=None, score=1.0):
        self.metrics, self.given = metrics or {}, score

    def score(self, episode_data, train_diagnostics):
        return EvalMetrics(self.given, self.metrics, episode_data.episode_id)


class Proposes(BaseOptimizer):
    def __init__(self, make):
        self.make = make

    def suggest(self, current_hyperparams, metrics_history):
        return self.make(current_hyperparams)

    def on_improvement(self, metrics):
        pass

    def on_plateau(self, metrics_history):
        pass


def run(folder, **parts):
    parts = {"evaluator": Measures(), "optimizer": BackoffOptimizer(), **parts}
    agent = parts.pop("agent", None) or StatefulAgent()
    pipeline = ScriptedPipeline([1.0] * 6)
    options = {"checkpoint_dir": str(folder), "max_episodes": 4, "report_episodes": 0, "seed": 0}
    return RLOptimizer(agent, pipeline, **parts, **options).run()


@pytest.mark.parametrize("suggested", [None, {"learning_rate": 1.0}, 0.1])
def test_a_tuner_must_suggest_hyperparameters(suggested, tmp_path):
    with pytest.raises(InvalidTypeError, match=r"`Proposes\.suggest` must return a HyperparamSet; .*Received: "):
        run(tmp_path, optimizer=Proposes(lambda current: suggested))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.float32("nan"), 10**400])
def test_a_tuner_must_suggest_finite_numbers_and_the_agent_is_not_given_others(value, tmp_path):
    agent = StatefulAgent({"learning_rate": 0.1})
    tuner = Proposes(lambda current: HyperparamSet({**current.params, "learning_rate": value}, 0))
    with pytest.raises(NonFiniteError, match=r"`Proposes\.suggest` returned learning_rate=.*; it was 0\.1"):
        run(tmp_path, optimizer=tuner, agent=agent)
    assert agent.get_hyperparams().params == {"learning_rate": 0.1}


@pytest.mark.parametrize("value", ["0.1", None, Decimal("0.1"), 1j, np.array([0.1, 0.2]), np.ma.masked, [0.1], b"1"])
def test_a_tuner_must_suggest_numbers_for_numbers(value, tmp_path):
    agent = StatefulAgent({"learning_rate": 0.1})
    tuner = Proposes(lambda current: HyperparamSet({**current.params, "learning_rate": value}, 0))
    with pytest.raises(
        InvalidTypeError, match=r"`Proposes\.suggest` must return a number for learning_rate, which was"
    ):
        run(tmp_path, optimizer=tuner, agent=agent)
    assert agent.get_hyperparams().params == {"learning_rate": 0.1}


def test_arrays_may_be_hyperparameters(tmp_path):
    agent = StatefulAgent({"learning_rate": 0.1, "schedule": np.array([1.0, 2.0])})
    tuner = Proposes(lambda current: HyperparamSet({**current.params, "learning_rate": 0.2}, 0))
    assert run(tmp_path, optimizer=tuner, agent=agent).reason == "budget"


@pytest.mark.parametrize("value", ["1.0", None, 1j, np.array([1.0]), [1.0], object()])
def test_a_score_that_was_set_later_is_looked_at_again(value, tmp_path):
    class Sets(Measures):
        def score(self, episode_data, train_diagnostics):
            metrics = super().score(episode_data, train_diagnostics)
            metrics.primary_score = value
            return metrics

    with pytest.raises(InvalidTypeError, match="`primary_score` of EvalMetrics must be a number"):
        run(tmp_path, evaluator=Sets())


def test_what_learning_returned_may_be_beyond_a_float(tmp_path):
    class Boundless(StatefulAgent):
        def learn(self, episode_data):
            return {**super().learn(episode_data), "steps": 10**400}

    assert run(tmp_path, agent=Boundless()).reason == "budget"


class Pays(gym.Wrapper):
    def __init__(self, env, reward):
        super().__init__(env)
        self.reward = reward

    def step(self, action):
        observation, _, *rest = super().step(action)
        return observation, self.reward, *rest


@pytest.mark.parametrize("in_training", [True, False])
@pytest.mark.parametrize("reward", ["1.0", b"1", 1j, np.complex64(1), np.timedelta64(1), np.datetime64("2000-01-01")])
def test_a_reward_that_is_no_real_number(reward, in_training):
    pipeline = BatchPipeline(lambda: Pays(gym.make("CartPole-v1"), reward), StatefulAgent(), 10, seed=0)
    with pytest.raises(EnvironmentFailureError, match="a reward must be a real number, not"):
        next(pipeline.episodes()) if in_training else pipeline.play_episodes(lambda observation: 0, 1, seed=0)
    pipeline.teardown()


@pytest.mark.parametrize("reward", [Decimal("0.5"), Fraction(1, 2), np.float16(0.5), np.array(0.5), np.longdouble(0.5)])
def test_a_reward_that_is_a_real_number_of_another_type(reward):
    pipeline = BatchPipeline(lambda: Pays(gym.make("CartPole-v1"), reward), StatefulAgent(), 10, seed=0)
    played = pipeline.play_episodes(lambda observation: 0, 1, seed=0)
    assert played.mean == played.lengths[0] / 2
    assert set(next(pipeline.episodes()).rewards) == {0.5}
    pipeline.teardown()


def test_what_is_opaque_may_be_anything(tmp_path):
    tuner = Proposes(lambda current: HyperparamSet({**current.params, "schedule": "cosine", "layers": (1, 2)}, 0))
    assert run(tmp_path, optimizer=tuner).reason == "budget"


def test_a_score_beyond_a_float(tmp_path):
    with pytest.raises(InvalidArgumentError, match="`primary_score` of EvalMetrics must be a number that fits a float"):
        run(tmp_path, evaluator=Measures(score=10**400))


@pytest.mark.parametrize("value", [object(), {1, 2}, {"of": {3: 1.0}}, [object()], np.array([object()]), 10**400])
def test_a_metric_that_no_file_can_hold(value, tmp_path):
    with pytest.raises(
        InvalidTypeError, match=r"`Measures\.score` gave metrics\['mine'\] for window 0, which cannot be saved"
    ):
        run(tmp_path, evaluator=Measures({"mine": value}))


def test_metrics_of_all_other_kinds(tmp_path):
    metrics = {
        "n": 1,
        "x": np.float32(0.5),
        "nan": float("nan"),
        "text": "a",
        "all": [1, {"a": np.ones(2)}],
        "none": None,
    }
    assert not [note for note in run(tmp_path, evaluator=Measures(metrics)).notes if "could not be saved" in note]


class Keeps:
    def __init__(self, state):
        self.state = state

    def state_dict(self):
        return self.state

    def load_state_dict(self, state):
        self.state = state


class KeepingCallback(Keeps, LoopCallback):
    pass


class KeepingEvaluator(Keeps, Measures):
    def __init__(self, state):
        Measures.__init__(self)
        self.state = state


@pytest.mark.parametrize("kind", ["callbacks", "evaluator"])
def test_a_state_that_no_file_can_hold_is_named(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(run_checkpoint, "SAVE_INTERVAL_SECONDS", 0.0)
    part = (KeepingEvaluator if kind == "evaluator" else KeepingCallback)({"best": object()})
    result = run(tmp_path, **{kind: part if kind == "evaluator" else [part]})
    name = type(part).__name__
    named = f"the state of the {name} cannot be saved, so it starts afresh (`{name}['best']` is of type object"
    assert any(note.startswith(named) for note in result.notes)


def test_nan_in_a_state_is_strict_json(tmp_path, monkeypatch):
    """A window without evidence has a score of NaN, so it may be kept; no file holds a bare NaN."""
    monkeypatch.setattr(run_checkpoint, "SAVE_INTERVAL_SECONDS", 0.0)
    run(tmp_path, callbacks=[KeepingCallback({"scores": [float("nan"), float("inf")]})])
    files = list(tmp_path.rglob("*.json"))
    assert any("KeepingCallback" in path.read_text() for path in files)
    for path in files:
        json.loads(path.read_text(), parse_constant=pytest.fail)
