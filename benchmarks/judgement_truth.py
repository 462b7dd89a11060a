"""What a logged run really did: its level, where it ended, and when it had learned.

The definitions are those under which the figures of `docs/judgement.md` are to be read.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

LEVEL_SHARE = 1 / 30  # of the run: what the running level looks at
GROUPS = 5  # of the median of means
FINAL_SHARE = 0.2  # of the run: what the final level is the mean of
LEARNED_SHARE = 0.95  # of the gained range
REAL_GAIN_SDS = 2.0  # standard deviations of an untrained policy's single episode, and of ...
REAL_GAIN_ERRORS = 3.0  # ... its mean: what a gain must exceed to be called one
FLAT_SHARE = 0.05  # of the gained range: what the last two quarters may differ by in a flat half


@dataclass
class Run:
    """One logged run.

    Attributes:
        meta: How it was made.
        window_steps: Env steps of a window.
        counts: Episodes that ended in each window, ``[windows]``.
        returns: Their returns in order, ``[episodes]``.
        initial: Returns of the policy before it learned anything.
    """

    meta: dict
    window_steps: int
    counts: np.ndarray
    returns: np.ndarray
    initial: np.ndarray

    @classmethod
    def of(cls, record):
        """Return the run of a record of `judgement_curves.py`."""
        returns = record["returns"].astype(np.float64)
        return cls(record["meta"], int(record["window_steps"]), record["counts"], returns, record["initial"])

    @property
    def steps(self):
        """Env steps of the whole run."""
        return self.window_steps * len(self.counts)

    @cached_property
    def ends(self):
        """Env step at which the window of each episode ended, ``[episodes]``."""
        return np.repeat(np.arange(1, len(self.counts) + 1), self.counts) * self.window_steps

    def windows(self, merge=1):
        """Yield ``(env step at its end, returns of its episodes)`` of windows ``merge`` times as long as logged."""
        edges = np.concatenate([[0], np.cumsum(self.counts)])
        for first in range(0, len(self.counts), merge):
            last = min(first + merge, len(self.counts))
            yield last * self.window_steps, self.returns[edges[first] : edges[last]]

    def level(self, step):
        """Return the median of means of the episodes around a step, in 1/30 of the run."""
        half = self.steps * LEVEL_SHARE / 2
        centre = min(max(step, half), self.steps - half)
        near = self.returns[(self.ends > centre - half) & (self.ends <= centre + half)]
        if near.size == 0:
            near = self.returns[max(np.searchsorted(self.ends, step) - 1, 0)][None]
        return float(np.median([part.mean() for part in np.array_split(near, GROUPS) if part.size]))

    @cached_property
    def levels(self):
        """The level at 300 points of the run, ``([300] steps, [300])``."""
        steps = np.linspace(0, self.steps, 301)[1:]
        return steps, np.array([self.level(step) for step in steps])

    @cached_property
    def final(self):
        """The final level: mean of the last fifth."""
        return float(self.returns[self.ends > (1 - FINAL_SHARE) * self.steps].mean())

    @cached_property
    def gained(self):
        """The gained range R."""
        return self.final - float(self.initial.mean())

    @cached_property
    def t95(self):
        """Env step at which the level first reaches 95 % of R."""
        steps, levels = self.levels
        return float(steps[np.argmax(levels >= self.final - (1 - LEARNED_SHARE) * self.gained)])

    @cached_property
    def has_learned(self):
        """Whether the gain is real: beyond the spread of untrained episodes, or beyond doubt and peak to end."""
        sd = float(self.initial.std())
        error = np.hypot(sd / np.sqrt(len(self.initial)), self._final_error)
        return self.meta["kind"] == "good" and self.gained > max(REAL_GAIN_ERRORS * error, 1e-9)

    @property
    def _final_error(self):
        parts = np.array_split(self.returns[self.ends > (1 - FINAL_SHARE) * self.steps], 10)
        means = [part.mean() for part in parts if part.size]
        return float(np.std(means) / np.sqrt(len(means)))

    @cached_property
    def is_flat(self):
        """Whether the last half is flat, and learning was over before it."""
        third, last = (self.returns[(self.ends > a * self.steps) & (self.ends <= b * self.steps)] for a, b in QUARTERS)
        return self.t95 <= self.steps / 2 and abs(last.mean() - third.mean()) <= FLAT_SHARE * self.gained

    def shortfall(self, step):
        """Return how far the level at a step lies below the final one, as a share of R."""
        return (self.final - self.level(step)) / self.gained


QUARTERS = ((0.5, 0.75), (0.75, 1.0))
