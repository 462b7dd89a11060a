"""What an algorithm reads from ``HyperparamSet.params``: defaults, allowed ranges, what may be tuned."""

from __future__ import annotations

import difflib
import math
import numbers
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tensor_optix.core.checks import check_int, check_number
from tensor_optix.core.search_space import ParamSpec
from tensor_optix.core.types import HyperparamSet
from tensor_optix.exceptions import InvalidArgumentError, InvalidTypeError


@dataclass(frozen=True)
class Setting:
    """One hyperparameter.

    Attributes:
        default: Its value where none is given; None where the algorithm finds it out.
        bounds: The range in which it may be tuned, None where it should not be.
        allowed: Limits as in ``check_number``: ``low``, ``high``, ``above``.
        integer: Whether it is a whole number.
        can_be_off: Whether None is a value, too: it switches off what the hyperparameter is for.
    """

    default: float | None
    bounds: ParamSpec | None = None
    allowed: Mapping[str, Any] = field(default_factory=dict)
    integer: bool = False
    can_be_off: bool = False


def rate(default: float) -> Setting:
    """Return the setting of a learning rate."""
    return Setting(default, ParamSpec(1e-5, 1e-2, scale="log"), {"above": 0.0})


def discount(default: float, low: float = 0.9, high: float = 0.9999) -> Setting:
    """Return the setting of a discount, which may be tuned from ``low`` to ``high``."""
    return Setting(default, ParamSpec(low, high, scale="one_minus_log"), {"low": 0.0, "high": 1.0})


def share(default: float, bounds: ParamSpec | None = None) -> Setting:
    """Return the setting of a number from 0 to 1."""
    return Setting(default, bounds, {"low": 0.0, "high": 1.0})


MOST_REPEATS = 10_000
"""How often one window's steps, or one env step's batch, may be learned from: more, from a file, never ends."""


def count(default: int, bounds: ParamSpec | None = None, *, low: int = 1, high: int = 2**31 - 1) -> Setting:
    """Return the setting of a whole number from ``low`` to ``high``."""
    return Setting(default, bounds, {"low": low, "high": high}, integer=True)


def checked(
    hyperparams: Any, known: Mapping[str, Setting], algorithm: str, *, keeps_others: bool = False
) -> HyperparamSet:
    """Return a copy in which defaults stand for what was not given.

    Args:
        hyperparams: What was given.
        known: What the algorithm reads.
        algorithm: Its name, for errors.
        keeps_others: Whether other keys may hold anything finite, for subclasses to read. What was not given is
            left out then, see :func:`in_force`.

    Raises:
        InvalidTypeError: Not a ``HyperparamSet``, or a value of the wrong type.
        InvalidArgumentError: A name is unknown, or a value out of range, NaN or infinite.
    """
    if not isinstance(hyperparams, HyperparamSet):
        raise InvalidTypeError(
            f"`hyperparams` must be a HyperparamSet. Received: {type(hyperparams).__name__}. "
            'Write HyperparamSet(params={"learning_rate": 3e-4, "gamma": 0.99}, episode_id=0).'
        )
    if not isinstance(hyperparams.params, Mapping):
        raise InvalidTypeError(f"`hyperparams.params` must be a dict. Received: {type(hyperparams.params).__name__}.")
    for name, value in hyperparams.params.items():
        if name in known:
            _check_value(name, value, known[name])
        elif not keeps_others:
            near = difflib.get_close_matches(str(name), known, n=2)
            hint = f"Did you mean {' or '.join(map(repr, near))}? " if near else ""
            raise InvalidArgumentError(
                f"{algorithm} has no hyperparameter {name!r}. {hint}It reads: {', '.join(sorted(known))}."
            )
        elif isinstance(value, numbers.Real) and not math.isfinite(value):
            check_number(f"hyperparams.params[{name!r}]", value)
    copied = hyperparams.copy()
    if not keeps_others:
        copied.params = in_force(copied.params, known)
    return copied


def _check_value(name: str, value: Any, setting: Setting) -> None:
    if value is None and (setting.default is None or setting.can_be_off):
        return
    check_number(f"hyperparams.params[{name!r}]", value, **setting.allowed)
    if setting.integer:
        whole = int(value) if float(value).is_integer() else value
        check_int(f"hyperparams.params[{name!r}]", whole, at_least=int(setting.allowed.get("low", 0)))


def in_force(params: Mapping[str, Any], known: Mapping[str, Setting]) -> dict[str, Any]:
    """Return the values that count: what was given, else the default."""
    return {**{name: setting.default for name, setting in known.items() if setting.default is not None}, **params}


def bounds_of(known: Mapping[str, Setting]) -> dict[str, ParamSpec]:
    """Return what may be tuned."""
    return {name: setting.bounds for name, setting in known.items() if setting.bounds is not None}


def with_value(hyperparams: HyperparamSet, name: str, value: float) -> HyperparamSet:
    """Return a copy in which one value is another."""
    copied = hyperparams.copy()
    copied.params[name] = value
    return copied


def smaller_steps(hyperparams: HyperparamSet, known: Mapping[str, Setting]) -> HyperparamSet:
    """Return a copy with a third of the learning rate and of a KL target, and no entropy bonus."""
    trial = with_value(hyperparams, "learning_rate", hyperparams.params["learning_rate"] / 3.0)
    if "entropy_coef" in known:
        trial.params["entropy_coef"] = 0.0
    if "kl_target" in known:
        trial.params["kl_target"] = (in_force(trial.params, known)["kl_target"] or 0.0) / 3.0
    return trial
