"""Imports a module that the user named: from Python's path or the current folder, never out of a run's folder."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from tensor_optix.core.storage.run_folder import LOCK_FILE, RUN_FILE
from tensor_optix.exceptions import UnknownEnvironmentError, UnsafeFileError


def import_named(module: str, asked_by: str, *, current_folder_first: bool = False) -> ModuleType:
    """Import a module that the user named.

    Where it came from the current folder, that folder stays on the import path, at its end: the module may import its
    neighbours later, and none of them takes the place of an installed package.

    Args:
        module: Dotted name.
        asked_by: What the user gave, for messages.
        current_folder_first: Whether the current folder comes before all others, as for a script in it, or after them.

    Raises:
        UnknownEnvironmentError: It cannot be imported.
        UnsafeFileError: It lies in the folder of a run.
    """
    try:
        with _current_folder_on_path(current_folder_first):
            _refuse_code_of_runs(module)
            found = importlib.import_module(module)
    except UnsafeFileError:
        raise
    except (Exception, SystemExit) as error:
        raise UnknownEnvironmentError(
            f"{module!r} of {asked_by!r} cannot be imported: {_in_words(error)}.{_about_the_current_folder()}"
        ) from error
    if any(Path(place).is_relative_to(Path.cwd()) for place in _places_of(getattr(found, "__spec__", None))):
        _append_current_folder()
    return found


def keep_off_the_path(run_dir: Path | None = None) -> None:
    """Take every folder of a run off the import path: those that look like one, and ``run_dir``."""
    sys.path[:] = [entry for entry in sys.path if not is_in_run_folder(Path(entry), run_dir)]


def is_in_run_folder(folder: Path, run_dir: Path | None = None) -> bool:
    """Tell whether a folder is a run's or lies in one: in ``run_dir``, or in one that looks like a run's."""
    place = folder.resolve()
    if run_dir is not None and place.is_relative_to(run_dir.resolve()):
        return True
    return any((above / name).is_file() for above in (place, *place.parents) for name in (RUN_FILE, LOCK_FILE))


@contextlib.contextmanager
def _current_folder_on_path(is_first: bool) -> Iterator[None]:
    here = os.getcwd()
    if "" in sys.path or (here in sys.path and not is_first) or is_in_run_folder(Path(here)):
        yield
        return
    sys.path.insert(0 if is_first else len(sys.path), here)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(here)


def _append_current_folder() -> None:
    here = os.getcwd()
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)


def _refuse_code_of_runs(module: str) -> None:
    """Raise where a module, or a package that it is in, lies in the folder of a run: what is there is data."""
    parts = module.split(".")
    for name in (".".join(parts[: i + 1]) for i in range(len(parts))):
        if name in sys.modules:
            continue
        for place in _places_of(importlib.util.find_spec(name)):
            if is_in_run_folder(Path(place)):
                raise UnsafeFileError(
                    f"The module {module!r} lies in the folder of a run ({place}); nothing in there is ever imported. "
                    "If it is yours, move it out of there."
                )


def _places_of(spec: importlib.machinery.ModuleSpec | None) -> list[str]:
    """Return the files and folders that a module is read from."""
    if spec is None:
        return []
    origin = [spec.origin] if spec.has_location and spec.origin else []
    return [*origin, *(spec.submodule_search_locations or ())]


def _in_words(error: BaseException) -> str:
    return str(error) if isinstance(error, ImportError) else f"{type(error).__name__}: {error}"


def _about_the_current_folder() -> str:
    if not is_in_run_folder(Path.cwd()):
        return ""
    return " The current folder belongs to a run, and nothing is imported from there: go to the folder of your module."
