"""Which algorithm of the user's own a command is about; a run's folder alone never makes a module be imported."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from tensor_optix.algorithms.registry import AUTO, algorithm_named, registered
from tensor_optix.cli.quiet import load_tensorflow
from tensor_optix.exceptions import InvalidArgumentError, UnsafeFileError


def typed_in_any_case(algorithm: str) -> str:
    """Return the name of a known algorithm for one in capitals or not; any other as it is."""
    if algorithm in registered():
        return algorithm
    return {name.lower(): name for name in (*registered(), AUTO)}.get(algorithm.lower(), algorithm)


def import_typed(algorithm: str) -> None:
    """Import the module of an algorithm that was typed as ``module:name``; nothing for any other.

    Raises:
        InvalidArgumentError: There is no such module, or it registers no such algorithm.
    """
    if ":" in algorithm:
        load_tensorflow()
        algorithm_named(algorithm, current_folder_first=True)


def import_for_run(run_dir: Path, command: str, recorded: str | None, typed: str | None, is_trusted: bool) -> None:
    """Import the module of a run's algorithm, as typed, or as its folder says where the user trusts that.

    Args:
        run_dir: The run's folder.
        command: The command, ``"evaluate"`` or ``"resume"``, for advice.
        recorded: What the folder says; None: nothing.
        typed: ``--algorithm``.
        is_trusted: ``--trust-env``.

    Raises:
        InvalidArgumentError: Another algorithm was typed, or there is none of this name.
        UnsafeFileError: Only the folder names the module.
    """
    if typed is not None and recorded is not None and _bare(typed) != _bare(recorded):
        raise InvalidArgumentError(
            f"{run_dir.as_posix()} was trained by {recorded!r}, not by {typed!r}: --algorithm says only which module "
            "of yours registers it. Leave it out, or name that one."
        )
    named = typed or recorded or ""
    module = named.rpartition(":")[0]
    if typed is None and module and module not in sys.modules and not is_trusted:
        raise UnsafeFileError(
            f"{run_dir.as_posix()} names the algorithm {named!r}, which would import the module {module!r}: that is "
            "done only if you ask for it, too. If you know where the folder comes from, add --trust-env, or name it "
            f"yourself: tensor-optix {command} {shlex.quote(run_dir.as_posix())} --algorithm {shlex.quote(named)}"
        )
    import_typed(named)


def module_to_import(algorithm: str) -> str | None:
    """Return the module that has to be imported before an agent of this algorithm is loaded; None: there is none."""
    module, _, name = algorithm.rpartition(":")
    known = registered().get(name)
    if module or known is None or known.registered_class is None:
        return module or None
    return known.registered_class.__module__


def _bare(algorithm: str) -> str:
    return algorithm.rpartition(":")[2]
