"""The settings of `train` by name, and what each of them may be: in files, and behind ``--set``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tensor_optix.cli.plan import MAX_ENVS, MAX_WINDOW_STEPS, are_overrides
from tensor_optix.core.checks import (
    LARGEST_INT,
    check_choice,
    check_flags,
    check_int,
    check_mapping,
    check_number,
    check_path,
    check_seed,
    nearest,
    received,
)
from tensor_optix.exceptions import InvalidArgumentError, InvalidTypeError
from tensor_optix.reporting.named_callbacks import NAMED_CALLBACKS

AGENT = "agent"
"""The table of the agent's own settings."""

TABLES = (AGENT, "env_kwargs", "evaluation_env_kwargs")
VERSION = "version"


def _check_text(name: str, value: Any, *, optional: bool = False) -> None:
    if not isinstance(value, str) and not (optional and value is None):
        raise InvalidTypeError(f"`{name}` must be text. {received(value)}")


def _check_texts(name: str, value: Any) -> None:
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise InvalidTypeError(f"`{name}` must be a list of texts. {received(value)}")


def _check_agent(name: str, value: Any) -> None:
    check_mapping(name, value)
    if not are_overrides({key: list(item) if isinstance(item, tuple) else item for key, item in value.items()}):
        raise InvalidArgumentError(
            f"`{name}` must hold numbers, texts, true, false, null, or lists of these. {received(value)}"
        )


def _check_callbacks(name: str, value: Any) -> None:
    _check_texts(name, value)
    for callback in value:
        check_choice(name, callback, NAMED_CALLBACKS)
        if list(value).count(callback) > 1:
            raise InvalidArgumentError(f"`{name}` names {callback!r} twice. {received(value)}")


def _count(at_most: int = LARGEST_INT) -> Callable[[str, Any], None]:
    return lambda name, value: check_int(name, value, at_least=1, at_most=at_most, optional=True)


CHECKS: Mapping[str, Callable[[str, Any], None]] = {
    "env": _check_text,
    "env_kwargs": check_mapping,
    "wrappers": _check_texts,
    "algorithm": _check_text,
    "seed": check_seed,
    "num_envs": _count(MAX_ENVS),
    "window_size": _count(MAX_WINDOW_STEPS),
    "max_env_steps": _count(),
    "max_windows": _count(),
    "target_score": lambda name, value: check_number(name, value, optional=True),
    "rollback": lambda name, value: check_flags(**{name: value}),
    "evaluation_env": lambda name, value: _check_text(name, value, optional=True),
    "evaluation_env_kwargs": check_mapping,
    "callbacks": _check_callbacks,
    "checkpoint_dir": check_path,
    AGENT: _check_agent,
}
"""What each setting must be."""


def check_settings(settings: Mapping[str, Any], source: str) -> None:
    """Raise unless all of these are settings of `train`, each of the right kind.

    Args:
        settings: By name.
        source: Where they come from, for messages.

    Raises:
        InvalidArgumentError: There is none of this name, or a value is out of range.
        InvalidTypeError: A value is of the wrong kind.
    """
    for name, value in settings.items():
        if name not in CHECKS:
            raise InvalidArgumentError(
                f"{source} has a setting {name!r:.200}, which there is not.{nearest(name, CHECKS)} Known are "
                f"{', '.join(CHECKS)}; what belongs to the agent, such as learning_rate or gamma, is in the table "
                f"[{AGENT}]."
            )
        try:
            CHECKS[name](name, value)
        except (InvalidArgumentError, InvalidTypeError) as error:
            raise type(error)(f"{source}: {error}") from error


def from_pairs(pairs: Mapping[str, Any]) -> dict[str, Any]:
    """Return what came behind ``--set``, by name: ``num_envs``, ``env_kwargs.size``, or one of the agent's.

    Args:
        pairs: As ``parse_settings`` returns them.

    Raises:
        InvalidArgumentError: A value is out of range, or one is given twice.
        InvalidTypeError: A value is of the wrong kind.
    """
    settings: dict[str, Any] = {}
    for key, value in pairs.items():
        table, dot, name = key.partition(".")
        plain = key.replace("-", "_")
        if dot and table in TABLES:
            _put(settings, table, name, value)
        elif plain in CHECKS and plain != AGENT:
            settings[plain] = value
        else:
            _put(settings, AGENT, key, value)
    check_settings({name: value for name, value in settings.items() if name != AGENT}, "--set")
    return settings


def _put(settings: dict[str, Any], table: str, name: str, value: Any) -> None:
    within = settings.setdefault(table, {})
    if not isinstance(within, dict):
        raise InvalidArgumentError(f"--set gives {table!r} as a whole and {table}.{name} besides.")
    if name in within:
        raise InvalidArgumentError(f"--set gives {name!r} twice.")
    within[name] = value


def together(named: Mapping[str, Any], pairs: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was typed as options (None: it was not) and behind ``--set``, all of it with the same weight.

    Raises:
        InvalidArgumentError: Something is given both ways.
    """
    settings = {name: value for name, value in named.items() if value is not None}
    for name, value in pairs.items():
        if name not in settings:
            settings[name] = value
            continue
        before = settings[name] if name in TABLES else {name: None}
        twice = [key for key in before if name not in TABLES or key in value]
        if twice:
            option = twice[0].replace("_", "-")
            raise InvalidArgumentError(f"{twice[0]!r} is given twice: behind --set and as --{option}. Leave one out.")
        settings[name] = {**before, **value}
    return settings


def laid_on(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with others on top: tables are merged, all else is replaced.

    The arguments and wrappers of an environment go with it: they do not reach another one that is put in its place.
    """
    kept = dict(below)
    if _bare(above.get("env")) not in (None, _bare(below.get("env"))):
        kept = {name: value for name, value in kept.items() if name not in ("env_kwargs", "wrappers")}
    if _bare(above.get("evaluation_env")) not in (None, _bare(below.get("evaluation_env"))):
        kept.pop("evaluation_env_kwargs", None)
    merged = {name: {**kept.get(name, {}), **above[name]} for name in TABLES if name in above}
    return {**kept, **above, **merged}


def _bare(env_id: Any) -> str | None:
    return None if env_id is None else str(env_id).rpartition(":")[2]
