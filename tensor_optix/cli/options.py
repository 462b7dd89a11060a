"""What several commands take: a run's folder, and how each of them names an environment.

Only typer is imported here, so that ``--help`` is there at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ALGORITHMS = ("auto", "ppo", "sac", "dqn", "policy_gradient")
"""Those of ``algorithms.registry``, which takes too long to import for ``--help``."""

RunDir = Annotated[Path, typer.Argument(metavar="RUN_DIR", help="Folder of a run.")]
ENVIRONMENT, LEARNING, BUDGET, FILES, OUTPUT = "Environment", "Learning", "Budget", "Settings and files", "Output"
"""What options are listed under."""

Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="No live progress, only the result.", rich_help_panel=OUTPUT)
]
Cache = Annotated[
    bool,
    typer.Option(
        "--cache/--no-cache",
        help="Keep what XLA compiles in your cache folder. [dim]Default: yes.[/]",
        show_default=False,
        rich_help_panel=FILES,
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="One JSON document on standard output, nothing else.", rich_help_panel=OUTPUT)
]
RunEnvironment = Annotated[
    str | None, typer.Argument(metavar="ENV", help="Gymnasium id, or module:id. [dim]Default: the run's own.[/]")
]
EnvKwargs = Annotated[
    list[str] | None,
    typer.Option(
        "--env-kwargs",
        metavar="KEY=VALUE",
        help="An argument of it; may come several times.",
        rich_help_panel=ENVIRONMENT,
    ),
]
Wrappers = Annotated[
    list[str] | None,
    typer.Option(
        "--wrapper",
        metavar="MODULE:NAME",
        help="What wraps each single environment, the first one innermost; may come several times.",
        rich_help_panel=ENVIRONMENT,
    ),
]
RunAlgorithm = Annotated[
    str | None,
    typer.Option(
        "--algorithm",
        metavar="MODULE:NAME",
        help="The run's algorithm, where a module of yours registers it.",
        rich_help_panel=ENVIRONMENT,
    ),
]
TrustEnv = Annotated[
    bool,
    typer.Option(
        "--trust-env",
        help="Use modules, wrappers and arguments that only the run's folder names.",
        rich_help_panel=ENVIRONMENT,
    ),
]
