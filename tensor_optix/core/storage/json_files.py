"""JSON that carries its own checksum: read back exactly as written, or refused.

NaN and infinity are no JSON: values for people and charts become null (``to_jsonable``), a state
that must come back bit for bit is refused (``require_jsonable``).
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from tensor_optix.core.storage.atomic_files import read_bounded, write_atomically
from tensor_optix.exceptions import CheckpointError

MAX_JSON_BYTES = 16 * 2**20
MAX_JSON_PARTS = 2**20
"""Commas, colons and opening brackets: each stands for an object in memory, up to a hundred times its size."""

_SEAL = "sha256"
_MAX_DEPTH = 64
_MAX_REPR = 200


def write_sealed_json(path: Path, document: dict[str, Any], *, flush: bool = True) -> None:
    """Write a JSON-able document atomically, with the SHA-256 of its content inside.

    Args:
        path: The file. Its folder exists.
        document: What to write.
        flush: See ``replacing``.

    Raises:
        CheckpointError: The file cannot be written, or would not be read back.
    """
    write_atomically(path, seal(document, str(path)), flush=flush)


def seal(document: dict[str, Any], name: str) -> bytes:
    """Return a JSON-able document as the content of a file that ``read_sealed_json`` takes.

    Raises:
        CheckpointError: It is no JSON, or would be larger than may be read back.
    """
    try:
        sealed = {**document, _SEAL: _digest(document)}
        data = json.dumps(sealed, indent=1, allow_nan=False).encode() + b"\n"
    except (ValueError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{name} cannot be written as JSON: {error}.") from error
    if len(data) > MAX_JSON_BYTES:
        raise CheckpointError(
            f"{name} would take {len(data)} bytes of JSON; {MAX_JSON_BYTES} are allowed. "
            "Keep large values as arrays instead."
        )
    if _num_parts(data) > MAX_JSON_PARTS:
        raise CheckpointError(
            f"{name} would have {_num_parts(data)} parts; {MAX_JSON_PARTS} are allowed. "
            "Keep long lists of numbers as arrays instead."
        )
    return data


def read_sealed_json(path: Path, max_bytes: int = MAX_JSON_BYTES) -> dict[str, Any]:
    """Return what ``write_sealed_json`` wrote.

    Raises:
        CheckpointError: The file is missing, too large, no JSON, or not what was written.
    """
    document = parse_json(read_bounded(path, max_bytes), str(path))
    if not isinstance(document, dict) or _SEAL not in document:
        raise CheckpointError(f"{path} carries no checksum, so it cannot be trusted.")
    seal = document.pop(_SEAL)
    if seal != _digest(document):
        raise CheckpointError(f"{path} is damaged: its content does not match its checksum.")
    return document


def parse_json(data: bytes, name: str) -> Any:
    """Parse strict JSON: no NaN, no infinity, no key twice.

    Raises:
        CheckpointError: It is anything else, or of more parts than are written.
    """
    if _num_parts(data) > MAX_JSON_PARTS:
        raise CheckpointError(f"{name} has {_num_parts(data)} parts; {MAX_JSON_PARTS} are allowed.")
    try:
        return json.loads(
            data.decode(), parse_constant=_refuse_constant, parse_float=_finite_float, object_pairs_hook=_unique_keys
        )
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{name} is not valid JSON: {error}.") from error


def require_jsonable(value: Any, name: str, depth: int = 0) -> Any:
    """Return ``value`` as JSON gives it back: NumPy scalars as Python's, tuples as lists.

    Args:
        value: What is to be saved.
        name: How to call it in an error.
        depth: How deeply nested it already is.

    Raises:
        CheckpointError: It holds NaN or infinity, a key that is no string, or a type that JSON
            does not have.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise CheckpointError(f"`{name}` is {value!r}; a saved state may hold only finite numbers.")
        return value
    if depth >= _MAX_DEPTH:
        raise CheckpointError(f"`{name}` is nested more than {_MAX_DEPTH} levels deep.")
    if isinstance(value, (list, tuple)):
        return [require_jsonable(item, f"{name}[{i}]", depth + 1) for i, item in enumerate(value)]
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise CheckpointError(f"The keys of `{name}` must be strings. Received: {key!r}.")
        return {key: require_jsonable(item, f"{name}[{key!r}]", depth + 1) for key, item in value.items()}
    raise CheckpointError(
        f"`{name}` is of type {type(value).__name__}, which JSON does not have. "
        "Keep arrays in `arrays` and everything else as numbers, strings, lists and dicts."
    )


def to_jsonable(value: Any, depth: int = 0) -> Any:
    """Return the nearest JSON-able value: NaN and infinity as None, unknown objects as text."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Path):
        return str(value)
    if depth < _MAX_DEPTH:
        if isinstance(value, np.ndarray):
            return to_jsonable(value.tolist(), depth + 1)
        if isinstance(value, (list, tuple)):
            return [to_jsonable(item, depth + 1) for item in value]
        if isinstance(value, dict):
            return {str(key): to_jsonable(item, depth + 1) for key, item in value.items()}
    return repr(value)[:_MAX_REPR]


def _num_parts(data: bytes) -> int:
    if len(data) <= MAX_JSON_PARTS:
        return 0  # at most as many as it has bytes
    return sum(map(data.count, (b",", b":", b"[", b"{")))


def _digest(document: dict[str, Any]) -> str:
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON number")


def _finite_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:_MAX_REPR]} is too large a number")
    return value


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a key appears twice")
    return document


def number_field(document: dict[str, Any], key: str, source: object) -> float:
    """Return a field as a float, or raise a CheckpointError that names ``source``."""
    value = field(document, key, (int, float), source)
    try:
        return float(value)
    except OverflowError as error:
        raise CheckpointError(f"{source}: `{key}` is {value!r:.50}..., too large a number.") from error


def field(document: dict[str, Any], key: str, kind: Any, source: object) -> Any:
    """Return a field that must be of ``kind``, or raise a CheckpointError that names ``source``."""
    value = document.get(key)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise CheckpointError(f"{source}: `{key}` is {value!r:.200}, which it cannot be.")
    return value
