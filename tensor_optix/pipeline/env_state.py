"""What an environment carries from one episode to the next, and how to give it back.

A seeded reset settles an environment, but not a wrapper that keeps running statistics. Those of
Gymnasium are known here; any other layer is asked, where it has ``state_dict`` and
``load_state_dict``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np

logger = logging.getLogger(__name__)

_STATISTICS = "RunningMeanStd"
_STATISTIC_FIELDS = ("mean", "var", "count")
_RUNNING_RETURNS = ("discounted_reward", "accumulated_reward")


def env_state(env: Any) -> dict[str, Any]:
    """Return the JSON-able state of all layers that have one, by their place; empty where none has.

    Layers inside other processes are not reached.
    """
    states = {str(place): _state_of(layer) for place, layer in enumerate(_layers(env))}
    return {place: state for place, state in states.items() if state}


def restore_env_state(env: Any, saved: dict[str, Any]) -> None:
    """Give every layer back what :func:`env_state` found."""
    layers = list(_layers(env))
    for place, state in saved.items():
        layer = layers[int(place)] if int(place) < len(layers) else None
        if layer is None or type(layer).__name__ != state["class"]:
            logger.warning("The environment has no layer %s any more; its state is not given back.", state["class"])
        else:
            _restore(layer, state)


def _layers(env: Any) -> Iterator[Any]:
    """Yield wrappers from the outside in, those of each sub-environment, and what they wrap."""
    while env is not None:
        yield env
        for inner in getattr(env, "envs", ()):
            yield from _layers(inner)
        env = vars(env).get("env") if hasattr(env, "__dict__") else None


def _state_of(layer: Any) -> dict[str, Any] | None:
    own = getattr(type(layer), "state_dict", None)
    if callable(own) and callable(getattr(type(layer), "load_state_dict", None)):
        return {"class": type(layer).__name__, "own": layer.state_dict()}
    kept: dict[str, Any] = {}
    for name, value in getattr(layer, "__dict__", {}).items():
        if type(value).__name__ == _STATISTICS:
            kept[name] = {field: np.asarray(getattr(value, field)).tolist() for field in _STATISTIC_FIELDS}
        elif name in _RUNNING_RETURNS:
            kept[name] = np.asarray(value).tolist()
    return {"class": type(layer).__name__, "kept": kept} if kept else None


def _restore(layer: Any, state: dict[str, Any]) -> None:
    if "own" in state:
        layer.load_state_dict(state["own"])
        return
    for name, value in state["kept"].items():
        if not isinstance(value, dict):
            setattr(layer, name, np.asarray(value, np.asarray(getattr(layer, name)).dtype))
            continue
        statistics = getattr(layer, name)
        for field, number in value.items():
            like = getattr(statistics, field)
            setattr(statistics, field, np.asarray(number, like.dtype) if isinstance(like, np.ndarray) else number)
