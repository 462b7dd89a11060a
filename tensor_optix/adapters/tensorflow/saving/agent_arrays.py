"""Keras variables as named arrays, and back, all or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tensor_optix.exceptions import StateMismatchError


def read_variables(prefix: str, variables: Sequence[Any]) -> dict[str, np.ndarray]:
    """Return copies of the values as ``{prefix}.{index}``; Keras's own names differ from run to run."""
    return {f"{prefix}.{i}": np.array(variable.numpy()) for i, variable in enumerate(variables)}


def check_variables(prefix: str, variables: Sequence[Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Raise unless ``arrays`` holds a value of the right shape for each variable, and no others.

    Raises:
        StateMismatchError: The state belongs to a model or optimizer of another structure.
    """
    expected = {f"{prefix}.{i}": tuple(variable.shape) for i, variable in enumerate(variables)}
    found = {name: tuple(a.shape) for name, a in arrays.items() if name.startswith(f"{prefix}.")}
    if expected != found:
        differing = sorted(name for name in {*expected, *found} if expected.get(name) != found.get(name))
        name = differing[0]
        raise StateMismatchError(
            f"The state does not fit this agent: {len(differing)} arrays of '{prefix}' differ, first {name!r} "
            f"(here {expected.get(name, 'none')}, in the state {found.get(name, 'none')}). "
            "Give the state to an agent with the same model and the same kind of optimizer."
        )


def write_variables(prefix: str, variables: Sequence[Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Assign what :func:`read_variables` returned."""
    for i, variable in enumerate(variables):
        variable.assign(arrays[f"{prefix}.{i}"])


def undo_unless(succeeded: Any, variables: Sequence[Any], saved: Sequence[Any]) -> None:
    """Give the variables back the values ``saved``, unless ``succeeded`` (a bool scalar); for traced updates."""

    def undo() -> Any:
        for variable, value in zip(variables, saved, strict=True):
            variable.assign(value)
        return tf.constant(0)

    tf.cond(succeeded, lambda: tf.constant(0), undo)
