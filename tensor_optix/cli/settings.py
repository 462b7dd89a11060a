"""``--set key=value``, read into Python values."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from tensor_optix.exceptions import InvalidArgumentError


def parse_settings(pairs: Iterable[str]) -> dict[str, Any]:
    """Return ``["gamma=0.98", "hidden_units=[32, 32]"]`` as a dict of values.

    Values are read as JSON; lists become tuples; whatever is no JSON stays text.

    Raises:
        InvalidArgumentError: A pair has no ``=`` or no key, or a key comes twice.
    """
    settings: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key.strip():
            raise InvalidArgumentError(f"--set takes key=value, for example --set gamma=0.98. Received: {pair!r}.")
        if key.strip() in settings:
            raise InvalidArgumentError(f"--set gives {key.strip()!r} twice.")
        settings[key.strip()] = _value(text.strip())
    return settings


def _value(text: str) -> Any:
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        return text
    return tuple(value) if isinstance(value, list) else value
