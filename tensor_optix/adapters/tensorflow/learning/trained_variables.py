"""Which weights are trained: the user may freeze layers, and let them go again, between two runs or within one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from tensor_optix.adapters.tensorflow.learning.keras_optimizers import unused_copy
from tensor_optix.exceptions import InvalidArgumentError


class TrainableFlags:
    """Notices where a layer's ``trainable`` was set since a learner was made for what it trains.

    Args:
        variables: All weights of the networks.
    """

    def __init__(self, variables: Sequence[Any]) -> None:
        self._variables = list(variables)
        self._followed = self.told()

    def told(self) -> list[bool]:
        """Return for each weight whether it is trained now."""
        return [bool(variable.trainable) for variable in self._variables]

    def have_changed(self) -> bool:
        """Tell whether others are trained now than when this was last told, and count them as known from here on.

        Raises:
            InvalidArgumentError: None is.
        """
        now = self.told()
        if now == self._followed:
            return False
        if not any(now):
            raise InvalidArgumentError(
                "Every layer of the agent's networks is frozen, so that nothing is left to learn. "
                "Set `trainable = True` on some of them."
            )
        self._followed = now
        return True

    def fit(self, saved: Any) -> bool:
        """Tell whether a saved list of flags could be of these weights."""
        is_list = isinstance(saved, list) and len(saved) == len(self._variables)
        return is_list and all(isinstance(flag, bool) for flag in saved)

    def set(self, flags: Sequence[bool]) -> None:
        """Let weights be trained, or not, as ``told`` once told."""
        for variable, flag in zip(self._variables, flags, strict=True):
            if bool(variable.trainable) != flag:
                variable.trainable = flag


def knows_some(optimizer: Any, variables: Sequence[Any]) -> bool:
    """Tell whether a built Keras optimizer trains any of these variables."""
    own = {id(variable) for variable in getattr(optimizer, "_trainable_variables", [])}
    return any(id(variable) in own for variable in variables)


def moved_to(optimizer: Any, variables: Sequence[Any]) -> Any:
    """Return a Keras optimizer of the same configuration that trains ``variables``, and goes on with those it knows.

    Rate, count of steps, and what it remembers of a variable go along; of one that is new to it, it knows nothing.

    Args:
        optimizer: A built Keras optimizer.
        variables: What is trained from here on.
    """
    moved = unused_copy(optimizer, variables)
    _carry(optimizer, moved)
    inner = getattr(optimizer, "inner_optimizer", None)
    if inner is not None:
        _carry(inner, moved.inner_optimizer)
    return moved


def _carry(old: Any, new: Any) -> None:
    known = {id(variable): i for i, variable in enumerate(old._trainable_variables)}
    pairs = [(known[id(v)], i) for i, v in enumerate(new._trainable_variables) if id(v) in known]
    for name, value in vars(old).items():
        other = vars(new).get(name)
        if _is_slot(value, other):
            other.assign(value)
        elif name not in ("_variables", "_trainable_variables") and isinstance(value, list) and isinstance(other, list):
            for i, j in pairs:  # one for each variable
                if len(value) > i and len(other) > j and _is_slot(value[i], other[j]):
                    other[j].assign(value[i])


def _is_slot(value: Any, other: Any) -> bool:
    return isinstance(value, keras.Variable) and isinstance(other, keras.Variable) and value.shape == other.shape
