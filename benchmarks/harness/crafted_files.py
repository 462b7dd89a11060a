"""Files as someone who means harm, or a bad disk, would leave them: for tests of whoever reads them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tensor_optix.core.storage.json_files import write_sealed_json

Draw = Callable[[int], int]
"""``draw(n)`` chooses one of the numbers from 0 to n - 1."""

STRANGE: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 10**30, 1.5, -0.0, 1e308, "", "a", "000001", "best", "\0", "é" * 300),
    *("/etc/passwd", "../../outside", "..\\outside", "C:\\windows", "snapshot_000001", "agent", "NaN", "a/" * 200),
    *([], {}, [[]], [None], {"a": {}}, ["agent"], {"$float": "nan"}, {"$array": [1], "dtype": "O", "shape": [1]}),
    *([0, 2**48], [2**40, 2**40], {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}),
)


def craft(draw: Draw, path: Path) -> None:
    """Write a crafted file in the place of a good one: mostly sealed as a good one is, where it is JSON."""
    if path.suffix == ".json" and draw(10) < 7:
        document = _parsed(path)
        seal = document.pop("sha256", "")
        if document:
            document = mutate_document(draw, document)
        if isinstance(document, dict):
            write_sealed_json(path, document, flush=False)
        else:
            path.write_text(json.dumps({"sha256": seal}))
    else:
        path.write_bytes(mutate_bytes(draw, path.read_bytes()))


def mutate_document(draw: Draw, document: Any) -> Any:
    """Replace, remove or add something somewhere in a JSON document."""
    places = list(_places(document))
    node, key = places[draw(len(places))]
    value, kind = STRANGE[draw(len(STRANGE))], draw(4)
    if kind == 0 and isinstance(node, dict):
        del node[key]
    elif kind == 1 and isinstance(node, list):
        node.append(value)
    else:
        node[key] = value
    return document


def mutate_bytes(draw: Draw, content: bytes) -> bytes:
    """Flip, cut, repeat or overwrite some bytes."""
    data = bytearray(content)
    kind, where = draw(5), draw(max(len(data), 1))
    if kind == 0 and data:
        data[where] ^= 1 << draw(8)
    elif kind == 1:
        del data[where:]
    elif kind == 2:
        data[where:where] = data[where : where + 1 + draw(63)]
    elif kind == 3:
        data[where : where + 8] = bytes(draw(256) for _ in range(8))
    else:
        data[:8] = draw(2**63).to_bytes(8, "little")
    return bytes(data)


def _parsed(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except ValueError:  # crafted before
        return {}
    return document if isinstance(document, dict) else {}


def _places(node: Any) -> Any:
    for key in list(node) if isinstance(node, dict) else range(len(node)):
        yield node, key
        if isinstance(node[key], (dict, list)) and node[key]:
            yield from _places(node[key])
