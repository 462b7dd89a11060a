"""Whatever is given for an argument: an error of ours before the first step, or it is accepted and works.

The annotations are the rule: what does not fit an argument's annotation must be refused.
"""

from __future__ import annotations

import collections.abc
import inspect
import numbers
import types
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import keras
import numpy as np
import pytest

import tensor_optix as tx
from tensor_optix.core.judgement.arena import PlayFn
from tensor_optix.core.protocols import CanAct, EnvLike
from tensor_optix.exceptions import TensorOptixError
from tensor_optix.pipeline.live.data_source import DataSource
from tensor_optix.testing.fakes import RewardEvaluator, ScriptedPipeline, StatefulAgent

KINDS: dict[str, Any] = {
    "None": None,
    "True": True,
    "text": "a text",
    "empty text": "",
    "comma list": "64,64",
    "bytes": b"bytes",
    "fraction": 1.5,
    "whole float": 2.0,
    "negative": -1,
    "zero": 0,
    "NaN": float("nan"),
    "infinity": float("inf"),
    "huge": 10**30,
    "complex": 1j,
    "NumPy integer": np.int64(3),
    "NumPy float": np.float32(0.5),
    "NumPy NaN": np.float64("nan"),
    "empty list": [],
    "list": [1, 2],
    "list of texts": ["a", "b"],
    "list of None": [None],
    "tuple": (1.0, 2.0),
    "dict": {"a": 1},
    "dict of None": {"gamma": None},
    "dict by number": {1: 1},
    "array": np.array([1, 2]),
    "array of one": np.array(3),
    "array of objects": np.array([object()]),
    "object": object(),
    "class": int,
    "function": lambda *_: 1,
    "space": gym.spaces.Discrete(2),
    "class of an agent": tx.PPOAgent,
    "module": types,
}
"""One value of each kind that may be given by mistake, or by someone who knows better than the annotation."""

NOT_CALLED_BY_USERS = {
    "BaseAgent": "abstract: it has no constructor",
    "BaseEvaluator": "abstract: it has no constructor",
    "BaseOptimizer": "abstract: it has no constructor",
    "BasePipeline": "abstract: it has no constructor",
    "EpisodeBoundaryFn": "a type",
    "LoopState": "an enumeration: its members are used",
    "Trend": "an enumeration: its members are used",
    "LoopCallback": "its constructor takes nothing",
    "Policy": "a protocol",
    "TensorOptixError": "what is raised",
}


class CountedEnv(gym.Env[Any, Any]):
    """Ends after three steps; knows how often any of its kind was stepped."""

    num_steps = 0

    def __init__(self, action_space: gym.Space[Any] | None = None) -> None:
        self.observation_space = gym.spaces.Box(-1.0, 1.0, (3,), np.float32)
        self.action_space = gym.spaces.Discrete(2) if action_space is None else action_space
        self._time = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._time = 0
        return np.zeros(3, np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        CountedEnv.num_steps += 1
        self._time += 1
        return np.zeros(3, np.float32), 1.0, self._time == 3, False, {}


class Feed:
    def stream(self) -> Iterator[Any]:
        for left in (2, 1, 0):
            CountedEnv.num_steps += 1
            yield np.zeros(3, np.float32), 1.0, left == 0, False, {}


class Actor:
    def act(self, observation: Any) -> int:
        return 0


@dataclass
class Call:
    """One public function or constructor, a valid call of it, and what shows that its result works."""

    function: Callable[..., Any]
    valid: Callable[[Path], dict[str, Any]]
    works: Callable[[Any], Any] = lambda result: None
    inner: bool = True
    """Whether what lies inside of lists and dicts is checked, too."""


def bound(agent: Any) -> None:
    action_space = gym.spaces.Box(-1.0, 1.0, (2,)) if isinstance(agent, tx.SACAgent) else gym.spaces.Discrete(2)
    agent.bind(gym.spaces.Box(-1.0, 1.0, (3,)), action_space, seed=0)
    agent.act(np.zeros(3, np.float32))


def model(num_outputs: int = 2) -> keras.Model:
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(num_outputs)])


def suggests(tuner: Any) -> None:
    tuner.suggest(tx.HyperparamSet({"a": 1.0, "gamma": 0.5}, 0), [tx.EvalMetrics(1.0, {}, 0)])


def one_window(pipeline: Any) -> None:
    try:
        next(pipeline.episodes())
    finally:
        pipeline.teardown()


def run_briefly(loop: Any) -> None:
    result = loop.run()
    assert result.windows <= 3


def loop_arguments(folder: Path) -> dict[str, Any]:
    return {
        "agent": StatefulAgent({"a": 1.0}),
        "pipeline": ScriptedPipeline([1.0, 2.0, 3.0]),
        "evaluator": RewardEvaluator(),
        "checkpoint_dir": str(folder / "runs"),
    }


def controller_arguments(folder: Path) -> dict[str, Any]:
    return {
        "agent": StatefulAgent(),
        "evaluator": RewardEvaluator(),
        "optimizer": tx.BackoffOptimizer(),
        "pipeline": ScriptedPipeline([1.0, 2.0, 3.0]),
        "checkpoint_registry": tx.CheckpointRegistry(folder / "registry"),
        "backoff_scheduler": tx.BackoffScheduler(),
    }


def episode(folder: Path) -> dict[str, Any]:
    return {
        "observations": [0, 1],
        "actions": [0, 0],
        "rewards": [1.0, 2.0],
        "terminated": [False, True],
        "truncated": [False, False],
        "infos": [{}, {}],
        "episode_id": 0,
    }


def uses_scheduler(scheduler: Any) -> None:
    scheduler.record_non_improvement()
    scheduler.record_improvement(1.0)
    scheduler.check_degradation(0.5)
    scheduler.should_adapt(3)


CALLS: dict[str, Call] = {
    "AgentState": Call(tx.AgentState, lambda _: {"arrays": {"a": np.zeros(2)}}),
    "BackoffOptimizer": Call(tx.BackoffOptimizer, lambda _: {}, suggests),
    "BackoffScheduler": Call(tx.BackoffScheduler, lambda _: {}, uses_scheduler),
    "BatchPipeline": Call(tx.BatchPipeline, lambda _: {"env": CountedEnv(), "agent": Actor()}, one_window),
    "CheckpointRegistry": Call(tx.CheckpointRegistry, lambda folder: {"checkpoint_dir": folder / "registry"}),
    "DQNAgent": Call(tx.DQNAgent, lambda _: {"hidden_units": (4,), "buffer_size": 100}, bound),
    "DegradationDetector": Call(
        tx.DegradationDetector, lambda _: {}, lambda x: (x.calibrate([1.0, 2.0, 1.0]), x.update(1.0))
    ),
    "EnvironmentName": Call(tx.EnvironmentName, lambda _: {"id": "CartPole-v1"}, lambda name: name().close()),
    "EpisodeData": Call(tx.EpisodeData, episode, lambda x: (x.dones, x.total_reward, x.length, x.env_steps)),
    "EvalMetrics": Call(
        tx.EvalMetrics, lambda _: {"primary_score": 1.0, "metrics": {}, "episode_id": 0}, lambda x: x.beats(x)
    ),
    "EvaluationResult": Call(
        tx.EvaluationResult,
        lambda _: {
            "mean": 1.0,
            "interval": (0.0, 2.0),
            "returns": np.ones(1),
            "lengths": np.ones(1, int),
            "env_steps": 1,
        },
        str,
    ),
    "HyperparamSet": Call(tx.HyperparamSet, lambda _: {"params": {"a": 1.0}, "episode_id": 0}, lambda x: x.copy()),
    "LivePipeline": Call(
        tx.LivePipeline,
        lambda _: {"data_source": Feed(), "agent": Actor(), "reconnect_on_disconnect": False},
        one_window,
    ),
    "LoopController": Call(tx.LoopController, controller_arguments, run_briefly),
    "PBTOptimizer": Call(tx.PBTOptimizer, lambda _: {}, suggests),
    "PPOAgent": Call(tx.PPOAgent, lambda _: {"hidden_units": (4,)}, bound),
    "ParamSpec": Call(tx.ParamSpec, lambda _: {"low": 0.0, "high": 1.0}, lambda x: x.from_latent(x.to_latent(0.5))),
    "PlateauDetector": Call(tx.PlateauDetector, lambda _: {}, lambda x: [x.update(1.0) for _ in range(30)]),
    "PolicySnapshot": Call(
        tx.PolicySnapshot,
        lambda _: {
            "snapshot_id": "1",
            "eval_metrics": tx.EvalMetrics(1.0, {}, 0),
            "hyperparams": tx.HyperparamSet({}, 0),
            "weights_path": "weights",
            "episode_id": 0,
        },
    ),
    "RLOptimizer": Call(tx.RLOptimizer, loop_arguments, run_briefly),
    "RunResult": Call(
        tx.RunResult,
        lambda _: {
            "reason": "budget",
            "explanation": "",
            "state": tx.LoopState.ACTIVE,
            "champion": None,
            "report": None,
            "env_steps": {"training": 1},
            "windows": 1,
            "seconds": 1.0,
            "run_dir": None,
            "history": {},
        },
        str,
        inner=False,
    ),
    "SACAgent": Call(tx.SACAgent, lambda _: {"hidden_units": (4,), "buffer_size": 100}, bound),
    "TFAgent": Call(
        tx.TFAgent,
        lambda _: {
            "model": model(),
            "optimizer": keras.optimizers.Adam(),
            "hyperparams": tx.HyperparamSet({}, 0),
        },
        bound,
    ),
    "TFEvaluator": Call(tx.TFEvaluator, lambda _: {}, lambda x: x.score(tx.EpisodeData(**episode(Path())), {})),
    "evaluate": Call(tx.evaluate, lambda _: {"agent_or_policy": Actor(), "env": CountedEnv(), "num_episodes": 1}),
    "load_agent": Call(tx.load_agent, lambda folder: {"run_dir": saved_run(folder)}, bound),
    "make_agent": Call(tx.make_agent, lambda _: {"env": CountedEnv(), "hidden_units": (4,)}, bound),
    "make_pipeline": Call(tx.make_pipeline, lambda _: {"env": CountedEnv(), "agent": Actor()}, one_window),
}


def saved_run(folder: Path) -> Path:
    registry = tx.CheckpointRegistry(folder / "saved")
    if registry.best is not None:
        return registry.root
    agent = tx.PPOAgent(hidden_units=(4,))
    bound(agent)
    registry.save(agent, tx.EvalMetrics(1.0, {}, 0), agent.get_hyperparams())
    return registry.root


def test_every_public_name_is_called() -> None:
    assert sorted({*CALLS, *NOT_CALLED_BY_USERS}) == tx.__all__


@pytest.mark.parametrize("name", CALLS)
def test_each_argument_of_each_kind(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a text is a path, too
    call = CALLS[name]
    hints = hints_of(call.function)
    wrong = []
    parameters = inspect.signature(call.function).parameters.values()
    for parameter in parameters:
        if parameter.kind in (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL):
            continue
        for kind, value in KINDS.items():
            arguments = {**call.valid(tmp_path), parameter.name: value}
            outcome = outcome_of(call, arguments)
            if outcome == "accepted" and not fits(value, hints.get(parameter.name, Any), call.inner):
                outcome = f"was accepted, though it is no {hints[parameter.name]}"
            if outcome not in ("accepted", "refused"):
                wrong.append(f"{parameter.name}={kind}: {outcome}")
    assert wrong == []


def outcome_of(call: Call, arguments: dict[str, Any]) -> str:
    CountedEnv.num_steps = 0
    try:
        call.works(call.function(**arguments))
    except TensorOptixError as error:
        return "refused" if CountedEnv.num_steps == 0 else f"failed after a step: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:150]
    return "accepted"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tx.PPOAgent(hidden_units="64,64"), "`hidden_units` must be a list or tuple of integers >= 1"),
        (lambda: tx.PPOAgent(optimizer=0), "`optimizer` must be a keras.optimizers.Optimizer. Received: int"),
        (lambda: tx.PPOAgent(jit_compile="atuo"), "`jit_compile` must be one of True, False, 'auto'.*mean 'auto'"),
        (lambda: tx.DQNAgent(double="no"), "`double` must be True or False. Received: 'no' of type str"),
        (lambda: tx.SACAgent(buffer_size=1e6), "`buffer_size` must be an integer >= 1. Received: 1000000.0"),
        (lambda: tx.make_agent("CartPole-v1", "ppq"), "`algorithm` must be one of auto, ppo.*Did you mean 'ppo'"),
        (lambda: tx.make_agent("CartPole-v1", 5), "`algorithm` must be one of auto, ppo.*Received: 5 of type int"),
        (lambda: tx.make_pipeline("CartPole-v1", window_size=""), "`window_size` must be an integer >= 1 or None"),
        (lambda: tx.BatchPipeline(CountedEnv(), tx.PPOAgent), "`agent` must have the method act.*object of the class"),
        (lambda: tx.LivePipeline(Feed(), 5), "`agent` must have the method act. Received: 5 of type int"),
        (lambda: tx.LivePipeline(Feed), "`data_source` needs a method stream.*Received: <class"),
        (lambda: tx.evaluate(tx.PPOAgent, CountedEnv()), "`agent_or_policy` is the class PPOAgent. Give an object"),
        (lambda: tx.evaluate(Actor(), CountedEnv(), greedy="no"), "`greedy` must be True or False"),
        (lambda: tx.load_agent(5), "`run_dir` must be a path, as a str or a pathlib.Path. Received: 5"),
        (lambda: tx.load_agent("run", custom_objects=[int]), r"`custom_objects` must be a dict or None. Received: \[<"),
        (lambda: tx.BackoffOptimizer(seed=1.5), "`seed` must be an integer >= 0 or None. Received: 1.5"),
        (lambda: tx.BackoffOptimizer({1: (0, 1)}), "The keys of `param_bounds` must be texts. Received: 1"),
        (
            lambda: tx.BackoffOptimizer(high_variance_threshold=0),
            "`high_variance_threshold` must be > 0.0. Received: 0",
        ),
        (lambda: tx.PlateauDetector(min_looks=16.5), "`min_looks` must be an integer. Received: 16.5"),
        (lambda: tx.DegradationDetector(threshold="3"), "`threshold` must be a number. Received: '3'"),
        (
            lambda: tx.TFEvaluator(primary_score_fn=lambda: 1.0),
            r"must be a function \(episode_data, train_diagnostics\)",
        ),
        (
            lambda: tx.TFAgent(model(), keras.optimizers.Adam(), tx.HyperparamSet({}, 0), lambda model: 0.0),
            r"`compute_loss_fn` must be a function \(model, episode_data, returns\) -> loss or None",
        ),
    ],
)
def test_what_is_wrong_is_told(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(TensorOptixError, match=message):
        call()


def hints_of(function: Any) -> dict[str, Any]:
    target = function.__init__ if isinstance(function, type) else function
    names = {name: getattr(tx, name) for name in tx.__all__} | {"collections": collections, "RunFolder": object}
    return typing.get_type_hints(target, localns=names)


def fits(value: Any, hint: Any, inner: bool = True) -> bool:
    """Tell whether a value fits an annotation; NumPy's numbers are numbers, and a bool is none."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint in (Any, object, inspect.Parameter.empty):
        return True
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, one, inner) for one in arguments)
    if origin is typing.Literal:
        return any(value is one or (type(value) is type(one) and value == one) for one in arguments)
    if hint is None or hint is type(None):
        return value is None
    if hint is bool:
        return isinstance(value, bool | np.bool_)
    if hint in (int, float):
        kind = numbers.Integral if hint is int else numbers.Real
        return isinstance(value, kind) and not isinstance(value, bool)
    if origin is collections.abc.Callable or hint is PlayFn:
        return callable(value)
    if hint in (DataSource, CanAct, EnvLike):
        methods = {DataSource: ("stream",), CanAct: ("act",), EnvLike: ("reset", "step")}[hint]
        return not isinstance(value, type) and all(callable(getattr(value, method, None)) for method in methods)
    if origin in (collections.abc.Sequence, collections.abc.Iterable, list, tuple):
        of = arguments[0] if arguments and inner else Any
        return isinstance(value, list | tuple) and all(fits(one, of) for one in value)
    if origin in (dict, collections.abc.Mapping):
        of = arguments[1] if inner else Any
        return isinstance(value, dict) and all(fits(k, arguments[0]) and fits(v, of) for k, v in value.items())
    return isinstance(value, origin or hint)
