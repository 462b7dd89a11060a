"""How one agent was made otherwise than another: networks, optimizers, arguments that no state array shows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

_TOLD_ELSEWHERE = ("agent", "observation_space", "action_space")
_OWNER = "the agent's"
_MOST_TOLD = 5
_ABSENT = "absent"

# Names differ from process to process, initial values were overwritten, and rates are tuned.
_NO_STRUCTURE = ("name", "seed", "shared_object_id", "registered_name", "module", "build_config", "learning_rate")
_INITIALIZER = "_initializer"


def architecture_differences(saved: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """Return how two descriptions of agents differ in what they compute, in phrases; empty if they do not.

    Args:
        saved: What ``agent_state.describe`` returned of the agent that was saved.
        here: What it returns of this one.
    """
    found = []
    for name in [*here, *(name for name in saved if name not in here)]:
        if name not in _TOLD_ELSEWHERE:
            place = _OWNER if name == "structure" else f"{_OWNER} {name}"
            found += _differences(place, _structure_of(saved.get(name)), _structure_of(here.get(name)))
    more = len(found) - _MOST_TOLD
    return [*found[:_MOST_TOLD], f"and {more} more differences of structure"] if more > 0 else found


def _structure_of(value: Any) -> Any:
    """Return a part of a description without what does not matter; a Keras configuration is a part as JSON."""
    if isinstance(value, str) and value.startswith("{"):
        try:
            value = json.loads(value)
        except ValueError:
            return value
    return _plain(value, {name: f"layer {i}" for i, name in enumerate(_layer_names(value))})


def _layer_names(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        layers = value.get("layers")
        for layer in layers if isinstance(layers, list) else ():
            config = layer.get("config") if isinstance(layer, Mapping) else None
            if isinstance(config, Mapping) and isinstance(config.get("name"), str):
                yield config["name"]
        for part in value.values():
            yield from _layer_names(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _layer_names(part)


def _plain(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        kept = (key for key in value if key not in _NO_STRUCTURE and not str(key).endswith(_INITIALIZER))
        return {str(key): _plain(value[key], names) for key in kept}
    if isinstance(value, (list, tuple)):
        return [_plain(part, names) for part in value]
    return names.get(value, value) if isinstance(value, str) else value


def _differences(place: str, saved: Any, here: Any) -> Iterator[str]:
    """Yield a phrase for each place at which two plain structures differ."""
    if isinstance(saved, dict) and isinstance(here, dict) and saved.get("class_name") == here.get("class_name"):
        for key in [*here, *(key for key in saved if key not in here)]:
            inner = place if key == "config" else f"{place}{' ' if place.endswith(_OWNER) else '.'}{key}"
            yield from _differences(inner, saved.get(key, _ABSENT), here.get(key, _ABSENT))
    elif isinstance(saved, list) and isinstance(here, list) and len(saved) == len(here):
        for i, (then, now) in enumerate(zip(saved, here, strict=True)):
            yield from _differences(f"{place}[{i}]", then, now)
    elif saved != here:
        yield f"{place} was {_short(saved)}, is {_short(here)}"


def _short(value: Any) -> str:
    if isinstance(value, dict) and "class_name" in value:
        return str(value["class_name"])
    if isinstance(value, (dict, list)) and len(value) > 3:
        return f"{len(value)} entries"
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}..."
