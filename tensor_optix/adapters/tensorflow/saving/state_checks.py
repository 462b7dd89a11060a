"""Whether counts, factors and arrays can be what a saved state says, asked before anything of it is taken over."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from tensor_optix.exceptions import StateMismatchError


def check_counts(name: str, **values: Any) -> None:
    """Raise unless each value is a whole number, zero or more.

    Raises:
        StateMismatchError: One is not.
    """
    for key, value in values.items():
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not 0 <= value < 2**63:
            raise StateMismatchError(
                f"The saved {name}'s `{key}` is {value!r:.80}, not a whole number of zero or more."
            )


def check_positive(name: str, **values: Any) -> None:
    """Raise unless each value is a finite number above zero.

    Raises:
        StateMismatchError: One is not.
    """
    for key, value in values.items():
        if not 0 < value < float("inf"):
            raise StateMismatchError(f"The saved {name}'s `{key}` is {value!r:.80}, not a number above zero.")


def check_generator(name: str, saved: Any) -> None:
    """Raise unless a saved state is one that a NumPy generator of this package can be in.

    Raises:
        StateMismatchError: It is not.
    """
    try:
        np.random.PCG64(0).state = saved
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise StateMismatchError(
            f"The saved {name}'s `generator` is {saved!r:.80}, not the state of a PCG64 generator "
            f"({type(error).__name__}: {error}). The file was altered; an earlier one may be whole."
        ) from error


def require_numbers(array: np.ndarray, dtype: Any, name: str, least: float = -math.inf, most: float = math.inf) -> None:
    """Raise unless a saved array is of a type and holds only numbers from ``least`` to ``most``, NaN not among them.

    Raises:
        StateMismatchError: It is not.
    """
    if array.dtype != dtype or not bool(((array >= least) & (array <= most)).all()):
        raise StateMismatchError(
            f"The saved {name} are {array.dtype} and hold what cannot be (NaN, another type, or a number outside "
            f"[{least:g}, {most:g}]); here they are {dtype}. The file was altered; an earlier one may be whole."
        )


def require_same_form(arrays: Mapping[str, np.ndarray], own: Mapping[str, np.ndarray], name: str) -> None:
    """Raise unless saved arrays have the names, shapes and dtypes of a part's own.

    Raises:
        StateMismatchError: They have not.
    """
    expected, found = ({key: (a.shape, a.dtype.name) for key, a in some.items()} for some in (own, arrays))
    if expected != found:
        key = min(key for key in {*expected, *found} if expected.get(key) != found.get(key))
        raise StateMismatchError(
            f"The saved {name}'s `{key}` is {found.get(key, 'missing')}; here it is {expected.get(key, 'none')}."
        )
