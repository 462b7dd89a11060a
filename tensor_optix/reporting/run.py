"""A run that lies in a folder, read back: history, champions, result, and what else its files tell."""

from __future__ import annotations

import functools
import itertools
import logging
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from tensor_optix.core.loop.result_file import RESULT_FILE, read_outcome
from tensor_optix.core.run_result import RunResult
from tensor_optix.core.short_html import html_table
from tensor_optix.core.storage.atomic_files import regular_file
from tensor_optix.core.storage.history_lines import columns_and_damage, lines_of, parsed
from tensor_optix.core.storage.json_files import read_sealed_json
from tensor_optix.core.storage.logbook_file import LOGBOOK_FILE, read_entries
from tensor_optix.core.storage.manifest import MANIFEST_FILE, take_inventory
from tensor_optix.core.storage.run_folder import (
    HISTORY_FILE,
    PLAN_FILE,
    RUN_FILE,
    existing_run,
    is_held,
    read_run_json,
    was_started,
)
from tensor_optix.core.types import PolicySnapshot
from tensor_optix.exceptions import CheckpointError, MissingExtraError
from tensor_optix.reporting.report import drawable

logger = logging.getLogger(__name__)

Read = TypeVar("Read")

RUNNING, UNFINISHED = "running", "unfinished"
"""Verdicts of a run that goes on, and of one that never came to an end."""

_LARGEST = 1e100

_NO_HISTORY: dict[str, np.ndarray] = {
    "env_steps": np.zeros(0),
    "state": np.zeros(0, dtype="<U8"),
    "score": np.zeros(0),
    "champion": np.zeros(0),
    "alarm": np.zeros(0, dtype=bool),
}


@dataclass(frozen=True)
class Run:
    """What a run's folder tells; made by :meth:`load`.

    What is missing or damaged is left out and told in ``notes``, and logged. Folders of every release can be read.

    Attributes:
        path: The folder.
        description: What ``run.json`` says: seed, settings, hyperparameters, environment, versions. Empty where it is
            missing.
        result: What the run came to, its champion included; None where it did not end. The history is apart.
        champions: The champions that are kept, oldest first.
        logbook: What was decided and when: dicts with ``kind``, ``windows``, ``env_steps`` (of training) and
            ``seconds``, see ``docs/report.md``. Empty for runs of before there was one.
        command: What the command line asked for, as ``command.json`` has it; None where a script started the run.
        notes: What could not be read, in sentences.
        is_going_on: Whether a process of this machine works on it.

    Example:
        >>> run = Run.load("tensor_optix_checkpoints/run-0001")  # doctest: +SKIP
        >>> run.result.confirmed_mean, run.history["score"][-1]  # doctest: +SKIP
    """

    path: Path
    description: Mapping[str, Any]
    result: RunResult | None
    champions: tuple[PolicySnapshot, ...]
    logbook: tuple[Mapping[str, Any], ...] = ()
    command: Mapping[str, Any] | None = None
    notes: tuple[str, ...] = ()
    is_going_on: bool = False
    _columns: Mapping[str, np.ndarray] = field(default_factory=lambda: _NO_HISTORY, repr=False)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Run:
        """Read a run's folder; nothing of it is changed, and no TensorFlow is needed.

        Args:
            path: The folder.

        Raises:
            CheckpointError: There is no such folder, it is none of a run, or it is one that holds runs.
        """
        root = existing_run(path)
        _check_is_run(root)
        problems: list[str] = []
        nothing: dict[str, Any] = {}
        no_entries: tuple[list[dict[str, Any]], int] = ([], 0)
        description = _tried(lambda: read_run_json(root), nothing, root / RUN_FILE, problems)
        champions, best_id = _champions(root, problems)
        outcome = read_outcome(root)
        if outcome is None and os.path.lexists(root / RESULT_FILE):
            problems.append(f"{RESULT_FILE} is damaged and was not read.")
        result = None
        if outcome is not None:
            best = {snapshot.snapshot_id: snapshot for snapshot in champions}.get(outcome.champion_id or best_id or "")
            result = replace(outcome.result, champion=best)
        entries, num_bad = _tried(lambda: read_entries(root), no_entries, root / LOGBOOK_FILE, problems)
        columns, num_bad_rows = _tried(lambda: _columns(root), (_NO_HISTORY, 0), root / HISTORY_FILE, problems)
        problems += [_damage(LOGBOOK_FILE, num_bad)] if num_bad else []
        problems += [_damage(HISTORY_FILE, num_bad_rows)] if num_bad_rows else []
        for problem in problems:
            logger.warning("%s: %s", root, problem)
        command = _tried(lambda: read_sealed_json(regular_file(root, PLAN_FILE)), None, root / PLAN_FILE, [])
        return cls(
            root, description, result, champions, tuple(entries), command, tuple(problems), is_held(root), columns
        )

    @functools.cached_property
    def history(self) -> dict[str, list[Any]]:
        """One list per quantity, one entry per window, None where a row lacks it: what ``pandas.DataFrame`` takes.

        Lines that are damaged are left out. Read when it is first asked for; all of it is held in memory.
        """
        return self.thinned_history(every=1)

    def thinned_history(self, *, every: int) -> dict[str, list[Any]]:
        """Return the same of one window in so many, the last one among them; not kept.

        Args:
            every: 1 for all.
        """
        path = self.path / HISTORY_FILE
        if not os.path.lexists(path):
            return {}
        lines, last = [], b""
        for number, line in enumerate(lines_of(regular_file(self.path, HISTORY_FILE))):
            last = line
            if number % every == 0:
                lines.append(line)
        if last and lines[-1] is not last:
            lines.append(last)
        rows = [row for row in map(parsed, lines) if row is not None]
        names = dict.fromkeys(itertools.chain.from_iterable(rows))
        return {name: [row.get(name) for row in rows] for name in names}

    @property
    def columns(self) -> Mapping[str, np.ndarray]:
        """What charts need of the history, as arrays: ``env_steps``, ``score`` and ``champion`` (NaN where a row has
        none), ``state`` and ``alarm``; rows without a state or env steps, and numbers that no axis has room for, are
        left out.
        """
        return self._columns

    def to_pandas(self) -> Any:
        """Return the history as a ``pandas.DataFrame``, one row a window.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise MissingExtraError("Data frames need pandas, which is not installed: pip install pandas.") from error
        return pandas.DataFrame(self.history)

    @property
    def champion(self) -> PolicySnapshot | None:
        """The champion that the run left; of one that did not end, the latest that is kept."""
        if self.result is not None and self.result.champion is not None:
            return self.result.champion
        return self.champions[-1] if self.champions else None

    @property
    def verdict(self) -> str:
        """The result's reason; else ``"running"`` or ``"unfinished"``."""
        if self.is_going_on:
            return RUNNING
        return UNFINISHED if self.result is None else self.result.reason

    @property
    def env_id(self) -> str | None:
        """Where it was trained, by its Gymnasium id; None where nothing tells."""
        told = self.described("pipeline").get("env_id") or (self.command or {}).get("env_id")
        return told if isinstance(told, str) else None

    @property
    def algorithm(self) -> str | None:
        """The name of the agent's class; None where nothing tells."""
        kind = self.described("agent").get("class")
        return kind if isinstance(kind, str) else None

    @property
    def seed(self) -> int | None:
        """What repeats it."""
        seed = self.description.get("seed")
        return seed if isinstance(seed, int) else None

    @property
    def env_steps(self) -> int:
        """Env steps of training."""
        if self.result is not None:
            return int(self.result.env_steps.get("training", 0))
        steps = self.columns["env_steps"]
        return int(steps[-1]) if len(steps) else 0

    def described(self, name: str) -> Mapping[str, Any]:
        """Return a table of the description; empty where there is none."""
        found = self.description.get(name)
        return found if isinstance(found, dict) else {}

    def seconds_at(self, env_steps: Any) -> np.ndarray | None:
        """Return how many seconds had passed at counts of env steps, as the logbook tells; None where it does not.

        Args:
            env_steps: Of training, ``[n]``.
        """
        times = [(entry["env_steps"], entry["seconds"]) for entry in self.logbook if entry["kind"] == "time"]
        if not times:
            return None
        steps, seconds = np.array(times, dtype=np.float64).T
        told: np.ndarray = np.interp(np.asarray(env_steps, np.float64), steps, seconds)
        return told

    def __repr__(self) -> str:
        mean = None if self.result is None else self.result.confirmed_mean
        reached = "" if mean is None else f", confirmed_mean={mean:.6g}"
        return f"Run({self.path.as_posix()!r}, {self.verdict}{reached}, {self.env_id}, {self.env_steps:,} env steps)"

    def _repr_html_(self) -> str:
        report = None if self.result is None else self.result.report
        return html_table(
            f"Run {self.path.name}",
            {
                "Verdict": self.verdict,
                "Confirmed mean": report,
                "Environment": self.env_id,
                "Agent": self.algorithm,
                "Seed": self.seed,
                "Env steps of training": f"{self.env_steps:,}",
                "Champions kept": len(self.champions),
                "Folder": self.path.as_posix(),
                "Notes": " ".join(self.notes),
            },
        )


def _check_is_run(root: Path) -> None:
    files = (RUN_FILE, HISTORY_FILE, RESULT_FILE, MANIFEST_FILE)
    if not was_started(root) and not any(os.path.lexists(root / name) for name in files):
        raise CheckpointError(
            f"{root.as_posix()!r:.200} is not the folder of a run: it holds none of {', '.join(files)}. "
            "tensor-optix list DIR shows the runs in a folder."
        )


def _champions(root: Path, problems: list[str]) -> tuple[tuple[PolicySnapshot, ...], str | None]:
    found = _tried(lambda: take_inventory(root), None, root / MANIFEST_FILE, problems, needed=False)
    if found is None:
        return (), None
    return tuple(stored.snapshot for stored in found.snapshots), found.best_id


def _columns(root: Path) -> tuple[dict[str, np.ndarray], int]:
    if not os.path.lexists(root / HISTORY_FILE):
        return _NO_HISTORY, 0
    columns, num_bad = columns_and_damage(regular_file(root, HISTORY_FILE))
    return drawable(columns), num_bad


def _tried(read: Callable[[], Read], otherwise: Read, path: Path, problems: list[str], *, needed: bool = True) -> Read:
    """Return what a file tells; where it cannot be read, say so and return something else."""
    try:
        return read()
    except (CheckpointError, OSError) as error:
        if needed or os.path.lexists(path):
            problems.append(f"{path.name} was not read: {error}")
        return otherwise


def _damage(name: str, count: int) -> str:
    lines = "One line" if count == 1 else f"{count:,} lines"
    return f"{lines} of {name} {'is' if count == 1 else 'are'} damaged and left out."


def number_or_nan(value: Any) -> float:
    """Return a number of a row as a float, NaN for anything else and for what no axis has room for."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and abs(value) < _LARGEST else math.nan
