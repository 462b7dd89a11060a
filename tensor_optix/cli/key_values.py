"""``--set key=value`` and ``--env-kwargs key=value``, read into Python values and written as they are typed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from tensor_optix.exceptions import InvalidArgumentError


def parse_settings(pairs: Iterable[str], option: str = "--set", example: str = "gamma=0.98") -> dict[str, Any]:
    """Return ``["gamma=0.98", "hidden_units=[32, 32]"]`` as a dict of values.

    Values are read as JSON; lists become tuples; whatever is no JSON stays text.

    Args:
        pairs: What was typed.
        option: The option they came with, for messages.
        example: What is right there.

    Raises:
        InvalidArgumentError: A pair has no ``=`` or no key, or a key comes twice.
    """
    settings: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key.strip():
            raise InvalidArgumentError(f"{option} takes key=value, for example {option} {example}. Received: {pair!r}.")
        if key.strip() in settings:
            raise InvalidArgumentError(f"{option} gives {key.strip()!r} twice.")
        settings[key.strip()] = _value(text.strip())
    return settings


def typed(value: Any) -> str:
    """Return a value as it is typed behind the ``=``."""
    return value if isinstance(value, str) and _value(value) == value else json.dumps(value)


def _value(text: str) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):  # no JSON, a number of thousands of digits, lists within lists without end
        return text
    return tuple(value) if isinstance(value, list) else value
