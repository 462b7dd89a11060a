"""What an environment carries from one episode to the next, and how to give it back.

A seeded reset settles an environment, but not a wrapper that keeps running statistics. Those of
Gymnasium are known here, and others kept in the same way; any other layer is asked, where it has
``state_dict`` and ``load_state_dict``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tensor_optix.core.storage.exact_json import is_packable, pack, to_exact, unpack
from tensor_optix.exceptions import CheckpointError, StateMismatchError

_STATISTIC_FIELDS = ("mean", "var", "count")
_RUNNING_RETURNS = ("discounted_reward", "accumulated_reward")
OF_OTHERS = ("own",)
"""Under this stands what a layer said of itself."""


def env_state(env: Any) -> dict[str, Any]:
    """Return the JSON-able state of all layers that have one, by their place; empty where none has.

    Layers inside other processes are not reached.
    """
    states = {str(place): _state_of(layer) for place, layer in enumerate(layers_of(env))}
    return {place: state for place, state in states.items() if state}


def restore_env_state(env: Any, saved: dict[str, Any]) -> list[str]:
    """Give every layer back what :func:`env_state` found, and return what could not be, in phrases.

    Raises:
        StateMismatchError: A layer's statistics are of another shape.
    """
    layers, lost = list(layers_of(env)), []
    for place, state in saved.items():
        layer = layers[int(place)] if int(place) < len(layers) else None
        if layer is None or type(layer).__name__ != state["class"]:
            lost.append(f"the environment has no layer {state['class']} any more, so its state is not given back")
        elif "lost" not in state:
            _restore(layer, state)
    return lost


def not_saved(states: dict[str, Any]) -> list[str]:
    """Return, in phrases, which layers gave :func:`env_state` a state that cannot be saved."""
    return [
        f"the state of the wrapper {state['class']} cannot be saved, so it starts afresh ({state['lost']})"
        for state in states.values()
        if "lost" in state
    ]


def layers_of(env: Any) -> Iterator[Any]:
    """Yield wrappers from the outside in, those of each sub-environment, and what they wrap."""
    while env is not None:
        yield env
        for inner in getattr(env, "envs", ()):
            yield from layers_of(inner)
        env = vars(env).get("env") if hasattr(env, "__dict__") else None


def has_own_state(layer: Any) -> bool:
    """Tell whether a layer saves and takes back its state by itself."""
    methods = ("state_dict", "load_state_dict")
    return all(callable(getattr(type(layer), method, None)) for method in methods)


def is_known(name: str, value: Any) -> bool:
    """Tell whether a layer's attribute is one of those that are saved without being asked for."""
    return name in _RUNNING_RETURNS or _is_statistics(value)


def _state_of(layer: Any) -> dict[str, Any] | None:
    kind = type(layer).__name__
    if has_own_state(layer):
        own = layer.state_dict()
        try:
            to_exact(own, "state_dict()")
        except CheckpointError as error:
            return {"class": kind, "lost": str(error)}
        return {"class": kind, "own": own}
    kept: dict[str, Any] = {}
    for name, value in getattr(layer, "__dict__", {}).items():
        if _is_statistics(value):
            kept[name] = {field: _plain(number) for field, number in vars(value).items() if _is_number(number)}
        elif name in _RUNNING_RETURNS and _is_number(value):
            kept[name] = _plain(value)
    return {"class": kind, "kept": kept} if kept else None


def _is_statistics(value: Any) -> bool:
    own = getattr(value, "__dict__", {})
    return all(_is_number(own.get(field)) for field in _STATISTIC_FIELDS)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) or is_packable(value)


def _plain(value: Any) -> Any:
    """Return Python's numbers as they are, and NumPy's with their type: in that type the sums go on."""
    return pack(value) if is_packable(value) else value


def _restore(layer: Any, state: dict[str, Any]) -> None:
    if "own" in state:
        layer.load_state_dict(state["own"])
        return
    for name, value in state["kept"].items():
        if isinstance(value, dict) and "base64" not in value:
            for field, number in value.items():
                _set(getattr(layer, name), field, number)
        else:
            _set(layer, name, value)


def _set(owner: Any, name: str, plain: Any) -> None:
    like = getattr(owner, name)
    if not isinstance(plain, dict):
        # A Python number, or values without their type, as runs were saved before.
        setattr(owner, name, np.asarray(plain, like.dtype) if isinstance(like, np.ndarray) else plain)
        return
    value = unpack(plain)
    if np.shape(value) != np.shape(like):
        raise StateMismatchError(
            f"`{name}` of the environment's {type(owner).__name__} was of shape {np.shape(value)} and is "
            f"{np.shape(like)}. Resume with the environment and wrappers that the run was started with."
        )
    setattr(owner, name, value)
