"""What XLA compiled in earlier runs, kept in the user's own cache folder so that the first update need not wait.

Compiled programs are machine code: the folder is the user's alone, or it is not used. XLA ends a run over a damaged
file, so that only files are left to it whose checksum is known.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import shutil
import stat
import sys
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from tensor_optix.core.loop.run_info import describe_platform
from tensor_optix.core.storage.atomic_files import sha256_of
from tensor_optix.core.storage.json_files import read_sealed_json, write_sealed_json
from tensor_optix.exceptions import CheckpointError

logger = logging.getLogger(__name__)

FLAG = "--tf_xla_persistent_cache_directory"
FLAGS, LOG_LEVEL = "TF_XLA_FLAGS", "TF_CPP_MIN_LOG_LEVEL"
FOLDER = "tensor-optix"
MAX_BYTES = 128 * 2**20
MIN_FREE_BYTES = 512 * 2**20
"""On the disk of the cache: XLA ends a run over a file that it cannot write."""

OLD_SECONDS = 24 * 3600
_CHECKSUMS = "checksums.json"


class UnusableCacheError(CheckpointError):
    """The cache folder is not the user's alone, or cannot be used; nothing needs it."""


@contextlib.contextmanager
def compile_cache(is_wanted: bool = True) -> Iterator[Path | None]:
    """Let XLA read and write the cache meanwhile; give its folder, None where there is none to be used.

    Must begin before TensorFlow is imported; afterwards it does nothing.

    Args:
        is_wanted: Not so with ``--no-cache``.
    """
    flags = os.environ.get(FLAGS, "")
    if not is_wanted or "tensorflow" in sys.modules or "persistent_cache" in flags:
        yield None
        return
    try:
        folder = ready_folder()
    except CheckpointError as error:
        logger.debug("No compile cache: %s", error)
        yield None
        return
    before = {name: os.environ.get(name) for name in (FLAGS, LOG_LEVEL)}
    os.environ[FLAGS] = f"{flags} {FLAG}={folder}".strip()
    # XLA takes its own tuning hints in a cached program for features that the machine lacks, and says so at length.
    os.environ.setdefault(LOG_LEVEL, "3")
    try:
        yield folder
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        with contextlib.suppress(CheckpointError, OSError):
            _seal(folder)
            _prune(folder.parent)


def cache_root() -> Path:
    """Return the user's cache folder of this package: below ``$XDG_CACHE_HOME``, or ``~/.cache``."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(home) if os.path.isabs(home) else Path.home() / ".cache"
    return base / FOLDER


def ready_folder() -> Path:
    """Return the folder for this machine and these versions, with nothing in it but whole files that were sealed.

    Raises:
        UnusableCacheError: It is not the user's alone, or there is no room.
    """
    try:
        root = cache_root()
        folder = root / f"xla-{_fingerprint()}"
        root.parent.mkdir(parents=True, exist_ok=True)
        for path in (root, folder):
            path.mkdir(mode=0o700, exist_ok=True)
            _check_own(path)
        if " " in str(folder) or shutil.disk_usage(folder).free < MIN_FREE_BYTES:
            raise UnusableCacheError(f"{folder} has too little room, or a space in its name.")
        _remove_unsealed(folder)
    except (OSError, RuntimeError, metadata.PackageNotFoundError) as error:
        if isinstance(error, UnusableCacheError):
            raise
        raise UnusableCacheError(f"The compile cache cannot be used: {error}") from error
    return folder


def _check_own(path: Path) -> None:
    """Raise unless a path is a folder, no link, that only this user may enter."""
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise UnusableCacheError(f"{path} is no folder, or a link.")
    if os.name == "posix" and (found.st_uid != os.geteuid() or found.st_mode & 0o077):
        raise UnusableCacheError(f"{path} is not yours alone: chmod 700 it, or remove it.")


def _fingerprint() -> str:
    """Return what tells machines and versions apart whose compiled programs differ."""
    here = describe_platform()
    told = [metadata.version("tensorflow"), here["machine"], here["processor"], here["num_cpus"], _cpu_flags()]
    told += [
        os.environ.get(name, "") for name in ("XLA_FLAGS", FLAGS, "TF_NUM_INTRAOP_THREADS", "TF_ENABLE_ONEDNN_OPTS")
    ]
    return hashlib.sha256(repr(told).encode()).hexdigest()[:16]


def _cpu_flags() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line for line in lines if line.startswith("flags")), "")


def _checksums(folder: Path) -> dict[str, str]:
    try:
        listed = read_sealed_json(folder / _CHECKSUMS).get("files")
    except CheckpointError:
        return {}
    return listed if isinstance(listed, dict) else {}


def _remove_unsealed(folder: Path) -> None:
    """Remove what is not as it was sealed: torn by a crash, damaged, or put there by somebody else."""
    known = _checksums(folder)
    for path in folder.iterdir():
        is_program = path.suffix == ".pb" and not path.is_symlink() and path.is_file()
        if is_program and known.get(path.name) == sha256_of(path):
            continue
        is_old = time.time() - path.lstat().st_mtime > OLD_SECONDS  # or a run of now is writing it
        if path.suffix == ".pb" or (path.name != _CHECKSUMS and is_old):
            path.unlink(missing_ok=True)


def _seal(folder: Path) -> None:
    """Write down the checksums of what a run that ended has left."""
    known = _checksums(folder)
    files = [path for path in folder.iterdir() if path.is_file() and path.suffix == ".pb"]
    document = {"files": {path.name: known.get(path.name) or sha256_of(path) for path in files}}
    if document["files"] != known:
        write_sealed_json(folder / _CHECKSUMS, document, flush=False)


def _prune(root: Path) -> None:
    """Remove the oldest programs where the cache is large."""
    files = sorted(root.glob("xla-*/*.pb"), key=lambda path: path.stat().st_mtime, reverse=True)
    total = 0
    for path in files:
        total += path.stat().st_size
        if total > MAX_BYTES:
            path.unlink(missing_ok=True)
