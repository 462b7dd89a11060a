"""What earlier calls of ``run()`` in a folder came to, and what a later one has to come up to."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tensor_optix.core.base_pipeline import BasePipeline
from tensor_optix.core.budget import Budget, Ledger
from tensor_optix.core.checkpoint_registry import CheckpointRegistry
from tensor_optix.core.judgement.champion import Incumbent
from tensor_optix.core.loop.recorder import Recorder
from tensor_optix.core.loop.result_file import Outcome, read_outcome, write_environment_state, write_outcome
from tensor_optix.core.run_result import History, RunResult
from tensor_optix.core.types import EvaluationResult, PolicySnapshot
from tensor_optix.functional.nonparametric_tests import lower_by_ranks

logger = logging.getLogger(__name__)

SIGNIFICANCE = 0.01
"""With which one report has to be lower than another: a choice, so that chance turns one resumed run in a hundred."""

_FEWEST_EPISODES = 5


@dataclass(frozen=True)
class Bar:
    """The best snapshot of a run's folder when the run was resumed from before that snapshot was made.

    Attributes:
        snapshot: It.
        report: What it reached in fresh greedy episodes when the run had ended; None: it had not, or played none.
    """

    snapshot: PolicySnapshot
    report: EvaluationResult | None

    def stays(self, report: EvaluationResult | None, *, is_settled: bool, num_windows: int) -> bool:
        """Tell whether it stays the champion.

        A run that went on to its end has the say: its champion has to be worse beyond chance to lose its place. One
        that was cut short has not settled anything: its champion has to be better beyond chance.

        Args:
            report: What the resumed run's champion reached in fresh greedy episodes; None: it played none.
            is_settled: Whether the run went on to its end.
            num_windows: How many windows it has come to: with those of this snapshot behind it, it has made or bettered
                it by its own lights.
        """
        has_passed = num_windows > self.snapshot.episode_id
        if self.report is None:
            return not has_passed
        if report is None:
            return not (is_settled and has_passed)
        if is_settled:
            return _is_lower(report, self.report)
        return not _is_lower(self.report, report)


def _is_lower(first: EvaluationResult, second: EvaluationResult) -> bool:
    """Tell whether the first is lower beyond chance."""
    if min(first.num_episodes, second.num_episodes) < _FEWEST_EPISODES or first.mean >= second.mean:
        return False
    return lower_by_ranks(np.asarray(first.returns), np.asarray(second.returns)) < SIGNIFICANCE


class Outcomes:
    """Reads and writes the result of the run in a folder, and holds the bar that an earlier one sets.

    Args:
        registry: Keeps snapshots: the one that sets the bar is not pruned.
        recorder: Knows the folder, if there is one, and the history in it.

    Attributes:
        run_number: How often ``run()`` has begun anew.
    """

    def __init__(self, registry: CheckpointRegistry, recorder: Recorder) -> None:
        self._registry = registry
        self._recorder = recorder
        self._bar: Bar | None = None
        self._handed_back: Bar | None = None
        self.run_number = 0

    def finished(self, budget: Budget, newest: Mapping[str, Any] | None) -> Outcome | None:
        """Return the result of the run in the folder, where it has one that this budget would not change.

        Args:
            budget: What a run could use now.
            newest: The loop's own numbers in the newest checkpoint, if there is one.
        """
        outcome = self._read()
        is_newest = outcome is not None and (newest is None or newest.get("run_number", 1) == outcome.run_number)
        return None if outcome is None or not is_newest or outcome.leaves_room_for(budget) else outcome

    def begin_anew(self) -> None:
        """Count a run that begins; what was handed back before it is its bar."""
        self.run_number += 1
        self._bar, self._handed_back = self._handed_back, None
        if self._bar is not None:
            self._registry.hold(self._bar.snapshot.snapshot_id)

    def go_on_from(self, run_number: int, champion: PolicySnapshot | None, best: PolicySnapshot | None) -> None:
        """Let the best snapshot there was stay the best on disk, where the run goes on from before it.

        Args:
            run_number: Of the run that goes on.
            champion: Its own.
            best: The best there was.
        """
        self.run_number, self._bar = run_number, None
        outcome = self._read()
        if outcome is None:
            logger.warning("%s holds no result: the run was cut short, and goes on.", self._recorder.run_dir)
        if best is None or (champion is not None and champion.snapshot_id == best.snapshot_id):
            self._registry.hold(None)
        else:
            self._bar = _bar_of(best, outcome)

    def hand_back(self, outcome: Outcome, incumbent: Incumbent) -> RunResult:
        """Return the result of a run that is over, and let the incumbent hold its champion.

        Raises:
            CheckpointError: The champion is damaged.
        """
        best, folder = self._registry.best, self._recorder.run_folder
        self.run_number = outcome.run_number
        if best is not None:
            incumbent.adopt(best.snapshot_id)
            self._handed_back = _bar_of(best, outcome)
        history = History() if folder is None else folder.history.latest()
        return replace(outcome.result, champion=best, history=history.columns(), is_interrupted=False)

    def take_bar(self) -> Bar | None:
        """Return what the run has to come up to, once; None where it was not resumed from before its best."""
        bar, self._bar = self._bar, None
        return bar

    def keep(self, result: RunResult, ledger: Ledger, pipeline: BasePipeline) -> None:
        """Write a result into the run's folder, if it has one, with what the environment carries over.

        Raises:
            CheckpointError: The system refused.
        """
        folder, champion = self._recorder.run_folder, result.champion
        if folder is None:
            return
        champion_id = None if champion is None else champion.snapshot_id
        write_outcome(folder.path, Outcome(result, champion_id, self.run_number, ledger.budget, ledger.used))
        write_environment_state(folder.path, pipeline.environment_state())

    def _read(self) -> Outcome | None:
        folder = self._recorder.run_folder
        return None if folder is None else read_outcome(folder.path)


def _bar_of(best: PolicySnapshot, outcome: Outcome | None) -> Bar:
    is_reported = outcome is not None and outcome.champion_id == best.snapshot_id
    return Bar(best, outcome.result.report if outcome is not None and is_reported else None)
