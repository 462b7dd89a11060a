"""Files that are whole or not there, and paths that stay where they belong.

Everything that is saved goes through here: written beside its target, flushed to the disk and
renamed, so that a crash at any moment leaves the old file or the new one, never half of one.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

from tensor_optix.exceptions import CheckpointError, UnsafeFileError

_CHUNK_BYTES = 1 << 20


def partial_path(path: Path) -> Path:
    """Return the name under which ``path`` is written until it is whole."""
    return path.with_name(f".{path.name}.partial")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give the name of a file to write; once written whole, it takes the place of ``path``.

    The rename outlives a power cut only after ``sync_folder(path.parent)``, so that several files
    of one folder can share that call.

    Args:
        path: The file to replace. Its folder exists.

    Yields:
        A name in the same folder at which nothing lies.

    Raises:
        CheckpointError: The system refused (no room, no permission, no such folder); ``path`` is
            what it was.
    """
    partial = partial_path(path)
    try:
        # Whatever lies there, a leftover or a planted link, must not be written through.
        partial.unlink(missing_ok=True)
        yield partial
        sync_file(partial)
        os.replace(partial, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        if isinstance(error, OSError) and not isinstance(error, CheckpointError):
            raise CheckpointError(f"Could not write {path}: {error.strerror or error}.") from error
        raise


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file whole, or not at all; once this returns it outlives a power cut.

    Raises:
        CheckpointError: The system refused; ``path`` is what it was.
    """
    with replacing(path) as partial, partial.open("xb") as file:
        file.write(data)
    sync_folder(path.parent)


def sync_file(path: Path) -> None:
    """Make the system put the content of a file on the disk."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Make the system put the names in a folder on the disk (POSIX; elsewhere it sees to that itself)."""
    if os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content as 64 hex digits; memory does not grow with the file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def inside(root: Path, relative: object) -> Path:
    """Return ``root / relative`` where that stays below ``root``, also after following links.

    Args:
        root: The folder that must not be left.
        relative: A name read from a file: anything at all.

    Raises:
        UnsafeFileError: It is no relative name, contains ``..``, or a link leads outside.
    """
    if not isinstance(relative, str) or not relative or "\0" in relative:
        raise UnsafeFileError(f"Expected a relative path inside {root}. Received: {relative!r}.")
    windows = PureWindowsPath(relative)
    # Checked by both systems' rules: a run folder may have been written on the other one.
    absolute = PurePosixPath(relative).is_absolute() or windows.drive or windows.root
    if absolute or ".." in windows.parts:
        raise UnsafeFileError(f"The path {relative!r} leads outside {root}; it is not followed.")
    path = root / relative
    try:
        leaves = not path.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError) as error:  # a link that leads to itself, a name too long
        raise UnsafeFileError(f"The path {relative!r} in {root} cannot be followed: {error}.") from error
    if leaves:
        raise UnsafeFileError(f"The path {relative!r} in {root} is a link that leads outside; it is not followed.")
    return path


def regular_file(root: Path, relative: object) -> Path:
    """Return the path of an ordinary file below ``root``.

    Raises:
        UnsafeFileError: It leads outside, or is a device, a pipe or a folder.
        CheckpointError: It is missing.
    """
    path = inside(root, relative)
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise CheckpointError(f"{path} is missing or cannot be read: {error.strerror or error}.") from error
    if not stat.S_ISREG(mode):
        raise UnsafeFileError(f"{path} is not an ordinary file.")
    return path


def read_bounded(path: Path, max_bytes: int) -> bytes:
    """Return the content of a file that must not be larger than ``max_bytes``.

    Raises:
        CheckpointError: It is missing, unreadable or larger.
    """
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise CheckpointError(f"Could not read {path}: {error.strerror or error}.") from error
    if len(data) > max_bytes:
        raise CheckpointError(f"{path} is larger than the {max_bytes} bytes that such a file may have.")
    return data
