"""Layers that stand in several places: told in the configuration, so that they come back as one.

Keras tells it within one graph, by names, but not between a model and the models in it, nor between two
models that share a trunk.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import keras


def mark_shared(described_parts: Iterable[tuple[dict[str, Any], Any]]) -> None:
    """Give all descriptions of the same layer the same ``shared_object_id``.

    Args:
        described_parts: What ``keras.saving.serialize_keras_object`` returned, which is changed, and of
            which; of several models that are saved together, each.
    """
    places: dict[int, list[dict[str, Any]]] = {}
    for node, thing in described_parts:
        for described, layer in _places(node, thing):
            places.setdefault(id(layer), []).append(described)
    several = [found for found in places.values() if len(found) > 1]
    for number, found in enumerate(several):
        for described in found:
            described["shared_object_id"] = number


def _places(node: Any, thing: Any) -> Iterator[tuple[dict[str, Any], Any]]:
    if not isinstance(node, dict) or not isinstance(node.get("config"), dict):
        return
    yield node, thing
    config = node["config"]
    for key, parts in (("layers", _parts_of(thing)), ("cells", getattr(thing, "cells", None))):
        if isinstance(config.get(key), list) and parts is not None and len(config[key]) == len(parts):
            for described, part in zip(config[key], parts, strict=True):
                yield from _places(described, part)
    for key in ("layer", "cell"):
        if key in config and isinstance(getattr(thing, key, None), keras.Layer):
            yield from _places(config[key], getattr(thing, key))


def _parts_of(model: Any) -> list[Any] | None:
    if isinstance(model, keras.Sequential):
        return list(model._layers)
    return list(model.operations) if hasattr(model, "operations") else None
