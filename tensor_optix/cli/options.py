"""What several commands take: a run's folder, and how each of them names an environment.

Only typer is imported here, so that ``--help`` is there at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RunDir = Annotated[Path, typer.Argument(metavar="RUN_DIR", help="Folder of a run.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No live progress, only the result.")]
RunEnvironment = Annotated[
    str | None, typer.Argument(metavar="[ENV]", help="Gymnasium id, or module:id. [dim]Default: the run's own.[/]")
]
EnvKwargs = Annotated[
    list[str] | None,
    typer.Option("--env-kwargs", metavar="KEY=VALUE", help="An argument of the environment; may come several times."),
]
Wrappers = Annotated[
    list[str] | None,
    typer.Option(
        "--wrapper",
        metavar="MODULE:FUNCTION",
        help="What wraps each single environment, the first one innermost; may come several times.",
    ),
]
RunAlgorithm = Annotated[
    str | None,
    typer.Option(
        "--algorithm", metavar="MODULE:NAME", help="The run's algorithm, where a module of yours registers it."
    ),
]
TrustEnv = Annotated[
    bool,
    typer.Option("--trust-env", help="Use modules, wrappers and arguments that only the run's folder names."),
]
