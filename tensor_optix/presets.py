"""From an environment to good defaults: an agent with its networks, and a pipeline that suits it."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np

from tensor_optix.algorithms.registry import AUTO, Algorithm, algorithm_named, algorithm_of, registered
from tensor_optix.core.checks import check_int, check_ints, check_number, check_seed
from tensor_optix.core.protocols import CanAct, EnvSource
from tensor_optix.core.types import HyperparamSet
from tensor_optix.exceptions import InvalidArgumentError, UnsupportedSpaceError
from tensor_optix.pipeline.batch_pipeline import BatchPipeline
from tensor_optix.pipeline.environment_names import EnvironmentName, environment_named
from tensor_optix.pipeline.stepping.action_masks import AskedMasks
from tensor_optix.pipeline.stepping.env_guard import open_env
from tensor_optix.pipeline.stepping.env_kinds import guard_of

if TYPE_CHECKING:
    from tensor_optix.adapters.tensorflow.tf_agent import TFAgent


def make_pipeline(
    env: EnvSource | str,
    agent: CanAct | None = None,
    num_envs: int | None = None,
    window_size: int | None = None,
    seed: int | None = None,
    *,
    algorithm: str = "auto",
    action_mask: AskedMasks = "auto",
) -> BatchPipeline:
    """Return a pipeline that steps ``num_envs`` copies of an environment.

    Args:
        env: An id, also as ``module:id``, an ``EnvironmentName``, another callable that makes one environment, or an
            environment (of which there is one).
        agent: What acts; may also be set later.
        num_envs: How many copies step together. Default: as many as suit the algorithm.
        window_size: T, steps of a window of each copy. Default: what suits the algorithm, shared
            by the copies.
        seed: Source of the environments' randomness; None: the run's.
        algorithm: What the defaults should suit, where ``agent`` does not tell; see :func:`make_agent`.
        action_mask: Where it is told which actions are allowed, as ``BatchPipeline`` takes it.

    Raises:
        UnknownEnvironmentError: No environment is registered under the id.
        InvalidArgumentError: A count is out of range, an instance should be copied, or the
            algorithm is unknown.
        UnsupportedSpaceError: The algorithm cannot serve the action space.
    """
    check_int("num_envs", num_envs, at_least=1, optional=True)
    check_int("window_size", window_size, at_least=1, optional=True)
    env = environment_named(env)
    if (num_envs or 1) > 1 and not callable(env):
        raise InvalidArgumentError(
            f"An environment that is already made cannot be copied num_envs={num_envs} times. "
            "Pass its id, or a callable that makes one."
        )
    defaults = algorithm_of(agent) or _algorithm_for(algorithm, spaces_of(env)[1])
    can_be_copied = callable(env)
    default = defaults.num_envs if can_be_copied else guard_of(env).num_envs
    count = num_envs or default
    size = window_size or max(1, defaults.window_steps // count)
    made = _maker(env, count if can_be_copied else 1)
    return BatchPipeline(made, agent, window_size=size, seed=seed, action_mask=action_mask)


def make_agent(env: EnvSource | str, algorithm: str = "auto", *, seed: int | None = None, **overrides: Any) -> TFAgent:
    """Return an agent with networks for an environment's spaces, ready to act.

    Args:
        env: An id, also as ``module:id``, an ``EnvironmentName``, another callable that makes an environment, or one.
        algorithm: One of :func:`known_algorithms`; "auto" is the one that serves the spaces best. ``module:name`` is
            one that a module of yours registers when it is imported.
        seed: Of all its draws; None: drawn.
        **overrides: Arguments of the agent's class (``batch_size``, ``hidden_units``, with "ppo" also
            ``memory="gru"`` or ``"lstm"`` and ``memory_units``, ...) and its hyperparameters by name
            (``learning_rate``, ``gamma``, ...).

    Raises:
        InvalidArgumentError: The algorithm or an override is unknown, or a value out of range.
        UnsupportedSpaceError: The algorithm cannot serve such actions, or there is no default
            network for such observations.

    Example:
        >>> agent = make_agent("CartPole-v1", learning_rate=1e-3, hidden_units=(32, 32), seed=0)
        >>> agent.get_hyperparams().params["gamma"]
        0.995
    """
    check_seed("seed", seed)
    if "hidden_units" in overrides:
        check_ints("hidden_units", overrides["hidden_units"], at_least=1)
    observation_space, action_space = spaces_of(environment_named(env))
    kind = _algorithm_for(algorithm, action_space).agent_class()
    overrides = _without_memory(kind, overrides)
    agent = _made(kind, observation_space, action_space, overrides, seed)
    agent.bind(observation_space, action_space, seed=seed)
    return agent


def known_algorithms() -> list[str]:
    """Return the names that :func:`make_agent` takes, those of algorithms of yours that are registered among them."""
    return [AUTO, *registered()]


def _maker(env: Any, num_envs: int) -> Any:
    """Return what makes so many copies of an environment in one, where it can be copied."""
    if isinstance(env, EnvironmentName):
        return env.copies(None if num_envs == 1 else num_envs)
    return env if num_envs == 1 else lambda: gym.vector.SyncVectorEnv([env] * num_envs)


def spaces_of(env: Any) -> tuple[gym.Space[Any], gym.Space[Any]]:
    """Return observation and action space of one environment, also of one that is named or has to be made."""
    opened, made_here = open_env(env.copies(None) if isinstance(env, EnvironmentName) else env)
    guard = guard_of(opened)
    spaces = guard.space("observation"), guard.space("action")
    if made_here:
        guard.close()
    return spaces


# ---------------------------------------------------------------- one agent of a class


def _made(
    kind: Any, observation_space: Any, action_space: Any, overrides: Mapping[str, Any], seed: int | None
) -> TFAgent:
    arguments = _arguments_of(kind)
    model = arguments.get("model")
    if model is not None and model.default is inspect.Parameter.empty:
        return _with_a_default_model(kind, list(arguments), observation_space, action_space, overrides, seed)
    return _with_its_own_networks(kind, [name for name in arguments if name != "hyperparams"], overrides)


def _without_memory(kind: type, overrides: dict[str, Any]) -> dict[str, Any]:
    """Return settings without ``memory=None``, which every agent may be told.

    Raises:
        InvalidArgumentError: Memory is asked for, and the agent has none.
    """
    asked = overrides.get("memory")
    if "memory" in _arguments_of(kind):
        return overrides
    if asked is not None:
        raise InvalidArgumentError(
            f"memory={asked!r:.100} is for ppo, the one algorithm here that learns policies that remember; "
            f'{kind.__name__} does not. Call make_agent(env, "ppo", memory="gru").'
        )
    return {name: value for name, value in overrides.items() if name != "memory"}


def _arguments_of(kind: type) -> dict[str, inspect.Parameter]:
    """Return the named arguments of a class, with those that its constructor hands on to its parents'."""
    arguments: dict[str, inspect.Parameter] = {}
    for cls in kind.__mro__:
        if "__init__" not in vars(cls):
            continue
        own = list(inspect.signature(vars(cls)["__init__"]).parameters.values())[1:]
        arguments = {p.name: p for p in own if p.kind not in _COLLECTS} | arguments
        if not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in own):
            break
    return arguments


_COLLECTS = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _with_its_own_networks(kind: Any, arguments: list[str], overrides: Mapping[str, Any]) -> TFAgent:
    """Make an agent that builds its networks itself: overrides are constructor arguments or hyperparameters."""
    _check_names(overrides, [*arguments, *kind._settings, "seed"])
    structure = {name: value for name, value in overrides.items() if name in arguments}
    params = {name: value for name, value in overrides.items() if name not in arguments}
    agent: TFAgent = kind(hyperparams=HyperparamSet(params, episode_id=0), **structure)
    return agent


def _with_a_default_model(
    kind: Any,
    arguments: list[str],
    observation_space: Any,
    action_space: Any,
    overrides: Mapping[str, Any],
    seed: int | None,
) -> TFAgent:
    """Make an agent that is given its network, as ``TFAgent`` is: overrides may also be arguments of its own."""
    import keras

    from tensor_optix.adapters.spaces.observation_parts import without_mask
    from tensor_optix.adapters.tensorflow.models.default_networks import build_model
    from tensor_optix.adapters.tensorflow.tf_agent import SETTINGS, TFAgent

    own = [name for name in arguments if name not in inspect.signature(TFAgent).parameters]
    _check_names(overrides, ["hidden_units", "seed", *SETTINGS, *own])
    structure = {name: value for name, value in overrides.items() if name in own}
    params: dict[str, Any] = {name: SETTINGS[name].default for name in ("learning_rate", "gamma")}
    params |= {name: value for name, value in overrides.items() if name not in own}
    hidden_units = params.pop("hidden_units", (64, 64))
    check_number("learning_rate", params["learning_rate"], above=0.0)
    num_outputs = int(action_space.n) if isinstance(action_space, gym.spaces.Discrete) else np.prod(action_space.shape)
    shown = without_mask(observation_space, action_space)
    model = build_model(shown, int(num_outputs), hidden_units, seed=seed)
    optimizer = keras.optimizers.Adam(float(params["learning_rate"]))
    agent: TFAgent = kind(
        model=model, optimizer=optimizer, hyperparams=HyperparamSet(params, episode_id=0), **structure
    )
    return agent


def _algorithm_for(name: str, action_space: Any) -> Algorithm:
    """Return the algorithm of this name, which must serve the actions; "auto": the first that does."""
    asked_for = algorithm_named(name)
    kind = type(action_space).__name__
    able = {other: algorithm for other, algorithm in registered().items() if kind in algorithm.serves}
    chosen = next(iter(able.values()), None) if asked_for is None else asked_for
    if chosen is None or kind not in chosen.serves:
        raise UnsupportedSpaceError(
            f"{name!r} cannot serve actions of {action_space}. "
            + (f"These can: {', '.join(able)}." if able else "No algorithm here can; wrap the environment.")
        )
    return chosen


def _check_names(given: Mapping[str, Any], known: list[str]) -> None:
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3)
            hint = f"Did you mean {' or '.join(repr(n) for n in near)}? " if near else ""
            raise InvalidArgumentError(f"Unknown setting {name!r}. {hint}Known are {', '.join(sorted(known))}.")
