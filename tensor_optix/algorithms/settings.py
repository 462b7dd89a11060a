"""What an algorithm reads from ``HyperparamSet.params``: defaults, allowed ranges, what may be tuned."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tensor_optix.adapters.tensorflow.hyperparameters import rate_of
from tensor_optix.adapters.tensorflow.models.model_checks import check_optimizer
from tensor_optix.core.checks import check_int, check_number
from tensor_optix.core.types import HyperparamSet, ParamSpec
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
    allowed: Mapping[str, float] = field(default_factory=dict)
    integer: bool = False
    can_be_off: bool = False


def checked(hyperparams: Any, known: Mapping[str, Setting], algorithm: str) -> HyperparamSet:
    """Return a copy in which defaults stand for what was not given.

    Raises:
        InvalidTypeError: Not a ``HyperparamSet``, or a value of the wrong type.
        InvalidArgumentError: A name is unknown, or a value out of range, NaN or infinite.
    """
    if not isinstance(hyperparams, HyperparamSet) or not isinstance(hyperparams.params, Mapping):
        raise InvalidTypeError(
            f"`hyperparams` must be a HyperparamSet whose params are a dict. Received: {hyperparams!r:.200}. "
            'Write HyperparamSet({"learning_rate": 3e-4}, episode_id=0).'
        )
    for name, value in hyperparams.params.items():
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=2)
            hint = f"Did you mean {' or '.join(map(repr, near))}? " if near else ""
            raise InvalidArgumentError(
                f"{algorithm} has no hyperparameter {name!r}. {hint}It reads: {', '.join(sorted(known))}."
            )
        setting = known[name]
        if value is None and (setting.default is None or setting.can_be_off):
            continue
        check_number(f"hyperparams.params[{name!r}]", value, **setting.allowed)
        if setting.integer:
            whole = int(value) if float(value).is_integer() else value
            check_int(f"hyperparams.params[{name!r}]", whole, at_least=int(setting.allowed.get("low", 0)))
    copied = hyperparams.copy()
    defaults = {name: setting.default for name, setting in known.items() if setting.default is not None}
    copied.params = {**defaults, **copied.params}
    return copied


def with_rate_of(optimizer: Any, known: Mapping[str, Setting]) -> Mapping[str, Setting]:
    """Return the settings with the learning rate of the user's optimizer, where there is one, as the default.

    Raises:
        InvalidTypeError: It is no Keras optimizer.
        InvalidArgumentError: Its learning rate is a schedule.
    """
    if optimizer is None:
        return known
    check_optimizer(optimizer)
    return {**known, "learning_rate": replace(known["learning_rate"], default=rate_of(optimizer))}


def bounds_of(known: Mapping[str, Setting]) -> dict[str, ParamSpec]:
    """Return what may be tuned."""
    return {name: setting.bounds for name, setting in known.items() if setting.bounds is not None}
