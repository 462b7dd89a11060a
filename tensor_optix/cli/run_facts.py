"""What a run's folder tells of the run, for `list` and `show`: read without TensorFlow, whatever is missing in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tensor_optix.algorithms.registry import registered
from tensor_optix.cli.plan import TrainingPlan, read_plan
from tensor_optix.core.loop.result_file import Outcome, read_outcome
from tensor_optix.core.storage.atomic_files import regular_file
from tensor_optix.core.storage.history_lines import last_row
from tensor_optix.core.storage.manifest import take_inventory
from tensor_optix.core.storage.run_folder import HISTORY_FILE, is_held, read_run_json
from tensor_optix.exceptions import CheckpointError

UNFINISHED, RUNNING = "unfinished", "running"


@dataclass(frozen=True)
class RunFacts:
    """What is known of a run.

    Attributes:
        run_dir: Its folder.
        description: ``run.json``; empty where that cannot be read.
        plan: What the command was asked for; None where no command started it, or none can tell.
        outcome: What it came to; None where it did not end.
        last_row: The history's last row; empty where there is none.
        is_held: Whether a process of this machine holds its folder.
    """

    run_dir: Path
    description: Mapping[str, Any]
    plan: TrainingPlan | None
    outcome: Outcome | None
    last_row: Mapping[str, Any]
    is_held: bool

    @classmethod
    def of(cls, run_dir: Path) -> RunFacts:
        """Return what a folder tells."""
        return cls(
            run_dir,
            _read(read_run_json, run_dir) or {},
            _read(read_plan, run_dir),
            read_outcome(run_dir),
            _read(lambda run: last_row(regular_file(run, HISTORY_FILE)), run_dir) or {},
            is_held(run_dir),
        )

    @property
    def verdict(self) -> str:
        """The result's reason; or that there is none, or none yet."""
        if self.is_held:
            return RUNNING
        return UNFINISHED if self.outcome is None else self.outcome.result.reason

    @property
    def env(self) -> str | None:
        """Where it was trained."""
        if self.plan is not None:
            return str(self.plan.environment)
        env_id = self.within("pipeline").get("env_id")
        return env_id if isinstance(env_id, str) else None

    @property
    def algorithm(self) -> str | None:
        """How it learned, by the name of its agent's class: "auto" stood for something."""
        kind = self.within("agent").get("class")
        names = {algorithm.class_name: name for name, algorithm in registered().items()}
        if isinstance(kind, str):
            return names.get(kind, kind)
        return None if self.plan is None else self.plan.algorithm

    @property
    def env_steps(self) -> int | None:
        """All env steps but those of the report."""
        if self.outcome is not None:
            return sum(count for use, count in self.outcome.result.env_steps.items() if use != "report")
        steps = self.last_row.get("env_steps")
        return steps if isinstance(steps, int) else None

    @property
    def started(self) -> str | None:
        """When, in UTC."""
        when = self.description.get("started")
        return when if isinstance(when, str) else None

    @property
    def seed(self) -> int | None:
        """What repeats it."""
        seed = self.description.get("seed")
        return seed if isinstance(seed, int) else None

    @property
    def champions(self) -> list[tuple[float, int]]:
        """The champions that are kept, each as its score and its window, oldest first."""
        found = _read(take_inventory, self.run_dir)
        kept = [] if found is None else [stored.snapshot for stored in found.snapshots]
        return [(snapshot.eval_metrics.primary_score, snapshot.episode_id) for snapshot in kept]

    def summary(self) -> dict[str, Any]:
        """Return it in a few words, for ``--json``."""
        result = None if self.outcome is None else self.outcome.result
        return {
            "run_dir": self.run_dir,
            "verdict": self.verdict,
            "confirmed_mean": None if result is None else result.confirmed_mean,
            "confirmed_interval": None if result is None else result.confirmed_interval,
            "env": self.env,
            "algorithm": self.algorithm,
            "env_steps": self.env_steps,
            "seed": self.seed,
            "started": self.started,
        }

    def within(self, name: str) -> Mapping[str, Any]:
        """Return a table of ``run.json``; empty where there is none."""
        found = self.description.get(name)
        return found if isinstance(found, dict) else {}


def _read(read: Any, run_dir: Path) -> Any:
    """Return what a file tells, None where it is not there or damaged."""
    try:
        return read(run_dir)
    except (CheckpointError, OSError):
        return None
