"""What a resumed run has to come up to: the champion that was handed back before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tensor_optix.core.types import EvaluationResult, PolicySnapshot
from tensor_optix.functional.nonparametric_tests import lower_by_ranks

SIGNIFICANCE = 0.01
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
