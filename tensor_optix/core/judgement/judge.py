"""What a window's score says: improved, degraded, plateau, or nothing.

Noise is the enemy: a maximum of noisy scores is not a best, and a low score is not a
degradation. Every verdict here is about pooled windows, and asks for evidence in proportion to
the noise that was seen.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from tensor_optix.core.storage.plain_state import require_finite
from tensor_optix.core.storage.stateful import Stateful
from tensor_optix.core.types import EvalMetrics
from tensor_optix.functional.statistics import difference_noise
from tensor_optix.monitoring.degradation_detector import DegradationDetector
from tensor_optix.monitoring.plateau_detector import PlateauDetector
from tensor_optix.monitoring.trend import Trend

EPISODES_PER_LOOK = 5
"""Finished episodes that a look pools, where the evaluator counts them: a late rise drowns in the noise of fewer."""

# Chosen on scripted scores (tests/test_core/test_judgement/test_judge.py, benchmarks/detector_simulation.py) and on
# the TUNING curves of benchmarks/judgement.py.
_BEYOND_NOISE = 2.0  # standard errors
_MEMORY_WINDOWS = 50  # of scores, and after which an alarm's level is taken for the new one
_NOISE_WINDOWS = 30  # that the noise is measured from
_MIN_FRESH_WINDOWS = 2  # fewest that speak for a challenger, or for the end of a drop
_MIN_BASELINE_WINDOWS = 3  # fewest that a detector can be calibrated on
_LARGE_DROP = 0.3  # share of what was gained
_SETTLING_WINDOWS = 2  # after the first champion's, whose single window may have been luck
_LUCK_WINDOWS, _LUCK_SPREADS = 10, 5.0  # so many later, so far above its own level: it was luck
_LEVEL_WINDOWS, _STEADY_LEVEL_WINDOWS = 5, 20  # pooled in the level of now, and of a plateau
_STEADY_WINDOWS = (50, 32, 16, 8)  # tails of the scores that are tried for a baseline, the longest first


@dataclass(frozen=True)
class Verdict:
    """What one window said.

    Attributes:
        improved: The policy that acted is better than the champion beyond noise.
        degraded: An alarm: the policy that acted is worse than it was, beyond noise.
        trend: What the look that closed with this window said; None if none closed.
        look_score: Mean score of that look.
    """

    improved: bool = False
    degraded: bool = False
    trend: Trend | None = None
    look_score: float = math.nan


@dataclass
class Standing:
    """What is known of the champion's score while training.

    Attributes:
        metrics: The window that its weights earned.
        level: Pooled score, lower and steadier than the window's own.
        num_windows: Windows pooled in ``level``.
        is_settled: Whether the windows right after it agreed.
    """

    metrics: EvalMetrics
    level: float
    num_windows: int
    is_settled: bool


class Judge(Stateful):
    """Weighs the scores of windows against the champion, the recent past and the whole curve.

    Args:
        improvement_margin: What a challenger must be better by, on top of the noise.
        compare: ``(candidate, baseline) -> bool``; the evaluator's own.
    """

    _STATE = (
        *("standing", "plateau", "_drop", "last_trend", "num_looks", "latest", "_first_scores", "_recent", "_normal"),
        *("_fresh", "_look", "_alarm_level", "_num_since_alarm", "_num_since_calibration", "_warms_up"),
    )
    state_may_lack = ("warms_up",)
    _STATE_KINDS: ClassVar = {
        "standing": Standing,
        "latest": EvalMetrics,
        "_fresh": list[tuple[float, int]],
        "_look": list[tuple[float, int]],
        **dict.fromkeys(("_first_scores", "_recent", "_normal"), list[float]),
    }

    def __init__(
        self, improvement_margin: float = 0.0, compare: Callable[[EvalMetrics, EvalMetrics], bool] | None = None
    ) -> None:
        self.improvement_margin = improvement_margin
        self._compare = compare or EvalMetrics.beats
        self.plateau = PlateauDetector()
        self.standing: Standing | None = None
        self.last_trend = Trend.WARMING_UP
        self.num_looks = 0
        self.latest: EvalMetrics | None = None
        self._drop = DegradationDetector.while_learning()
        self._recent: deque[float] = deque(maxlen=_MEMORY_WINDOWS)
        self._normal: deque[float] = deque(maxlen=_MEMORY_WINDOWS)
        self._first_scores: list[float] = []
        self._alarm_level = math.nan
        self._num_since_alarm = 0
        self._fresh: deque[tuple[float, int]] = deque(maxlen=100)
        self._num_since_calibration = 0
        self._look: list[tuple[float, int]] = []
        self._warms_up = False

    def weigh(self, metrics: EvalMetrics, *, is_warming_up: bool = False) -> Verdict:
        """Weigh one window that gave evidence.

        Args:
            metrics: Of the window.
            is_warming_up: Whether the agent explored more in it than it will: its look says nothing about a plateau.
        """
        self._warms_up |= is_warming_up
        self.latest = metrics
        score, weight = metrics.primary_score, metrics.num_episodes or 1
        self._recent.append(score)
        if len(self._first_scores) < _MIN_BASELINE_WINDOWS:
            self._first_scores.append(score)
        self._fresh.append((score, weight))
        self._settle()
        improved = self._is_better(metrics)
        degraded = self._watch_for_drop(score)
        return replace(self._close_look(metrics), improved=improved and not degraded, degraded=degraded)

    def crown(self, metrics: EvalMetrics, level: float | None = None) -> None:
        """Take note that the policy of this window is the champion now.

        Args:
            metrics: The window.
            level: Its pooled score, where known better than from the windows since the last champion.
        """
        pool = [score for score, _ in self._fresh][-_MIN_FRESH_WINDOWS:] or [metrics.primary_score]
        is_first = self.standing is None
        self.standing = Standing(
            metrics=metrics,
            level=statistics.median(pool) if level is None else level,
            num_windows=len(pool),
            is_settled=not is_first,
        )
        self._fresh.clear()
        self._num_since_calibration = 0
        if not self._drop.alarmed:
            self._calibrate()

    def keep(self) -> None:
        """Take note that the champion stays, though windows scored more: so would its own, explored as they were."""
        pool = list(self._fresh)[-_LEVEL_WINDOWS:]
        if self.standing is not None and pool and robust_level(pool) > self.standing.level:
            self.standing.level, self.standing.num_windows = robust_level(pool), len(pool)
            self._fresh.clear()

    def forgive(self) -> None:
        """Forget the windows of a policy that was rolled back."""
        self._fresh.clear()
        self._look.clear()
        self._warms_up = False

    def be_slower_to_cry(self) -> None:
        """Take a false alarm back: the same scores will not raise the next one."""
        self._drop.raise_threshold()
        self._drop.reset()

    def baseline_scores(self) -> list[float]:
        """Return the scores that count as normal."""
        return list(self._normal)

    def start_over(self) -> None:
        """Forget everything: the world is another one."""
        self.__init__(self.improvement_margin, self._compare)  # type: ignore[misc]

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Become what ``state_dict`` returned, where its scores are finite."""
        super().load_state_dict(state)
        require_finite([*self._first_scores, *self._recent, *self._normal, *self._fresh, *self._look], "score")
        if self.standing is not None:
            require_finite([self.standing.level, self.standing.metrics.primary_score], "standing")

    @property
    def level(self) -> float:
        """Score of the latest windows, NaN before the first."""
        return self._level_of(_LEVEL_WINDOWS)

    @property
    def steady_level(self) -> float:
        """Score of the windows of a plateau, NaN before the first."""
        return self._level_of(_STEADY_LEVEL_WINDOWS)

    @property
    def counts_episodes(self) -> bool:
        """Whether scores are means over episodes that the evaluator counted; else they may be anything."""
        return self.standing is not None and self.standing.metrics.num_episodes is not None

    def is_above(self, mean_return: float) -> bool:
        """Tell whether the windows of a plateau lie above it beyond their noise."""
        return self.steady_level - mean_return > _BEYOND_NOISE * self._error_of(_STEADY_LEVEL_WINDOWS)

    def training_mean(self) -> tuple[float, float] | None:
        """Return the mean score of the latest windows and what it may be off by, None where they are few."""
        num_windows = _STEADY_LEVEL_WINDOWS if self.last_trend is Trend.PLATEAU else _LEVEL_WINDOWS
        latest = list(self._recent)[-num_windows:]
        if len(latest) < _LEVEL_WINDOWS:
            return None
        return statistics.fmean(latest), _BEYOND_NOISE * self._error_of(num_windows)

    def _error_of(self, num_windows: int) -> float:
        """Return the standard error of the mean of so many of the latest windows."""
        return self.noise / math.sqrt(max(1, min(len(self._recent), num_windows)))

    def _level_of(self, num_windows: int) -> float:
        latest = [(score, 1) for score in list(self._recent)[-num_windows:]]
        return robust_level(latest) if latest else math.nan

    @property
    def _first_level(self) -> float:
        return statistics.median(self._first_scores)

    @property
    def noise(self) -> float:
        """Spread of one window's score around the trend."""
        return difference_noise(list(self._recent)[-_NOISE_WINDOWS:])

    def _is_better(self, metrics: EvalMetrics) -> bool:
        standing = self.standing
        if standing is None:
            return True
        if self._was_lucky(standing):
            return True
        return any(self._beats_champion(pool, metrics, standing) for pool in self._pools())

    def _pools(self) -> Iterator[list[tuple[float, int]]]:
        """Yield the latest windows since the champion at three scales: small gains need many."""
        fresh = list(self._fresh)
        size, episodes = 0, 0
        for size, (_, weight) in enumerate(reversed(fresh), start=1):
            episodes += weight
            if size >= _MIN_FRESH_WINDOWS and episodes >= EPISODES_PER_LOOK:
                break
        size = max(size, _MIN_FRESH_WINDOWS)
        for scale in (size, 4 * size, 16 * size):
            if len(fresh) >= scale:
                yield fresh[-scale:]

    def _beats_champion(self, pool: list[tuple[float, int]], metrics: EvalMetrics, standing: Standing) -> bool:
        level = robust_level(pool)
        if min(level, robust_level(pool[-_MIN_FRESH_WINDOWS:])) <= standing.level:
            return False
        doubt = _BEYOND_NOISE * self.noise * math.sqrt(1.0 / len(pool) + 1.0 / standing.num_windows)
        bar = standing.level + self.improvement_margin + doubt
        return self._compare(replace(metrics, primary_score=level), replace(standing.metrics, primary_score=bar))

    def _settle(self) -> None:
        """Hold the first champion's single window against the two that followed it."""
        standing = self.standing
        if standing is None or standing.is_settled or len(self._fresh) < _SETTLING_WINDOWS:
            return
        followers = [score for score, _ in self._fresh]
        standing.level = statistics.median([standing.metrics.primary_score, *followers[:_SETTLING_WINDOWS]])
        standing.num_windows = 1 + _SETTLING_WINDOWS
        standing.is_settled = True

    def _was_lucky(self, standing: Standing) -> bool:
        """Tell whether the champion's own window stands far above all that is known of its level."""
        if len(self._fresh) < _LUCK_WINDOWS:
            return False
        score = standing.metrics.primary_score
        is_highest = score > max(standing.level, *(fresh for fresh, _ in self._fresh))
        return is_highest and score - standing.level > _LUCK_SPREADS * self.noise

    def _watch_for_drop(self, score: float) -> bool:
        if self._drop.alarmed:
            self._watch_for_recovery()
            return False
        if self._drop.baseline is not None and self._drop.update(score) and self._is_large_drop():
            self._alarm_level = score
            self._num_since_alarm = 0
            self._leave_out_drop()
            return True
        self._normal.append(score)
        self._recalibrate_when_doubled()
        return False

    def _is_large_drop(self) -> bool:
        """Tell whether a good part of what was gained is lost; a learning policy dips all the time."""
        baseline = self._drop.baseline
        if baseline is None:
            return False
        gained = max(baseline.mean - self._first_level, 0.0)
        is_large = statistics.median(list(self._recent)[-3:]) < baseline.mean - _LARGE_DROP * gained
        if not is_large:
            self._drop.reset()
        return is_large

    def _leave_out_drop(self) -> None:
        """Keep the beginning of a drop out of what counts as normal."""
        baseline = self._drop.baseline
        while baseline is not None and len(self._normal) > 1 and self._normal[-1] < baseline.mean - baseline.sd:
            self._normal.pop()

    def _watch_for_recovery(self) -> None:
        """Arm the alarm again once the scores are back, or have settled at another level."""
        self._num_since_alarm += 1
        baseline = statistics.median(self._normal)
        halfway = 0.5 * (self._alarm_level + baseline)
        if min(list(self._recent)[-_MIN_FRESH_WINDOWS:]) > halfway:
            self._drop.reset()
        elif self._num_since_alarm >= _MEMORY_WINDOWS:
            self._normal = deque(self._recent, maxlen=_MEMORY_WINDOWS)
            self._calibrate()

    def _calibrate(self) -> None:
        if len(self._normal) >= _MIN_BASELINE_WINDOWS:
            self._drop.calibrate(steady_tail(list(self._normal)))

    def _recalibrate_when_doubled(self) -> None:
        """Few scores make a coarse baseline: make it again whenever there are twice as many.

        Not while the latest score is low: that may be the beginning of a drop.
        """
        self._num_since_calibration += 1
        count = self._num_since_calibration
        baseline = self._drop.baseline
        is_low = baseline is not None and self._normal[-1] < baseline.mean - baseline.sd
        if count & (count - 1) == 0 and count <= _MEMORY_WINDOWS and not is_low:
            self._calibrate()

    def _close_look(self, metrics: EvalMetrics) -> Verdict:
        self._look.append((metrics.primary_score, metrics.num_episodes or 1))
        episodes = sum(weight for _, weight in self._look)
        if metrics.num_episodes is not None and episodes < EPISODES_PER_LOOK:
            return Verdict()
        score = sum(score * weight for score, weight in self._look) / episodes
        self._look.clear()
        self.num_looks += 1
        self.last_trend = self.plateau.update(score)
        if self._warms_up:
            self._warms_up = False
            self.plateau.take_back()
            self.last_trend = self.plateau.trend
        return Verdict(trend=self.last_trend, look_score=score)


def robust_level(pool: list[tuple[float, int]]) -> float:
    """Return a level that no single lucky window can lift.

    The lower of the mean (weighted by episodes) and the median; of two windows the lower one.

    Args:
        pool: ``(score, weight)`` of each window.
    """
    scores = [score for score, _ in pool]
    if len(scores) <= _MIN_FRESH_WINDOWS:
        return min(scores)
    total = sum(weight for _, weight in pool)
    return min(sum(score * weight for score, weight in pool) / total, statistics.median(scores))


def steady_tail(scores: list[float]) -> list[float]:
    """Return the longest of a few tails of a series whose two halves do not differ beyond noise.

    A baseline made from scores that were still rising would be too wide to notice a drop.
    """
    for size in _STEADY_WINDOWS:
        tail = scores[-size:]
        if len(tail) < size:
            continue
        half = size // 2
        rise = statistics.fmean(tail[half:]) - statistics.fmean(tail[:half])
        if abs(rise) <= _BEYOND_NOISE * difference_noise(tail) * math.sqrt(4.0 / size):
            return tail
    return scores[-_LEVEL_WINDOWS:]
