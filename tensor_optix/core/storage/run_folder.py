"""The folder of one run: who may write to it, what the run was, and what happened in it."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shlex
import shutil
import socket
import time
from pathlib import Path
from typing import Any

import filelock

from tensor_optix.core.storage.atomic_files import inside, make_writable_folder, regular_file, sync_all
from tensor_optix.core.storage.checkpoint_slots import CHECKPOINT_FOLDER
from tensor_optix.core.storage.history_file import HistoryFile
from tensor_optix.core.storage.json_files import read_sealed_json, to_jsonable, write_sealed_json
from tensor_optix.exceptions import CheckpointError, UnsafeFileError

logger = logging.getLogger(__name__)

RUN_FILE = "run.json"
HISTORY_FILE = "history.jsonl"
LOCK_FILE = "run.lock"
PLAN_FILE = "command.json"
"""Written by the command only: a run that has it is resumed by the command."""

_OWNER_FILE = "run.owner.json"
_RUN_NAME = re.compile(r"run-(\d{4,9})")
_MAX_OWNER_BYTES = 4096
_ORPHAN_SECONDS = 3.0


class RunFolder:
    """A run's folder, held by one process at a time.

    Made by ``create`` or ``open``; use it in a ``with`` statement or call ``close``. The lock is
    the system's own (``flock``): that of a process that died is gone with it.

    Attributes:
        path: The folder.
        history: What happened in it, a row for each window.

    Example:
        >>> import tempfile
        >>> with RunFolder.create(tempfile.mkdtemp()) as run:
        ...     run.write_run_json({"seed": 7})
        ...     run.history.append({"window": 0, "score": 21.5})
        >>> run.path.name
        'run-0001'
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = _acquire(path)
        try:
            self.history = HistoryFile(path / HISTORY_FILE)
        except BaseException:
            self._lock.release()
            raise

    @classmethod
    def create(cls, checkpoint_dir: str | os.PathLike[str]) -> RunFolder:
        """Make the next free ``run-0001``, ``run-0002``, ... and hold it; older runs are left alone.

        Raises:
            CheckpointError: It cannot be made or written to.
        """
        parent = Path(checkpoint_dir).absolute()
        make_writable_folder(parent)
        number = max((_number_of(run) for run in list_runs(parent)), default=0)
        if number:
            logger.info("%s holds earlier runs; this one gets a folder of its own beside them.", parent)
        while True:
            number += 1
            path = parent / f"run-{number:04d}"
            try:
                path.mkdir()
                sync_all(parent)
            except FileExistsError:  # another process was faster
                continue
            except OSError as error:
                raise CheckpointError(f"Could not make the folder {path}: {error.strerror or error}.") from error
            return cls(path)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> RunFolder:
        """Hold the folder of an earlier run, to go on with it.

        Raises:
            CheckpointError: It is not there, cannot be written to, or another process holds it.
        """
        folder = Path(path).absolute()
        if not folder.is_dir():
            raise CheckpointError(f"There is no run folder {folder}.")
        make_writable_folder(folder)
        return cls(folder)

    def write_run_json(self, document: dict[str, Any]) -> None:
        """Write what the run is (settings, versions, seed, environment), replacing it whole.

        Raises:
            CheckpointError: It cannot be written.
        """
        write_sealed_json(self.path / RUN_FILE, to_jsonable(document))

    def read_run_json(self) -> dict[str, Any]:
        """Return what ``write_run_json`` wrote.

        Raises:
            CheckpointError: It is missing or damaged.
        """
        return read_run_json(self.path)

    def close(self) -> None:
        """Let go of the folder; safe to call twice."""
        self.history.close()
        if self._lock.is_locked:
            with contextlib.suppress(OSError):  # a folder that became read-only must not hide how a run ended
                (self.path / _OWNER_FILE).unlink(missing_ok=True)
            self._lock.release()

    @property
    def is_closed(self) -> bool:
        """Whether the folder was let go of."""
        return not self._lock.is_locked

    def discard(self) -> None:
        """Let go of a folder in which nothing was run, and remove it."""
        self.close()
        shutil.rmtree(self.path, ignore_errors=True)

    def discard_if_unused(self) -> None:
        """Remove the folder if no run was ever described in it; otherwise let go of it."""
        if was_started(self.path):
            self.close()
        else:
            self.discard()

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def list_runs(checkpoint_dir: str | os.PathLike[str]) -> list[Path]:
    """Return the run folders below ``checkpoint_dir``, oldest first.

    Raises:
        CheckpointError: The folder cannot be listed.
    """
    parent = Path(checkpoint_dir)
    try:
        runs = [path for path in parent.iterdir() if _RUN_NAME.fullmatch(path.name) and path.is_dir()]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise CheckpointError(f"Could not list {parent}: {error.strerror or error}.") from error
    return sorted(runs, key=_number_of)


def how_to_resume(run: Path) -> str:
    """Return how to go on with an earlier run, in words: as it was started."""
    if (run / PLAN_FILE).exists():
        return f"to go on with that one: tensor-optix resume {shlex.quote(run.as_posix())}"
    return f"to go on with that one, from the script that started it: RLOptimizer(...).run(resume={run.as_posix()!r})"


def existing_run(path: str | os.PathLike[str]) -> Path:
    """Return a run's folder.

    Raises:
        CheckpointError: There is no such folder, or it is one that holds runs.
    """
    try:
        is_there = Path(path).is_dir()
    except (OSError, ValueError):  # a name too long, or with a NUL in it
        is_there = False
    if not is_there:
        raise CheckpointError(f"There is no run folder {Path(path).as_posix()!r:.200}.")
    within = [] if was_started(Path(path)) else list_runs(path)
    if within:
        latest = within[-1].as_posix()
        raise CheckpointError(
            f"{Path(path).as_posix()!r:.200} is not a run, but holds some. Name one: {latest} is the latest."
        )
    return Path(path)


def was_started(run: Path) -> bool:
    """Tell whether a run was ever begun in a folder; otherwise it was only made."""
    return (run / RUN_FILE).exists() or (run / CHECKPOINT_FOLDER).exists()


def read_run_json(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what a run wrote about itself, without holding its folder.

    Raises:
        CheckpointError: It is missing or damaged.
    """
    return read_sealed_json(regular_file(Path(path), RUN_FILE))


def is_held(path: str | os.PathLike[str]) -> bool:
    """Tell whether a run is going on in a folder: a process holds it that lives, as far as this machine can tell."""
    owner = _owner(Path(path))
    return bool(owner) and not _is_dead(owner)


def _number_of(run: Path) -> int:
    return int(run.name.removeprefix("run-"))


def _acquire(folder: Path) -> filelock.BaseFileLock:
    path = inside(folder, LOCK_FILE)
    if path.is_symlink():
        raise UnsafeFileError(f"{path} is a link; remove it.")
    # Not bound to a thread: whoever ends the run may be another one than who began it.
    lock = filelock.FileLock(path, thread_local=False)
    deadline = time.monotonic() + _ORPHAN_SECONDS
    while True:
        try:
            lock.acquire(timeout=0)
            break
        except (filelock.Timeout, RuntimeError) as error:
            owner = _owner(folder)
            # A process that died may leave children that inherited its lock and are about to end.
            if not _is_dead(owner) or time.monotonic() > deadline:
                raise CheckpointError(_refusal(folder, owner)) from error
            time.sleep(0.05)
        except OSError as error:
            raise CheckpointError(f"Could not lock {path}: {error.strerror or error}.") from error
    try:
        write_sealed_json(folder / _OWNER_FILE, {"pid": os.getpid(), "host": socket.gethostname()}, flush=False)
    except CheckpointError:
        lock.release()
        raise
    return lock


def _owner(folder: Path) -> dict[str, Any]:
    try:
        return read_sealed_json(regular_file(folder, _OWNER_FILE), _MAX_OWNER_BYTES)
    except CheckpointError:
        return {}


def _is_dead(owner: dict[str, Any]) -> bool:
    pid = owner.get("pid")
    if not isinstance(pid, int) or pid <= 0 or owner.get("host") != socket.gethostname() or os.name != "posix":
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return True
    except OSError:  # it lives, and belongs to someone else
        return False
    return False


def _refusal(folder: Path, owner: dict[str, Any]) -> str:
    who = f"the process with pid {owner['pid']} on {owner.get('host')}" if "pid" in owner else "another process"
    advice = "Two runs may not write to the same folder: end that one first, or start a new run."
    return f"{folder} is in use by {who}. {advice}"
