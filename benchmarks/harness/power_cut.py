"""What is left of a folder after a power cut, in the worst case that POSIX allows.

A system may lose everything that was not asked for with ``fsync``: the content of a file, and,
apart from that, the names in a folder. Of what was not asked for, any part may still be there.
"""

from __future__ import annotations

import os
import resource
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Entry = tuple[int, bool]
"""Inode, and whether it is a folder."""


class PowerCut:
    """Follows every ``fsync`` of the process; writes down what a power cut would leave.

    Install it in a process of its own, before anything is written; there is no way back. Linux only.

    Args:
        folder: What is looked at. It exists, and is taken to be safe itself, with all that is in it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._contents: dict[int, bytes] = {}
        self._names: dict[int, dict[str, Entry]] = {}
        self._held: dict[int, int] = {}  # an inode that is held is never given to another file
        self._lock = threading.RLock()
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        for path in [folder, *folder.rglob("*")]:
            self._note(path)
        self._inner: Callable[[Any], None] = os.fsync
        os.fsync = self._fsync  # type: ignore[assignment]

    def leave(self, target: Path, seed: int) -> None:
        """Write what could be left into ``target``; nothing reaches the disk any more.

        Args:
            target: A folder that is not there yet.
            seed: Of what else is still there, by chance.
        """
        self._lock.acquire()  # for good: the process is about to end
        self._restore(self._folder, target, np.random.default_rng(seed))

    def _fsync(self, descriptor: Any) -> None:
        with self._lock:
            self._inner(descriptor)
            self._note_descriptor(descriptor)

    def _note(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            self._note_descriptor(descriptor)
        finally:
            os.close(descriptor)

    def _note_descriptor(self, descriptor: int) -> None:
        status = os.fstat(descriptor)
        self._hold(status.st_ino, descriptor)
        if stat.S_ISDIR(status.st_mode):
            self._names[status.st_ino] = self._entries(descriptor)
        else:
            self._contents[status.st_ino] = _content(self._held[status.st_ino])

    def _hold(self, inode: int, descriptor: int) -> None:
        if inode not in self._held:
            self._held[inode] = os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY)

    def _entries(self, folder: int) -> dict[str, Entry]:
        found = {}
        for name in os.listdir(folder):
            try:
                descriptor = os.open(name, os.O_RDONLY, dir_fd=folder)
            except FileNotFoundError:  # another thread removed it
                continue
            status = os.fstat(descriptor)
            self._hold(status.st_ino, descriptor)
            os.close(descriptor)
            found[name] = (status.st_ino, stat.S_ISDIR(status.st_mode))
        return found

    def _restore(self, source: Path, target: Path, rng: np.random.Generator) -> None:
        descriptor = os.open(source, os.O_RDONLY)
        self._restore_folder(descriptor, target, rng)
        os.close(descriptor)

    def _restore_folder(self, folder: int, target: Path, rng: np.random.Generator) -> None:
        target.mkdir()
        here = self._entries(folder)
        safe = self._names.get(os.fstat(folder).st_ino, {})
        for name in sorted({*here, *safe}):
            entry = (safe if rng.random() < 0.5 else here).get(name)
            if entry is None:
                continue
            inode, is_folder = entry
            if is_folder:
                self._restore_folder(self._held[inode], target / name, rng)
            else:
                (target / name).write_bytes(self._left_of(inode, rng))

    def _left_of(self, inode: int, rng: np.random.Generator) -> bytes:
        """Return what was asked for; or, as likely, some beginning of what came later."""
        safe, now = self._contents.get(inode, b""), _content(self._held[inode])
        if now == safe or rng.random() < 0.5:
            return safe
        untouched = next((at for at, (one, other) in enumerate(zip(safe, now, strict=False)) if one != other), None)
        lowest = min(len(safe), len(now)) if untouched is None else untouched
        return now[: int(rng.integers(lowest, len(now) + 1))]


def _content(descriptor: int) -> bytes:
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0)
