"""From an environment to good defaults: a model, an agent, a pipeline."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np

from tensor_optix.core.checks import check_int
from tensor_optix.exceptions import InvalidArgumentError, UnknownEnvironmentError, UnsupportedSpaceError
from tensor_optix.pipeline.batch_pipeline import BatchPipeline
from tensor_optix.pipeline.env_guard import open_env, space_of

if TYPE_CHECKING:
    from tensor_optix.adapters.tensorflow.tf_agent import TFAgent

STEPS_PER_UPDATE = 200
"""Steps of a window of a single environment."""

MIN_WINDOW_SIZE = 64
"""Fewest steps of a window, however many environments share it: returns need some length."""


def make_pipeline(
    env: Any, agent: Any = None, num_envs: int = 1, window_size: int | None = None, seed: int | None = None
) -> BatchPipeline:
    """Return a pipeline that steps ``num_envs`` copies of an environment.

    Args:
        env: An id, a callable that makes one environment, or an environment (then ``num_envs`` is 1).
        agent: What acts; may also be set later.
        num_envs: How many copies step together.
        window_size: T, steps of a window of each copy. Default: 200 for one copy, fewer for more.
        seed: Source of the environments' randomness; None: the run's.

    Raises:
        UnknownEnvironmentError: No environment is registered under the id.
        InvalidArgumentError: A count is out of range, or an instance should be copied.
    """
    check_int("num_envs", num_envs, at_least=1)
    if isinstance(env, str):
        check_environment_id(env)
    elif num_envs > 1 and not callable(env):
        raise InvalidArgumentError(
            f"An environment that is already made cannot be copied num_envs={num_envs} times. "
            "Pass its id, or a callable that makes one."
        )
    size = window_size or (STEPS_PER_UPDATE if num_envs == 1 else max(MIN_WINDOW_SIZE, STEPS_PER_UPDATE // num_envs))
    return BatchPipeline(_maker(env, num_envs), agent, window_size=size, seed=seed)


def make_agent(env: Any, algorithm: str = "auto", **overrides: Any) -> TFAgent:
    """Return an agent with a default model for an environment's spaces.

    Args:
        env: An id, an environment, a vector environment, or anything with the two spaces.
        algorithm: One of :func:`known_algorithms`.
        **overrides: Arguments of the algorithm's recipe (``hidden_units``, ``seed``), and its
            hyperparameters by name (``learning_rate``, ``gamma``, ...).

    Raises:
        InvalidArgumentError: The algorithm or an override is unknown, or a value out of range.
        UnsupportedSpaceError: There is no default model for such a space.

    Example:
        >>> agent = make_agent("CartPole-v1", learning_rate=1e-3, hidden_units=(32, 32), seed=0)
        >>> agent.get_hyperparams().params["gamma"]
        0.99
    """
    if algorithm not in known_algorithms():
        raise InvalidArgumentError(
            f"`algorithm` must be one of {', '.join(known_algorithms())}. Received: {algorithm!r}."
        )
    recipe = _RECIPES[_AUTOMATIC if algorithm == "auto" else algorithm]
    if isinstance(env, str):
        check_environment_id(env)
    observation_space, action_space = _spaces_of(env)
    return recipe(observation_space, action_space, **overrides)


def known_algorithms() -> list[str]:
    """Return the names that :func:`make_agent` takes."""
    return ["auto", *sorted(_RECIPES)]


def check_environment_id(env_id: str) -> None:
    """Raise unless Gymnasium knows the id, which may be ``module:id``.

    Raises:
        UnknownEnvironmentError: It does not; the error names the nearest ids.
    """
    module, _, name = env_id.rpartition(":")
    try:
        if module:
            importlib.import_module(module)  # which registers its environments
        gym.spec(name)
    except ImportError as error:
        raise UnknownEnvironmentError(f"{module!r} of {env_id!r} cannot be imported: {error}.") from None
    except gym.error.Error:
        near = nearest_environment_ids(name)
        hint = f"Did you mean {', '.join(near)}?" if near else "List all with gymnasium.pprint_registry()."
        raise UnknownEnvironmentError(f"No environment is registered as {env_id!r}. {hint}") from None


def nearest_environment_ids(env_id: str, num_ids: int = 3) -> list[str]:
    """Return the registered ids that look most like one that is not registered."""
    by_lower_case = {known.lower(): known for known in gym.registry}
    near = difflib.get_close_matches(env_id.lower(), by_lower_case, n=num_ids, cutoff=0.5)
    return [by_lower_case[name] for name in near]


def _maker(env: Any, num_envs: int) -> Any:
    """Return a callable that makes the environment anew, where there is one."""
    if isinstance(env, str):
        if num_envs == 1:
            return lambda: gym.make(env)
        return lambda: gym.make_vec(env, num_envs=num_envs, vectorization_mode="sync")
    return env if num_envs == 1 else lambda: gym.vector.SyncVectorEnv([env] * num_envs)


def _spaces_of(env: Any) -> tuple[gym.Space[Any], gym.Space[Any]]:
    """Return observation and action space of one environment."""
    opened, made_here = open_env(_maker(env, 1) if isinstance(env, str) else env)
    spaces = space_of(opened, "observation"), space_of(opened, "action")
    if made_here:
        opened.close()
    return spaces


# ---------------------------------------------------------------- recipes: one per algorithm


def _policy_gradient(
    observation_space: gym.Space[Any],
    action_space: gym.Space[Any],
    *,
    hidden_units: tuple[int, ...] = (64, 64),
    learning_rate: float = 3e-4,
    seed: int | None = None,
    **hyperparams: Any,
) -> TFAgent:
    """Return the plain ``TFAgent``: KL-controlled policy gradient with a linear baseline."""
    import keras

    from tensor_optix.adapters.tensorflow.default_networks import build_model
    from tensor_optix.adapters.tensorflow.hyperparameters import DEFAULTS
    from tensor_optix.adapters.tensorflow.tf_agent import TFAgent
    from tensor_optix.core.types import HyperparamSet

    _check_names(hyperparams, ["hidden_units", "learning_rate", "seed", *DEFAULTS])
    params = {"learning_rate": learning_rate, "gamma": DEFAULTS["gamma"], **hyperparams}
    model = build_model(observation_space, _num_outputs(action_space), hidden_units, seed=seed)
    return TFAgent(model, keras.optimizers.Adam(learning_rate=learning_rate), HyperparamSet(params, episode_id=0))


_RECIPES: dict[str, Callable[..., TFAgent]] = {"policy_gradient": _policy_gradient}
_AUTOMATIC = "policy_gradient"


def _num_outputs(action_space: gym.Space[Any]) -> int:
    if isinstance(action_space, gym.spaces.Discrete):
        return int(action_space.n)
    if isinstance(action_space, gym.spaces.Box):
        return int(np.prod(action_space.shape))
    raise UnsupportedSpaceError(
        f"There is no default model for actions of {action_space}. Supported are Discrete and Box."
    )


def _check_names(given: Mapping[str, Any], known: list[str]) -> None:
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"Did you mean {near[0]!r}? " if near else ""
            raise InvalidArgumentError(f"Unknown setting {name!r}. {hint}Known are {', '.join(sorted(known))}.")
