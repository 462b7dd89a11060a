"""Files that are whole or not there, and paths that stay where they belong.

Everything that is saved goes through here: written beside its target, flushed to the disk and
renamed, so that a crash at any moment leaves the old file or the new one, never half of one.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath, PureWindowsPath

from tensor_optix.exceptions import CheckpointError, UnsafeFileError

_CHUNK_BYTES = 1 << 20
_MAX_SYNCS = 8


def partial_path(path: Path) -> Path:
    """Return the name under which ``path`` is written until it is whole."""
    return path.with_name(f".{path.name}.partial")


@contextlib.contextmanager
def replacing(*paths: Path, flush: bool = True) -> Iterator[tuple[Path, ...]]:
    """Give names of files to write; once all are written whole, they take the places of ``paths``.

    They do so in the order given, so the last one can speak for the others.

    Args:
        paths: The files to replace. Their folders exist.
        flush: Whether the new files outlive a power cut once this is over. Without it the caller
            sees to that, with ``sync_all``.

    Yields:
        For each path a name in its folder at which nothing lies.

    Raises:
        CheckpointError: The system refused (no room, no permission, no such folder).
    """
    partials = tuple(partial_path(path) for path in paths)
    try:
        for partial in partials:
            # Whatever lies there, a leftover or a planted link, must not be written through.
            partial.unlink(missing_ok=True)
        yield partials
        if flush:
            sync_all(*partials)
        for partial, path in zip(partials, paths, strict=True):
            os.replace(partial, path)
        if flush:
            sync_all(*{path.parent for path in paths})
    except BaseException as error:
        with contextlib.suppress(OSError):
            for partial in partials:
                partial.unlink(missing_ok=True)
        if isinstance(error, OSError) and not isinstance(error, CheckpointError):
            names = " and ".join(str(path) for path in paths)
            raise CheckpointError(f"Could not write {names}: {error.strerror or error}.") from error
        raise


def write_atomically(path: Path, data: bytes, *, flush: bool = True) -> None:
    """Write a file whole, or not at all.

    Args:
        path: The file. Its folder exists.
        data: Its content.
        flush: See ``replacing``.

    Raises:
        CheckpointError: The system refused; ``path`` is what it was.
    """
    with replacing(path, flush=flush) as (partial,), partial.open("xb") as file:
        file.write(data)


def sync_all(*paths: Path) -> None:
    """Make the system put files and the names in folders on the disk.

    They are asked for together: eight requests took 10 ms that way where one after the other took
    25 (ext4, 2 cores, under load), because the file system serves them with one commit.
    """
    if len(paths) == 1:
        _sync(paths[0])
        return
    with ThreadPoolExecutor(max_workers=min(len(paths), _MAX_SYNCS) or 1) as pool:
        jobs = []
        for path in paths:
            try:
                jobs.append(pool.submit(_sync, path))
            except RuntimeError:  # the interpreter is ending and starts no more threads
                _sync(path)
        for job in jobs:
            job.result()


def _sync(path: Path) -> None:
    if path.is_dir() and os.name != "posix":
        return  # only POSIX systems let a folder be opened
    descriptor = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
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


def make_writable_folder(path: Path) -> None:
    """Make a folder where it is missing, and make sure that files can be created in it.

    A folder that is made outlives a power cut, with those above it that were missing, too.

    Raises:
        CheckpointError: They cannot.
    """
    probe = path / f".probe-{os.getpid()}-{threading.get_ident()}"
    try:
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        path.mkdir(parents=True, exist_ok=True)
        sync_all(*(folder.parent for folder in missing))
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        raise CheckpointError(
            f"The folder {path} cannot be written to: {error.strerror or error}. "
            "Make it writable, or choose another place for runs: checkpoint_dir=, on the command line --checkpoint-dir."
        ) from error


def check_may_be_made(path: Path) -> None:
    """Raise unless a folder is there, or could be made, and files in it; nothing is made.

    Raises:
        CheckpointError: It could not.
    """
    nearest = next(folder for folder in (path.absolute(), *path.absolute().parents) if os.path.lexists(folder))
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        why = "Permission denied" if nearest.is_dir() else "Not a directory"
        raise CheckpointError(
            f"The folder {path} cannot be written to: {why}. "
            "Make it writable, or choose another place for runs: checkpoint_dir=, on the command line --checkpoint-dir."
        )


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
