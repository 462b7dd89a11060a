"""Whatever is given for an argument: an error of ours before the first step, or it is accepted and works.

The annotations are the rule: what does not fit an argument's annotation must be refused.
"""

from __future__ import annotations

import collections.abc
import functools
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
from tensor_optix.exceptions import TensorOptixError
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


SPACE, ACTIONS = gym.spaces.Box(-1.0, 1.0, (3,)), gym.spaces.Discrete(2)


@functools.cache
def ready_agent(folder: Path) -> tx.TFAgent:
    agent = tx.TFAgent(model(), keras.optimizers.Adam(), tx.HyperparamSet({}, 0))
    agent.bind(SPACE, ACTIONS, seed=0)
    agent.save_weights(str(folder / "weights"))
    return agent


def filled_registry(folder: Path) -> tx.CheckpointRegistry:
    registry = tx.CheckpointRegistry(folder / "filled")
    if registry.best is None:
        registry.save(StatefulAgent(), tx.EvalMetrics(1.0, {}, 0), tx.HyperparamSet({}, 0))
    return registry


def calibrated(_: Path) -> tx.DegradationDetector:
    detector = tx.DegradationDetector()
    detector.calibrate([1.0, 2.0, 1.0])
    return detector


def small(agent: type[tx.TFAgent], **settings: Any) -> Callable[[Path], tx.TFAgent]:
    return lambda _: agent(hidden_units=(4,), **settings)


METRICS, PARAMS = tx.EvalMetrics(1.0, {}, 0), tx.HyperparamSet({"a": 1.0}, 0)
SPACES = {"observation_space": SPACE, "action_space": ACTIONS}
BOXES = {"observation_space": SPACE, "action_space": gym.spaces.Box(-1.0, 1.0, (2,))}
SUGGESTION = {"current_hyperparams": PARAMS, "metrics_history": [METRICS]}

METHODS: dict[str, tuple[Callable[[Path], Any], dict[str, Any]]] = {
    "TFAgent.bind": (ready_agent, SPACES),
    "PPOAgent.bind": (small(tx.PPOAgent), SPACES),
    "DQNAgent.bind": (small(tx.DQNAgent, buffer_size=100), SPACES),
    "SACAgent.bind": (small(tx.SACAgent, buffer_size=100), BOXES),
    "TFAgent.get_state": (ready_agent, {}),
    "TFAgent.set_state": (ready_agent, {"state": tx.AgentState({})}),
    "TFAgent.set_hyperparams": (ready_agent, {"hyperparams": PARAMS}),
    "PPOAgent.set_hyperparams": (small(tx.PPOAgent), {"hyperparams": tx.HyperparamSet({}, 0)}),
    "TFAgent.save_weights": (ready_agent, {"path": "weights"}),
    "TFAgent.load_weights": (ready_agent, {"path": "weights"}),
    "RLOptimizer.run": (lambda folder: tx.RLOptimizer(**loop_arguments(folder)), {}),
    "LoopController.run": (lambda folder: tx.LoopController(**controller_arguments(folder)), {}),
    "BatchPipeline.set_agent": (lambda _: tx.BatchPipeline(CountedEnv()), {"agent": Actor()}),
    "BatchPipeline.set_seed": (lambda _: tx.BatchPipeline(CountedEnv()), {"seed": 1}),
    "BatchPipeline.play_episodes": (
        lambda _: tx.BatchPipeline(CountedEnv()),
        {"act": lambda observation: 0, "num_episodes": 1, "seed": 1},
    ),
    "LivePipeline.set_agent": (lambda _: tx.LivePipeline(Feed()), {"agent": Actor()}),
    "LivePipeline.set_seed": (lambda _: tx.LivePipeline(Feed()), {"seed": 1}),
    "LivePipeline.every_n_steps": (lambda _: tx.LivePipeline, {"n": 1}),
    "LivePipeline.every_n_seconds": (lambda _: tx.LivePipeline, {"s": 1.0}),
    "BackoffScheduler.record_improvement": (lambda _: tx.BackoffScheduler(), {"score": 1.0}),
    "BackoffScheduler.check_degradation": (lambda _: tx.BackoffScheduler(), {"score": 1.0}),
    "BackoffScheduler.should_adapt": (lambda _: tx.BackoffScheduler(), {"n": 1}),
    "CheckpointRegistry.save": (
        filled_registry,
        {"agent": StatefulAgent(), "eval_metrics": METRICS, "hyperparams": PARAMS},
    ),
    "CheckpointRegistry.load": (filled_registry, {"agent": StatefulAgent(), "snapshot_id": "000001"}),
    "CheckpointRegistry.load_best": (filled_registry, {"agent": StatefulAgent()}),
    "CheckpointRegistry.load_state": (filled_registry, {"snapshot_id": "000001"}),
    "CheckpointRegistry.set_best": (filled_registry, {"snapshot_id": "000001"}),
    "BackoffOptimizer.suggest": (lambda _: tx.BackoffOptimizer({"a": (0.0, 2.0)}), SUGGESTION),
    "PBTOptimizer.suggest": (lambda _: tx.PBTOptimizer({"a": (0.0, 2.0)}), SUGGESTION),
    "BackoffOptimizer.bind_bounds": (lambda _: tx.BackoffOptimizer("agent"), {"bounds": {"a": (0.0, 1.0)}}),
    "BackoffOptimizer.set_seed": (lambda _: tx.BackoffOptimizer(), {"seed": 1}),
    "PlateauDetector.update": (lambda _: tx.PlateauDetector(), {"score": 1.0}),
    "DegradationDetector.update": (calibrated, {"score": 1.0}),
    "DegradationDetector.calibrate": (calibrated, {"scores": [1.0, 2.0, 1.0]}),
    "DegradationDetector.raise_threshold": (calibrated, {}),
    "EvalMetrics.beats": (lambda _: METRICS, {"other": METRICS}),
}
"""Methods that users call themselves, on what, and with which valid arguments."""


def test_every_public_name_is_called() -> None:
    assert sorted({*CALLS, *NOT_CALLED_BY_USERS}) == tx.__all__


@pytest.mark.parametrize("name", CALLS)
def test_each_argument_of_each_kind(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a text is a path, too
    call = CALLS[name]
    wrong = mistakes(call.function, lambda: call.valid(tmp_path), call.function, call.works, call.inner)
    assert wrong == []


@pytest.mark.parametrize("name", METHODS)
def test_each_argument_of_methods(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make, valid = METHODS[name]
    method = name.partition(".")[2]

    def call(**arguments: Any) -> Any:
        return getattr(make(tmp_path), method)(**arguments)

    wrong = mistakes(getattr(make(tmp_path), method), lambda: valid, call)
    assert wrong == []


def mistakes(
    signed: Callable[..., Any],
    valid: Callable[[], dict[str, Any]],
    call: Callable[..., Any],
    works: Callable[[Any], Any] = lambda result: None,
    inner: bool = True,
) -> list[str]:
    """Give each argument a value of each kind and return what was neither refused by us nor right."""
    hints, wrong = hints_of(signed), []
    for parameter in inspect.signature(signed).parameters.values():
        if parameter.kind in (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL):
            continue
        hint = hints.get(parameter.name, Any)
        for kind, value in KINDS.items():
            outcome = outcome_of(call, works, {**valid(), parameter.name: value})
            if outcome == "accepted" and not fits(value, hint, inner):
                outcome = f"was accepted, though it is no {hint}"
            if outcome not in ("accepted", "refused"):
                wrong.append(f"{parameter.name}={kind}: {outcome}")
    return wrong


def outcome_of(call: Callable[..., Any], works: Callable[[Any], Any], arguments: dict[str, Any]) -> str:
    CountedEnv.num_steps = 0
    try:
        works(call(**arguments))
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
        (lambda: tx.PPOAgent().bind(5, ACTIONS), "`observation_space` must be a Space. Received: 5 of type int"),
        (lambda: tx.PPOAgent().bind(SPACE, ACTIONS, num_envs=0), "`num_envs` must be an integer >= 1. Received: 0"),
        (lambda: tx.BackoffScheduler().check_degradation("1"), "`score` must be a number. Received: '1'"),
        (lambda: METRICS.beats(1.0), "`other` must be an EvalMetrics. Received: 1.0"),
        (lambda: tx.BackoffOptimizer().suggest({}, []), "`current_hyperparams` must be a HyperparamSet. Received: {}"),
        (lambda: tx.BackoffOptimizer().suggest(PARAMS, 5), "`metrics_history` must be a list or tuple. Received: 5"),
        (lambda: calibrated(Path()).calibrate(["a"]), "`scores` must be a sequence of numbers. Received: .'a'."),
        (lambda: tx.PlateauDetector(min_looks=16.5), "`min_looks` must be an integer >= 12. Received: 16.5"),
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
        if hint is float and isinstance(value, np.ndarray) and value.ndim == 0:
            return True  # where it is accepted, as from a framework that computes with such
        kind = numbers.Integral if hint is int else numbers.Real
        return isinstance(value, kind) and not isinstance(value, bool)
    if origin is collections.abc.Callable or hint is PlayFn:
        return callable(value)
    if typing.is_protocol(hint) if hasattr(typing, "is_protocol") else getattr(hint, "_is_protocol", False):
        methods = [name for name, member in vars(hint).items() if inspect.isfunction(member) and name[0] != "_"]
        return not isinstance(value, type) and all(callable(getattr(value, method, None)) for method in methods)
    if origin in (collections.abc.Sequence, collections.abc.Iterable, list, tuple):
        of = arguments[0] if arguments and inner else Any
        return isinstance(value, list | tuple) and all(fits(one, of) for one in value)
    if origin in (dict, collections.abc.Mapping):
        of = arguments[1] if inner else Any
        return isinstance(value, dict) and all(fits(k, arguments[0]) and fits(v, of) for k, v in value.items())
    return isinstance(value, origin or hint)
