"""`tensor-optix export`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from tensor_optix.cli.answer import answering
from tensor_optix.cli.options import Json, RunAlgorithm, RunDir, TrustEnv

EXPORTS = "exports"
SUFFIXES = {"saved_model": "", "onnx": ".onnx", "tflite": ".tflite", "keras": ".keras"}
"""How files are named, by format; those of ``adapters.tensorflow.exporting``, which takes too long for ``--help``."""


def export(
    run_dir: RunDir,
    format_name: Annotated[
        str, typer.Option("--format", "-f", metavar="NAME", help=f"One of {', '.join(SUFFIXES)}.")
    ] = "saved_model",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="PATH", help="What to write. [dim]Default: policy, in the run's exports.[/]"
        ),
    ] = None,
    drawn: Annotated[bool, typer.Option("--drawn", help="Draw actions, instead of the likeliest one.")] = False,
    algorithm: RunAlgorithm = None,
    trust_env: TrustEnv = False,
    as_json: Json = False,
) -> None:
    """Write a run's champion for another runtime: from raw observation to action."""
    from tensor_optix.cli.algorithms import import_for_run
    from tensor_optix.cli.champions import champion_of, recorded_algorithm
    from tensor_optix.cli.quiet import load_tensorflow
    from tensor_optix.core.checks import check_choice
    from tensor_optix.core.storage.run_folder import existing_run

    with answering(as_json) as answer:
        check_choice("format", format_name.lower(), SUFFIXES)
        name = format_name.lower()
        target = _in_the_run(existing_run(run_dir), name) if output is None else output
        load_tensorflow()
        import_for_run(run_dir, "export", recorded_algorithm(run_dir), algorithm, trust_env)
        exported = champion_of(run_dir).export(target, name, deterministic=not drawn)
        answer.document |= {
            "run_dir": run_dir,
            "path": exported.path,
            "format": exported.format,
            "largest_difference": exported.largest_difference,
            "num_other_actions": exported.num_other_actions,
            "num_checked": exported.num_checked,
            "needs": exported.needs,
        }
        answer.suggest(f"tensor-optix evaluate {shlex.quote(run_dir.as_posix())}")


def _in_the_run(run_dir: Path, name: str) -> Path:
    """Return a path in the run's folder, in which no link is followed.

    Raises:
        UnsafeFileError: The run's folder has a link in its place.
    """
    from tensor_optix.core.storage.atomic_files import inside

    return inside(run_dir, f"{EXPORTS}/policy{SUFFIXES[name]}")
