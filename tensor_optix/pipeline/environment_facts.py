"""What a run's folder keeps of its environment, so that it can be made again by name."""

from __future__ import annotations

import inspect
import re
import sys
from typing import Any

import gymnasium as gym

from tensor_optix.core.storage.json_files import require_jsonable, to_jsonable
from tensor_optix.exceptions import CheckpointError
from tensor_optix.pipeline.environment_names import EnvironmentName

_OF_THE_VECTOR = ("num_envs", "vectorization_mode", "vector_kwargs", "wrappers")
_MAX_TEXT = 200
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def environment_facts(source: Any, env: Any) -> dict[str, Any]:
    """Return id, arguments and wrappers of an environment, as ``EnvironmentName.from_json`` takes them.

    Args:
        source: What the user gave: an ``EnvironmentName`` is kept as it is.
        env: The environment that came of it; anything else is told from its Gymnasium spec, where it has one.

    Returns:
        ``env_id`` (None where unknown), ``env_kwargs``, ``wrappers``, and in ``unnamed`` phrases for what only the
        user's script knows: arguments that JSON does not hold, wrappers with arguments of their own.
    """
    if isinstance(source, EnvironmentName):
        return {**source.to_json(), "unnamed": []}
    facts: dict[str, Any] = {"env_id": None, "env_kwargs": {}, "wrappers": [], "unnamed": []}
    for spec in _specs_of(env):
        facts["env_id"] = facts["env_id"] or getattr(spec, "id", None)
        _add_arguments(facts, spec)
        _add_wrappers(facts, spec)
    return facts


def _specs_of(env: Any) -> list[Any]:
    """Return the spec of an environment; of a vector in this process that has none, its first environment's."""
    try:
        spec = getattr(env, "spec", None)
        if spec is None and isinstance(getattr(env, "unwrapped", None), gym.vector.SyncVectorEnv):
            spec = env.unwrapped.envs[0].spec
    except Exception:  # a wrapper whose arguments cannot be copied: nothing is known
        return []
    return [] if spec is None else [spec]


def _add_arguments(facts: dict[str, Any], spec: Any) -> None:
    given = {key: value for key, value in (getattr(spec, "kwargs", None) or {}).items() if key not in _OF_THE_VECTOR}
    registered = gym.registry.get(facts["env_id"])
    limit = getattr(spec, "max_episode_steps", None)
    if registered is not None:
        given = {key: value for key, value in given.items() if not _is_same(value, registered.kwargs.get(key))}
        if limit is not None and limit != registered.max_episode_steps:
            given["max_episode_steps"] = limit
    for key, value in given.items():
        try:
            facts["env_kwargs"][key] = require_jsonable(value, key)
        except CheckpointError:
            facts["unnamed"].append(f"the argument {key}={_in_words(value)}")


def _add_wrappers(facts: dict[str, Any], spec: Any) -> None:
    for wrapper in getattr(spec, "additional_wrappers", ()):
        if _needs_no_arguments(wrapper):
            facts["wrappers"].append(wrapper.entry_point)
        else:
            given = (wrapper.kwargs or {}).items()
            arguments = ", ".join(f"{key}={_in_words(value)}" for key, value in given) or "..."
            facts["unnamed"].append(f"the wrapper {wrapper.entry_point}({arguments})")
    for function in (getattr(spec, "kwargs", None) or {}).get("wrappers") or ():  # those of make_vec
        module, name = getattr(function, "__module__", "__main__"), getattr(function, "__qualname__", "")
        if module != "__main__" and name.isidentifier():
            facts["wrappers"].append(f"{module}:{name}")
        else:
            facts["unnamed"].append(f"the wrapper {_in_words(function)}")


def _needs_no_arguments(wrapper: Any) -> bool:
    """Tell whether the class, called with the environment alone, makes the same wrapper."""
    module, _, name = wrapper.entry_point.partition(":")
    if module == "__main__":
        return False
    kind = getattr(sys.modules.get(module), name, None)
    try:
        parameters = list(inspect.signature(kind).parameters.values())[1:] if kind else None
    except (TypeError, ValueError):
        return False
    if parameters is None or (wrapper.kwargs is None and parameters):
        return False
    defaults = {parameter.name: parameter.default for parameter in parameters}
    return all(
        _is_same(value, defaults.get(key, inspect.Parameter.empty)) for key, value in (wrapper.kwargs or {}).items()
    )


def _in_words(value: Any) -> str:
    text = getattr(value, "__qualname__", None) or str(to_jsonable(value))
    return _ADDRESS.sub("", text)[:_MAX_TEXT]  # an address differs from run to run and tells nobody anything


def _is_same(value: Any, other: Any) -> bool:
    try:
        return type(value) is type(other) and bool(value == other)
    except Exception:  # arrays, and whatever else does not say yes or no
        return False
