"""What a hyperparameter optimizer remembers of the scores it was shown."""

from __future__ import annotations

from collections import deque
from typing import Any, ClassVar

from tensor_optix.core.storage.stateful import Stateful
from tensor_optix.core.types import EvalMetrics
from tensor_optix.exceptions import StateMismatchError
from tensor_optix.optimizers.evidence import line_at, noise_variance

_MAX_VISITS = 8
_MAX_DIFFERENCES = 40
_MIN_DIFFERENCES = 4
_LATEST = 8


class NewScores(Stateful):
    """Finds what a history holds that was not there before.

    A history may have grown by any number of entries and lost its oldest. Entries are told apart by
    their ``episode_id``; where ids do not rise, by the history's length and its last entry.
    """

    _STATE = ("_last", "_length")
    _STATE_KINDS: ClassVar[dict[str, Any]] = {"_last": tuple[int, float, float] | None, "_length": int}

    def __init__(self) -> None:
        self._last: tuple[int, float, float] | None = None
        self._length = 0

    def take(self, history: list[EvalMetrics]) -> list[EvalMetrics]:
        """Return the entries that are new and evidence, oldest first."""
        fresh = self._fresh(history)
        if history:
            self._last, self._length = _identity(history[-1]), len(history)
        return [metrics for metrics in fresh if metrics.is_evidence]

    def _fresh(self, history: list[EvalMetrics]) -> list[EvalMetrics]:
        if self._last is None or not history:
            return list(history)
        start = len(history)
        while start > 0 and history[start - 1].episode_id > self._last[0]:
            start -= 1
        if start < len(history):
            return history[start:]
        if len(history) > self._length:
            return history[self._length :]
        return history[-1:] if _identity(history[-1]) != self._last else []


def _identity(metrics: EvalMetrics) -> tuple[int, float, float]:
    return metrics.episode_id, metrics.primary_score, metrics.timestamp


class ScoreBuffer(Stateful):
    """Recent scores, and what they say about level, drift and noise at the centre.

    Args:
        score_window: How many of the latest scores count for ``variance``.
    """

    _STATE = ("seen", "_recent", "_raw_differences", "_differences", "_times", "_scores")
    _STATE_KINDS: ClassVar[dict[str, Any]] = {"seen": int, **dict.fromkeys(_STATE[1:], list[float])}

    def __init__(self, score_window: int) -> None:
        self.seen = 0
        self._recent: deque[float] = deque(maxlen=score_window)
        self._raw_differences: deque[float] = deque(maxlen=_MAX_DIFFERENCES)
        self._differences: deque[float] = deque(maxlen=_MAX_DIFFERENCES)
        self._times: deque[int] = deque(maxlen=_MAX_VISITS)
        self._scores: deque[float] = deque(maxlen=_MAX_VISITS)

    def add(self, score: float, at_centre: bool) -> None:
        """Take in the score of the next window."""
        if self._recent:
            self._raw_differences.append(score - self._recent[-1])
        self._recent.append(score)
        if at_centre:
            if self._scores:
                self._differences.append(score - self._scores[-1])
            self._times.append(self.seen)
            self._scores.append(score)
        self.seen += 1

    def forget_centre(self) -> None:
        """Start anew at another centre; what is known of the noise stays."""
        self._times.clear()
        self._scores.clear()

    @property
    def has_centre(self) -> bool:
        """Whether the centre in force was ever scored."""
        return bool(self._scores)

    @property
    def variance(self) -> float:
        """Sample variance of the latest ``score_window`` scores, 0 with fewer than two."""
        n = len(self._recent)
        if n < 2:
            return 0.0
        mean = sum(self._recent) / n
        return sum((score - mean) ** 2 for score in self._recent) / (n - 1)

    def noise(self) -> tuple[float, int] | None:
        """Return the variance of one score and its degrees of freedom, or None while unknown.

        Neighbouring scores of the centre are best; until there are enough, neighbouring scores of
        whatever was in force serve, once the buffer is full. Noise that has just grown counts as it
        is now: the greater of a long and a short memory is taken.
        """
        if len(self._differences) >= _MIN_DIFFERENCES:
            differences = self._differences
        elif len(self._recent) == self._recent.maxlen and len(self._raw_differences) >= _MIN_DIFFERENCES:
            differences = self._raw_differences
        else:
            return None
        estimates = [(noise_variance(part), len(part) - 1) for part in (differences, list(differences)[-_LATEST:])]
        return max(estimates)

    @property
    def last_score(self) -> float:
        """The latest score of the centre."""
        return self._scores[-1]

    def level_at(self, time: float) -> tuple[float, float]:
        """Return the centre's foretold score at window ``time`` and its relative variance."""
        return line_at(self._times, self._scores, time)  # type: ignore[arg-type]

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Become what ``state_dict`` returned."""
        if len(state["times"]) != len(state["scores"]):
            raise StateMismatchError(f"{len(state['times'])} times were saved for {len(state['scores'])} scores.")
        super().load_state_dict(state)
