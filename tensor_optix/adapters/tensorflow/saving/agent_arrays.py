"""Keras variables as named arrays, and back, all or nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tensor_optix.exceptions import NonFiniteError, StateMismatchError


def read_variables(prefix: str, variables: Sequence[Any]) -> dict[str, np.ndarray]:
    """Return copies of the values as ``{prefix}.{index}``; Keras's own names differ from run to run."""
    return {f"{prefix}.{i}": np.array(variable.numpy()) for i, variable in enumerate(variables)}


def check_variables(prefix: str, variables: Sequence[Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Raise unless ``arrays`` holds a value of the right shape and type for each variable, and no others.

    Raises:
        StateMismatchError: The state belongs to a model or optimizer of another structure.
        NonFiniteError: A value is NaN, or that of a weight that is trained infinite.
    """
    expected = {f"{prefix}.{i}": tuple(variable.shape) for i, variable in enumerate(variables)}
    found = {name: tuple(a.shape) for name, a in arrays.items() if name.startswith(f"{prefix}.")}
    if expected != found:
        differing = sorted(name for name in {*expected, *found} if expected.get(name) != found.get(name))
        name = differing[0]
        raise StateMismatchError(
            f"The state does not fit this agent: {len(differing)} arrays of '{prefix}' differ, first {name!r} "
            f"(here {expected.get(name, 'none')}, in the state {found.get(name, 'none')}). "
            "Give the state to an agent with the same model, the same layers trainable and the same kind of optimizer."
        )

    for i, variable in enumerate(variables):
        _check_values(f"{prefix}.{i}", variable, arrays[f"{prefix}.{i}"])


def _check_values(name: str, variable: Any, array: np.ndarray) -> None:
    where, expected = getattr(variable, "path", name), tf.as_dtype(variable.dtype).name
    # A single number (a learning rate) is as wide as Keras's floatx was when it was made.
    is_a_rate = array.ndim == 0 and {array.dtype.name, expected} == {"float32", "float64"}
    if array.dtype.name != expected and not is_a_rate:
        raise StateMismatchError(
            f"The array {name!r} ({where}) holds {array.dtype.name}, but the agent's variable is {expected}. "
            "Give the state to an agent with the same model and the same dtypes."
        )
    if not tf.as_dtype(expected).is_floating:
        return
    numbers = array.astype(np.float32) if expected == "bfloat16" else array
    bad = int((~np.isfinite(numbers)).sum() if variable.trainable else np.isnan(numbers).sum())
    if bad:
        raise NonFiniteError(
            f"The array {name!r} ({where}) of the state holds {bad} of {array.size} values that are NaN or infinite. "
            "It is not loaded; an earlier snapshot may be whole."
        )


def write_variables(prefix: str, variables: Sequence[Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Assign what :func:`read_variables` returned."""
    for i, variable in enumerate(variables):
        variable.assign(arrays[f"{prefix}.{i}"])


def digest(variables: Sequence[Any]) -> str:
    """Return a checksum of what the variables hold."""
    checksum = hashlib.sha256()
    for variable in variables:
        checksum.update(np.asarray(variable.numpy()).tobytes())
    return checksum.hexdigest()


def undo_unless(succeeded: Any, variables: Sequence[Any], saved: Sequence[Any]) -> None:
    """Give the variables back the values ``saved``, unless ``succeeded`` (a bool scalar); for traced updates."""

    def undo() -> Any:
        for variable, value in zip(variables, saved, strict=True):
            variable.assign(value)
        return tf.constant(0)

    tf.cond(succeeded, lambda: tf.constant(0), undo)
