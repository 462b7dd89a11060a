"""Checks of what users pass in: they say what came, what was expected and how to mend it."""

from __future__ import annotations

import difflib
import inspect
import math
import numbers
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tensor_optix.exceptions import InvalidArgumentError, InvalidTypeError

LARGEST_INT = 2**63 - 1
"""What a count may be at most: no array has more elements, no file more bytes."""


_PLAIN_NUMBERS = (float, int)


def received(value: Any) -> str:
    """Return how an error says what came."""
    return f"Received: {value!r:.200} of type {type(value).__name__}."


def nearest(name: Any, known: Iterable[str]) -> str:
    """Return a question that names what is written most alike, "" where nothing is."""
    near = difflib.get_close_matches(str(name), list(known), n=3)
    return f" Did you mean {' or '.join(map(repr, near))}?" if near else ""


def is_int(value: Any) -> bool:
    """Tell whether ``value`` is a whole number by its type; a bool is none."""
    return type(value) is int or (isinstance(value, numbers.Integral) and not isinstance(value, bool))


def is_number(value: Any) -> bool:
    """Tell whether ``value`` is a number by its type; a bool is none."""
    return type(value) in _PLAIN_NUMBERS or (isinstance(value, numbers.Real) and not isinstance(value, bool))


def check_int(name: str, value: Any, *, at_least: int, at_most: int = LARGEST_INT, optional: bool = False) -> None:
    """Raise unless ``value`` is a whole number in ``[at_least, at_most]`` (or None, if optional)."""
    if value is None and optional:
        return
    limit = "" if at_most == LARGEST_INT else f" and <= {at_most}"
    expected = f"`{name}` must be an integer >= {at_least}{limit}{' or None' if optional else ''}."
    if not is_int(value):
        raise InvalidTypeError(f"{expected} {received(value)}")
    if not at_least <= value <= at_most:
        too_large = f" At most {LARGEST_INT} can be counted." if value > LARGEST_INT else ""
        raise InvalidArgumentError(f"{expected} Received: {value!r:.200}.{too_large}")


def check_seed(name: str, value: Any, *, optional: bool = True) -> None:
    """Raise unless ``value`` can seed a generator: a whole number >= 0, of any size (or None, if optional)."""
    if value is None and optional:
        return
    expected = f"`{name}` must be an integer >= 0{' or None' if optional else ''}."
    if not is_int(value):
        raise InvalidTypeError(f"{expected} {received(value)}")
    if value < 0:
        raise InvalidArgumentError(f"{expected} Received: {value!r}.")


def check_number(
    name: str,
    value: Any,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    above: float | None = None,
    optional: bool = False,
    finite: bool = True,
) -> None:
    """Raise unless ``value`` is a number in ``[low, high]`` and greater than ``above`` (or None, if optional).

    NaN is no number here, and infinity is one where ``finite`` is False.
    """
    if value is None and optional:
        return
    if not is_number(value):
        raise InvalidTypeError(f"`{name}` must be a number{' or None' if optional else ''}. {received(value)}")
    try:
        given = float(value)
    except OverflowError:
        given = math.inf
    is_inside = low <= given <= high and (above is None or given > above)
    if not is_inside or (finite and math.isinf(given)):
        expected = f"> {above}" if above is not None else f">= {low}"
        upper = f" and <= {high}" if math.isfinite(high) else ""
        must_be = "must be finite," if finite else "must be"
        raise InvalidArgumentError(f"`{name}` {must_be} {expected}{upper}. Received: {value!r:.200}.")


def check_is_number(name: str, value: Any) -> None:
    """Raise unless ``value`` is a number by its type; NaN and infinity are."""
    if not is_number(value):
        raise InvalidTypeError(f"`{name}` must be a number. {received(value)}")


def check_flags(**flags: Any) -> None:
    """Raise unless each of the named values is True or False."""
    for name, value in flags.items():
        if not isinstance(value, bool | np.bool_):
            raise InvalidTypeError(f"`{name}` must be True or False. {received(value)}")


def check_choice(name: str, value: Any, choices: Iterable[Any]) -> None:
    """Raise unless ``value`` is one of ``choices``; the error names the nearest ones."""
    known = list(choices)
    if any(type(value) is type(choice) and value == choice for choice in known):
        return
    expected = f"`{name}` must be one of {', '.join(map(repr, known))}."
    if not isinstance(value, str):
        raise InvalidTypeError(f"{expected} {received(value)}")
    hint = nearest(value, [choice for choice in known if isinstance(choice, str)])
    raise InvalidArgumentError(f"{expected} Received: {value!r:.200}.{hint}")


def check_ints(name: str, values: Any, *, at_least: int) -> None:
    """Raise unless ``values`` is a list or tuple of whole numbers of at least ``at_least``."""
    if not isinstance(values, Sequence) or isinstance(values, str | bytes):
        raise InvalidTypeError(f"`{name}` must be a list or tuple of integers >= {at_least}. {received(values)}")
    for i, value in enumerate(values):
        check_int(f"{name}[{i}]", value, at_least=at_least)


def check_callable(name: str, value: Any, *, takes: str = "", optional: bool = True) -> None:
    """Raise unless ``value`` can be called with what ``takes`` says (or is None, if optional).

    Args:
        name: The argument.
        value: What was given for it.
        takes: What it will be called with, for example ``"(act, num_episodes, *, seed) -> EvaluationResult"``.
        optional: Whether None may be given.
    """
    if value is None and optional:
        return
    is_fit = callable(value) and not isinstance(value, type)
    if not is_fit or (takes and not can_be_called(value, *_arguments_in(takes))):
        what = f"a function {takes}" if takes else "callable"
        raise InvalidTypeError(f"`{name}` must be {what}{' or None' if optional else ''}. {received(value)}")


def can_be_called(function: Any, positional: Sequence[str], keywords: Sequence[str] = ()) -> bool:
    """Tell whether a function takes so many arguments by position, and these by name."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # written in C: it does not tell what it takes
        return True
    try:
        signature.bind(*positional, **dict.fromkeys(keywords))
    except TypeError:
        return False
    return True


def _arguments_in(takes: str) -> tuple[list[str], list[str]]:
    """Return the names before and after the star in a written signature."""
    inside = takes.partition("(")[2].partition(")")[0]
    positional, _, keywords = inside.partition("*")
    names = [[name.strip() for name in part.split(",") if name.strip()] for part in (positional, keywords)]
    return names[0], names[1]


def check_instance(name: str, value: Any, *kinds: type, optional: bool = False, hint: str = "") -> None:
    """Raise unless ``value`` is of one of these classes (or None, if optional)."""
    if (value is None and optional) or isinstance(value, kinds):
        return
    names = " or ".join([*(kind.__name__ for kind in kinds), *(["None"] if optional else [])])
    raise InvalidTypeError(f"`{name}` must be {_article(names)} {names}. {received(value)}{hint}")


def check_fields(holder: Any, **kinds: Any) -> None:
    """Raise unless each named field of a value is of its kind.

    Args:
        holder: An object that holds the fields.
        **kinds: By field: ``int``, ``float`` (any number), ``bool``, another class, or a tuple of kinds, one
            of which may be None.
    """
    for name, kind in kinds.items():
        value = getattr(holder, name)
        if type(value) is kind:
            continue
        allowed = kind if isinstance(kind, tuple) else (kind,)
        if not any(_is_of(value, one) for one in allowed):
            names = " or ".join(_NAMES_OF_KINDS.get(one, getattr(one, "__name__", "None")) for one in allowed)
            raise InvalidTypeError(f"`{name}` of {type(holder).__name__} must be {names}. {received(value)}")
        if float in allowed and not fits_float(value):
            raise InvalidArgumentError(
                f"`{name}` of {type(holder).__name__} must be a number that fits a float. Received: {value!r:.50}..."
            )


def fits_float(value: Any) -> bool:
    """Tell whether a number is no integer beyond the largest float; anything else is none, either."""
    try:
        float(value)
    except OverflowError:
        return False
    except (TypeError, ValueError):
        return True
    return True


_NAMES_OF_KINDS: dict[Any, str] = {
    int: "an integer",
    float: "a number",
    bool: "True or False",
    str: "a text",
    Mapping: "a dict by names",
}
_IS_OF: dict[Any, Callable[[Any], bool]] = {
    None: lambda value: value is None,
    int: is_int,
    float: is_number,
    bool: lambda value: isinstance(value, bool | np.bool_),
    Mapping: lambda value: isinstance(value, Mapping) and all(isinstance(key, str) for key in value),
}


def _is_of(value: Any, kind: Any) -> bool:
    return _IS_OF[kind](value) if kind in _IS_OF else isinstance(value, kind)


def check_methods(name: str, value: Any, *methods: str, hint: str = "") -> None:
    """Raise unless ``value`` is an object, no class, that has these methods."""
    given = set() if isinstance(value, type) else {method for method in methods if has_method(value, method)}
    missing = [method for method in methods if method not in given]
    if missing:
        what = "method" if len(methods) == 1 else "methods"
        if isinstance(value, type):
            hint = f" Give an object of the class: {value.__name__}(...)."
        raise InvalidTypeError(
            f"`{name}` must have the {what} {', '.join(methods)}. {received(value)} "
            f"It lacks {', '.join(missing)}.{hint}"
        )


def has_method(value: Any, method: str) -> bool:
    """Tell whether ``value`` has something of this name that can be called."""
    return callable(getattr(value, method, None))


def check_path(name: str, value: Any) -> None:
    """Raise unless ``value`` can name a file or folder."""
    expected = f"`{name}` must be a path, as a str or a pathlib.Path."
    path = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(path, str):
        raise InvalidTypeError(f"{expected} {received(value)}")
    if not path or "\0" in path:
        raise InvalidArgumentError(f"{expected} Received: {value!r:.200}, which names nothing.")


def check_mapping(name: str, value: Any, *, optional: bool = False) -> None:
    """Raise unless ``value`` is a dict, or alike, whose keys are texts (or None, if optional)."""
    if value is None and optional:
        return
    if not isinstance(value, Mapping):
        raise InvalidTypeError(f"`{name}` must be a dict{' or None' if optional else ''}. {received(value)}")
    for key in value:
        if not isinstance(key, str):
            raise InvalidTypeError(f"The keys of `{name}` must be texts. {received(key)}")


def _article(name: str) -> str:
    return "an" if name[0] in "AEIOUaeiou" else "a"
