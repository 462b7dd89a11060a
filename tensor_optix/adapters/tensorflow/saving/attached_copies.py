"""Copies of what hangs on an agent and moves when it acts: generators, seeds, counters, and what holds them."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tensor_optix.adapters.tensorflow.saving.attached_state import MAX_DEPTH, inner_values
from tensor_optix.core.attributes import own_attributes
from tensor_optix.core.base_agent import BaseAgent

_NETWORKS = (keras.layers.Layer, keras.optimizers.Optimizer)
_COPIED_WHOLE = (keras.Variable, tf.Variable, keras.metrics.Metric, tf.random.Generator, np.random.Generator)


def attached_copies(agent: BaseAgent, networks: Iterable[Any]) -> dict[str, Any]:
    """Return, by attribute, what a class of the user's own keeps: what acting moves is copied, networks are shared.

    What an agent's state does not look into (libraries' objects, long lists) is shared, too.

    Args:
        agent: Whose.
        networks: Those that it consists of.
    """
    own = own_attributes(type(agent))
    done: dict[int, Any] = {id(agent): agent, **{id(v): v for network in networks for v in network.variables}}
    return {name: _copied(value, done, 0) for name, value in vars(agent).items() if name not in own}


def _copied(value: Any, done: dict[int, Any], depth: int) -> Any:
    if id(value) in done or depth > MAX_DEPTH or isinstance(value, _NETWORKS):
        return done.get(id(value), value)
    if isinstance(value, keras.random.SeedGenerator):
        done[id(value)] = keras.random.SeedGenerator(0)
        done[id(value)].state.assign(value.state)
    elif isinstance(value, _COPIED_WHOLE):
        done[id(value)] = copy.deepcopy(value)
    elif inner_values(value):
        _copy_holder(value, done, depth)
    return done.get(id(value), value)


def _copy_holder(value: Any, done: dict[int, Any], depth: int) -> None:
    """Copy a container or an object of the user's own, and within it what acting moves."""
    if isinstance(value, tuple):
        parts = [_copied(part, done, depth + 1) for part in value]
        done[id(value)] = type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
        return
    try:
        held = done[id(value)] = copy.copy(value)
    except Exception:  # a class of the user's own may forbid it
        done[id(value)] = value
        return
    if isinstance(value, list):
        held[:] = [_copied(part, done, depth + 1) for part in value]
        return
    inner = value if isinstance(value, dict) else getattr(value, "__dict__", {})
    own = held if isinstance(value, dict) else getattr(held, "__dict__", {})
    own.update({name: _copied(part, done, depth + 1) for name, part in inner.items()})
