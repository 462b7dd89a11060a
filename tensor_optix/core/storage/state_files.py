"""An agent's state as a folder of two files: ``state.safetensors`` and ``state.json``.

The arrays lie in the safetensors format, everything else in JSON, which also carries the checksum
of the arrays. Reading runs no code, allocates no more than the files are large, and either gives
back exactly what was written or raises.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import os
import stat
import struct
from pathlib import Path
from typing import Any

import numpy as np

from tensor_optix.core.checks import check_path
from tensor_optix.core.storage.atomic_files import regular_file, replacing, sync_all
from tensor_optix.core.storage.exact_json import are_axes, axes_in_memory, from_exact, to_exact
from tensor_optix.core.storage.json_files import parse_json, read_sealed_json, seal
from tensor_optix.core.types import AgentState
from tensor_optix.exceptions import CheckpointError, UnsafeFileError

ARRAYS_FILE = "state.safetensors"
META_FILE = "state.json"
SCOPES = ("policy", "learner", "all")

_FORMAT = "tensor-optix agent state"
_VERSION = 1
_MAX_HEADER_BYTES = 16 * 2**20
_MAX_DIMENSION = 2**48
_MAX_NDIM = 64
_ITEM_BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "U16": 2, "I16": 2, "F16": 2, "BF16": 2,
    "U32": 4, "I32": 4, "F32": 4, "U64": 8, "I64": 8, "F64": 8, "C64": 8,
}  # fmt: skip
_CODES = {
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "uint16": "U16", "int16": "I16", "float16": "F16",
    "bfloat16": "BF16", "uint32": "U32", "int32": "I32", "float32": "F32", "uint64": "U64", "int64": "I64",
    "float64": "F64", "complex64": "C64",
}  # fmt: skip
_NAMES = {code: name for name, code in _CODES.items()}


def write_agent_state(path: str | os.PathLike[str], state: AgentState, *, flush: bool = True) -> None:
    """Write a state to the folder ``path``, which is made where it is missing.

    ``state.json`` comes last and names the checksum of the arrays: a crash between the two leaves
    a folder that ``read_agent_state`` refuses.

    Args:
        path: The folder. Its parent exists.
        state: What to write. Arrays may be of any shape, also ``()`` and empty ones, and of
            Boolean, integer, floating (``bfloat16`` included) or ``complex64`` type.
        flush: Whether the files outlive a power cut once this returns; otherwise the caller sees
            to that.

    Raises:
        CheckpointError: The files cannot be written, or the state holds what cannot be kept
            (NaN in ``meta``, an array of strings or objects).

    Example:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> write_agent_state(folder, AgentState({"w": np.ones(3)}, {"updates": 7}))
        >>> read_agent_state(folder).meta
        {'updates': 7}
    """
    check_path("path", path)
    folder = Path(path)
    _check_scope(state.scope, "The state to write")
    document = {
        "format": _FORMAT,
        "version": _VERSION,
        "scope": state.scope,
        "meta": to_exact(state.meta, "meta", allow_nan=False),
    }
    arrays = {name: _storable(name, array) for name, array in state.arrays.items()}
    document["layouts"] = {name: _layout(array) for name, array in arrays.items() if not _is_usual(array)}
    try:
        folder.mkdir(exist_ok=True)
        with replacing(folder / ARRAYS_FILE, folder / META_FILE, flush=flush) as (arrays_file, meta_file):
            document["arrays_sha256"] = _stream_arrays(arrays_file, arrays)
            _check_header(arrays_file)
            meta_file.write_bytes(seal(document, str(folder / META_FILE)))
        if flush:
            sync_all(folder.parent)
    except OSError as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"Could not write the folder {folder}: {error.strerror or error}.") from error


def read_agent_state(path: str | os.PathLike[str]) -> AgentState:
    """Return what ``write_agent_state`` wrote to the folder ``path``.

    Raises:
        CheckpointError: A file is missing, truncated, altered, or made by a newer version.
        UnsafeFileError: A file is a link that leads outside, or no ordinary file.
    """
    check_path("path", path)
    folder = Path(path)
    document = read_sealed_json(regular_file(folder, META_FILE))
    if document.get("format") != _FORMAT:
        raise CheckpointError(f"{folder / META_FILE} is no agent state; its format is {document.get('format')!r}.")
    if document.get("version") != _VERSION:
        raise CheckpointError(
            f"{folder / META_FILE} has format version {document.get('version')!r}; this release reads {_VERSION}. "
            "Load it with the release that wrote it."
        )
    meta, scope = document.get("meta"), document.get("scope")
    if not isinstance(meta, dict):
        raise CheckpointError(f"{folder / META_FILE}: `meta` must be an object. Received: {meta!r:.200}.")
    _check_scope(scope, str(folder / META_FILE))
    arrays = _read_arrays(folder, document.get("arrays_sha256"))
    return AgentState(_laid_out(arrays, document.get("layouts", {}), folder), from_exact(meta), str(scope))


def _read_arrays(folder: Path, checksum: Any) -> dict[str, np.ndarray]:
    """Read arrays one by one into their own memory: the library's reader holds a large replay twice."""
    path = regular_file(folder, ARRAYS_FILE)
    arrays = {}
    try:
        header = _check_header(path)
        with path.open("rb") as file:
            prefix = file.read(8)
            digest = hashlib.sha256(prefix)
            digest.update(file.read(struct.unpack("<Q", prefix)[0]))
            for name in sorted(header, key=lambda name: header[name]["data_offsets"]):
                array = np.empty(header[name]["shape"], _dtype(header[name]["dtype"]))
                content = array.reshape(-1).view(np.uint8).data
                if file.readinto(content) != array.nbytes:
                    raise CheckpointError(f"{path} became shorter while it was read.")
                digest.update(content)
                arrays[name] = array
        if digest.hexdigest() != checksum:
            raise CheckpointError(f"{path} is damaged: its content does not match the checksum in {META_FILE}.")
    except OSError as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"Could not read {path}: {error.strerror or error}.") from error
    except (ValueError, TypeError, KeyError, OverflowError, MemoryError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}.") from error
    return {name: arrays[name] for name in sorted(arrays)}


def _is_usual(array: np.ndarray) -> bool:
    return array.flags.c_contiguous and array.dtype == array.dtype.newbyteorder("<")


def _layout(array: np.ndarray) -> dict[str, Any]:
    """Return what the format does not say of an array: sums over another order of axes are rounded otherwise."""
    return {"axes": axes_in_memory(array), "big_endian": array.dtype != array.dtype.newbyteorder("<")}


def _laid_out(arrays: dict[str, np.ndarray], layouts: Any, folder: Path) -> dict[str, np.ndarray]:
    """Return the arrays as they lay in memory when they were written."""
    if not isinstance(layouts, dict) or not set(layouts) <= set(arrays):
        raise CheckpointError(f"{folder / META_FILE}: `layouts` is {layouts!r:.200}, which it cannot be.")
    for name, layout in layouts.items():
        axes: Any = layout.get("axes") if isinstance(layout, dict) else None
        if not are_axes(axes, arrays[name].ndim):
            raise CheckpointError(f"{folder / META_FILE}: the layout of {name!r:.80} cannot be {layout!r:.200}.")
        dtype = arrays[name].dtype.newbyteorder(">") if layout.get("big_endian") is True else arrays[name].dtype
        dense = np.ascontiguousarray(arrays[name].transpose(axes), dtype)
        arrays[name] = dense.reshape([arrays[name].shape[a] for a in axes]).transpose(np.argsort(axes).tolist())
    return arrays


def _storable(name: Any, array: Any) -> np.ndarray:
    """Return the array, once its name and type are known to be ones that the format takes."""
    if not isinstance(name, str) or name == "__metadata__":
        raise CheckpointError(f"An array of the state has a name that cannot be kept: {name!r}.")
    given = np.asarray(array)
    if given.dtype.name not in _CODES:
        raise CheckpointError(
            f"The array {name!r} has dtype {given.dtype}, which cannot be kept. Use one of {', '.join(_CODES)}."
        )
    return given


def _stream_arrays(path: Path, arrays: dict[str, np.ndarray]) -> str:
    """Write a safetensors file and return its SHA-256; no more than one array is ever copied.

    The library's own writer copies all of them first, which a large replay leaves no room for.
    """
    names = sorted(arrays, key=lambda name: (-arrays[name].dtype.itemsize, name))  # widest first: all aligned
    header, end = {}, 0
    for name in names:
        begin, end = end, end + arrays[name].nbytes
        code, shape = _CODES[arrays[name].dtype.name], list(arrays[name].shape)
        header[name] = {"dtype": code, "shape": shape, "data_offsets": [begin, end]}
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    digest = hashlib.sha256()
    with path.open("xb") as file:
        for piece in itertools.chain([struct.pack("<Q", len(head)), head], map(_bytes_of, map(arrays.get, names))):
            digest.update(piece)
            file.write(piece)
    return digest.hexdigest()


def _bytes_of(array: Any) -> Any:
    """Return the content as the format takes it: dense, row-major, little-endian; a view where it is so."""
    dense = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return dense.reshape(-1).view(np.uint8).data


def _dtype(code: str) -> np.dtype[Any]:
    name = _NAMES[code]
    if name == "bfloat16":
        import ml_dtypes  # which comes with TensorFlow; NumPy has no such type of its own

        half: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
        return half
    little_endian: np.dtype[Any] = np.dtype(name).newbyteorder("<")
    return little_endian


def _check_scope(scope: Any, owner: str) -> None:
    if scope not in SCOPES:
        raise CheckpointError(f"{owner} has scope {scope!r}; expected one of {SCOPES}.")


def _check_header(path: Path) -> dict[str, Any]:
    """Return the header of a safetensors file, checked against its size before anything is allocated for it.

    The file is eight bytes with the header's length, the header (JSON), and the arrays one after
    another, without gaps.
    """
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise UnsafeFileError(f"{path} is not an ordinary file.")
        prefix = file.read(8)
        if len(prefix) < 8:
            raise CheckpointError(f"{path} is truncated: {len(prefix)} bytes are no safetensors file.")
        (header_bytes,) = struct.unpack("<Q", prefix)
        if header_bytes > status.st_size - 8 or header_bytes > _MAX_HEADER_BYTES:
            raise CheckpointError(
                f"{path} claims a header of {header_bytes} bytes; the file has {status.st_size} "
                f"and {_MAX_HEADER_BYTES} are allowed."
            )
        header = parse_json(file.read(header_bytes), f"The header of {path}")
    if not isinstance(header, dict):
        raise CheckpointError(f"The header of {path} must be an object. Received: {type(header).__name__}.")
    header.pop("__metadata__", None)
    spans = sorted(_span(path, name, entry) for name, entry in header.items())
    end = 0
    for begin, next_end in spans:
        if begin != end:
            raise CheckpointError(f"{path}: its arrays overlap or leave gaps at byte {end}.")
        end = next_end
    if end != status.st_size - 8 - header_bytes:
        raise CheckpointError(
            f"{path} declares {end} bytes of arrays but holds {status.st_size - 8 - header_bytes}: "
            "it is truncated or altered."
        )
    return header


def _span(path: Path, name: str, entry: Any) -> tuple[int, int]:
    """Return where an array begins and ends, once that agrees with its type and shape."""
    problem = f"{path}: the array {name!r:.200} is declared as {entry!r:.200}"
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise CheckpointError(f"{problem}; expected dtype, shape and data_offsets.")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _ITEM_BYTES:
        raise CheckpointError(f"{problem}; expected one of {', '.join(_ITEM_BYTES)}.")
    if not _are_sizes(shape) or not _are_sizes(offsets) or len(offsets) != 2:
        raise CheckpointError(f"{problem}; expected at most {_MAX_NDIM} whole numbers from 0 to {_MAX_DIMENSION}.")
    if math.prod(shape) * _ITEM_BYTES[dtype] != offsets[1] - offsets[0]:
        raise CheckpointError(f"{problem}; its shape does not fit its bytes.")
    return offsets[0], offsets[1]


def _are_sizes(values: Any) -> bool:
    if not isinstance(values, list) or len(values) > _MAX_NDIM:
        return False
    return all(type(value) is int and 0 <= value <= _MAX_DIMENSION for value in values)
