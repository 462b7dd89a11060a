"""Action masks: how the options of an action are laid out in one, what is wrong with one, and who takes them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from tensor_optix.core.protocols import original
from tensor_optix.exceptions import InvalidArgumentError, InvalidTypeError

Masks = npt.NDArray[np.bool_]

_KEYWORDS = {"act": "action_mask", "act_greedy": "action_mask", "act_batch": "action_masks"}


@dataclass(frozen=True)
class MaskLayout:
    """How the options of each choice in an action lie side by side in a mask ``[A]``; True where one is allowed.

    Attributes:
        sizes: How many options each choice has: ``(n,)`` of a Discrete space, ``nvec``, flattened, of a MultiDiscrete
            one; of a MultiBinary one 2 for each bit, whether it may be 0 and whether it may be 1.
    """

    sizes: tuple[int, ...]

    @cached_property
    def size(self) -> int:
        """A, how many flags a mask has."""
        return sum(self.sizes)

    @cached_property
    def _starts(self) -> npt.NDArray[np.int64]:
        return np.cumsum((0, *self.sizes[:-1]))

    def checked(self, given: Any) -> Masks:
        """Return one mask ``[A]``, in which each choice has an option.

        Raises:
            InvalidTypeError: It is no array of flags.
            InvalidArgumentError: It has another shape, holds other numbers than 0 and 1, or leaves a choice no option.
        """
        mask = self.read(given, ())
        if not (mask.any() if len(self.sizes) == 1 else self.leaves_options(mask)):
            raise InvalidArgumentError(self.nothing_left(mask))
        return mask

    def checked_rows(self, given: Any, count: int) -> Masks:
        """Return masks ``[count, A]``, in each of which each choice has an option; raise as :meth:`checked` does."""
        masks = self.read(given, (count,))
        allowed = self.leaves_options(masks)
        if not allowed.all():
            row = int(np.argmin(allowed))
            raise InvalidArgumentError(f"{self.nothing_left(masks[row])} It is number {row} of {count}.")
        return masks

    def read(self, given: Any, leading: tuple[int, ...]) -> Masks:
        """Return flags ``[*leading, A]``, of whatever type they come.

        Raises:
            InvalidTypeError: These are no flags.
            InvalidArgumentError: There are more or fewer of them, or they are other numbers than 0 and 1.
        """
        expected = (*leading, self.size)
        if type(given) is np.ndarray and given.dtype == np.bool_ and given.shape == expected:
            return given
        try:
            array = np.asarray(given)
        except ValueError:  # ragged
            array = np.empty((), object)
        if array.dtype.kind not in "biuf":
            raise InvalidTypeError(
                f"An action mask must be an array of bool, True where an option is allowed. Received: {given!r:.200} "
                f"of type {type(given).__name__}."
            )
        if array.shape != expected:
            raise InvalidArgumentError(
                f"An action mask of shape {array.shape} was given where {expected} was expected: {self._described}."
            )
        mask = array.astype(np.bool_)
        if not np.array_equal(mask, array):  # NaN among them
            raise InvalidArgumentError(
                f"An action mask must hold 0 and 1, or False and True. Received: {array!r:.200}. "
                "Give what is allowed, not probabilities or logits."
            )
        return mask

    def leaves_options(self, masks: Masks) -> Any:
        """Tell for which of masks ``[..., A]`` each choice has an option, ``[...]``."""
        if len(self.sizes) == 1:
            return masks.any(axis=-1)
        return np.logical_or.reduceat(masks, self._starts, axis=-1).all(axis=-1)

    def allows(self, mask: Masks, options: Any) -> bool:
        """Tell whether a mask ``[A]`` allows an option for each choice, counted from 0."""
        return bool(mask[self._starts + np.asarray(options)].all())

    def nothing_left(self, mask: Masks) -> str:
        """Say that a mask ``[A]`` leaves some choice no option."""
        if len(self.sizes) == 1:
            return f"An action mask allows none of {self.size} actions: at least one must be allowed."
        choice = int(np.argmin(np.logical_or.reduceat(mask, self._starts)))
        return (
            f"An action mask allows none of the {self.sizes[choice]} options of choice {choice} (counted from 0, of "
            f"{len(self.sizes)}): at least one must be allowed."
        )

    @property
    def _described(self) -> str:
        if len(self.sizes) == 1:
            return f"one flag for each of {self.size} actions"
        shown = ", ".join(map(str, self.sizes[:8])) + (", ..." if len(self.sizes) > 8 else "")
        return f"the options of each choice side by side, {shown} of them"


def takes_masks(actor: Any) -> bool:
    """Tell whether an agent, a policy, or a method or function that acts, takes masks beside observations.

    One that has ``uses_action_masks`` takes none where that is False, nor where one of its methods lacks the argument.
    A function takes them by an argument of that name.
    """
    actor = original(actor)
    told = getattr(actor, "uses_action_masks", getattr(getattr(actor, "__self__", None), "uses_action_masks", None))
    if told is False:
        return False
    methods = [(getattr(actor, name, None), keyword) for name, keyword in _KEYWORDS.items()]
    if callable(getattr(actor, "act", None)):
        return all(_has_keyword(method, keyword, told) for method, keyword in methods if callable(method))
    return any(_has_keyword(actor, keyword, told) for keyword in ("action_mask", "action_masks"))


def _has_keyword(function: Callable[..., Any], name: str, told: bool | None) -> bool:
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # of what is not written in Python
        return bool(told)
    takes_any = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values())
    return name in parameters or bool(told and takes_any)
