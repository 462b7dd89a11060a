"""What a steady series looks like, from sums that can grow."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Moments:
    """Sums over the scores of a steady policy, as differences from ``origin``.

    Attributes:
        origin: The mean of the first scores, so that a common offset costs no digits.
        count: Number of scores.
        total: Sum.
        squares: Sum of squares.
        pairs: Number of neighbouring pairs.
        products: Sum of the products of neighbours.
        low_count: Scores below the origin.
        low_squares: Sum of their squares.
    """

    origin: float
    count: int = 0
    total: float = 0.0
    squares: float = 0.0
    pairs: int = 0
    products: float = 0.0
    low_count: int = 0
    low_squares: float = 0.0

    @classmethod
    def of(cls, scores: Sequence[float]) -> Moments:
        """Return the moments of ``scores``, ``[n]`` with ``n >= 1``."""
        first = scores[0]
        origin = first + math.fsum(score - first for score in scores) / len(scores)
        return cls(origin).extended(scores)

    def extended(self, scores: Sequence[float]) -> Moments:
        """Return these moments with a further, uninterrupted stretch of scores."""
        x = [score - self.origin for score in scores]
        low = [value for value in x if value < 0.0]
        return replace(
            self,
            count=self.count + len(x),
            total=self.total + math.fsum(x),
            squares=self.squares + math.fsum(value * value for value in x),
            pairs=self.pairs + len(x) - 1,
            products=self.products + math.fsum(a * b for a, b in itertools.pairwise(x)),
            low_count=self.low_count + len(low),
            low_squares=self.low_squares + math.fsum(value * value for value in low),
        )

    @property
    def mean(self) -> float:
        """The mean score."""
        return self.origin + self.total / self.count

    @property
    def sd(self) -> float:
        """The standard deviation of single scores, unbiased for an autoregression with ``phi``."""
        scatter = self.squares - self.total * (self.total / self.count)
        lost = sum_variance(self.count, self.phi) / self.count
        return math.sqrt(max(scatter, 0.0) / max(self.count - lost, 1.0))

    @property
    def phi(self) -> float:
        """The autocorrelation at lag 1, corrected for the bias of short series.

        Inside [0, 0.9], and below ``1 - 3 / count``: a handful of scores cannot show more.
        """
        mean = self.total / self.count
        variance = self.squares / self.count - mean * mean
        if variance <= 0.0 or self.pairs == 0:
            return 0.0
        raw = (self.products / self.pairs - mean * mean) / variance
        return min(max(raw + (1.0 + 4.0 * raw) / self.count, 0.0), max(1.0 - 3.0 / self.count, 0.0), 0.9)

    @property
    def low_tail(self) -> float:
        """Root mean square of the drops below the origin, in standard deviations: 1 if symmetric."""
        sd = self.sd
        if sd == 0.0 or self.low_count == 0:
            return 1.0
        return math.sqrt(self.low_squares / self.low_count) / sd

    def state_dict(self) -> dict[str, Any]:
        """Return all sums, JSON-able; ``Moments(**state)`` brings them back."""
        return asdict(self)


def sum_variance(length: float, phi: float) -> float:
    """Return the variance of the sum of ``length`` scores of a unit-variance AR(1) with ``phi``."""
    growth = length * (1.0 + phi) / (1.0 - phi)
    return growth - 2.0 * phi * (1.0 - math.pow(phi, length)) / (1.0 - phi) ** 2
