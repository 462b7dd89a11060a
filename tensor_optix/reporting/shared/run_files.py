"""Files that callbacks keep beside a run."""

from __future__ import annotations

import os
from pathlib import Path

from tensor_optix.core.checks import check_path
from tensor_optix.core.run_view import RunView
from tensor_optix.core.storage.atomic_files import check_may_be_made
from tensor_optix.exceptions import CheckpointError, UnsafeFileError


def checked_place(path: str | os.PathLike[str] | None) -> Path | None:
    """Return the path that the user gave as it will be used; None: in the run's folder.

    Raises:
        InvalidTypeError: It is no path.
        CheckpointError: The folder cannot be made or written to.
    """
    if path is None:
        return None
    check_path("path", path)
    absolute = Path(path).absolute()
    check_may_be_made(absolute.parent)
    return absolute


def place_of(path: Path | None, run: RunView, name: str) -> Path:
    """Return where a file of a run is kept, with its folder made.

    Raises:
        CheckpointError: No place was given, and the run has no folder.
        UnsafeFileError: A link lies there.
    """
    if path is None and run.run_dir is None:
        raise CheckpointError(f"The run has no folder for {name}. Give the callback a path.")
    place = path or run.run_dir / name  # type: ignore[operator]
    if place.is_symlink():
        raise UnsafeFileError(f"{place} is a link, which is not written through. Remove it.")
    place.parent.mkdir(parents=True, exist_ok=True)
    return place
