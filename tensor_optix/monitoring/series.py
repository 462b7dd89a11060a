"""What is measured of a series of scores: a line through autocorrelated bins, and moments that can grow."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tensor_optix.functional.statistics import MAD_TO_SD
from tensor_optix.monitoring.score_bins import Floats

# Chosen on the TUNING curves of benchmarks/judgement.py, with the plateau detector that uses them.
_PRIOR_BINS, _PRIOR_PHI = 8.0, 0.3  # what is believed of the autocorrelation, and how many bins that is worth
_CLIP = 3.0  # robust standard deviations at which a bin is taken as an outlier


@dataclass(frozen=True)
class Line:
    """A straight line through bin means.

    Attributes:
        slope: Change per unit of x.
        slope_se: Its standard error, autocorrelation taken into account.
        score_sd: Standard deviation of single scores around the line.
        long_run_variance: ``n`` times the variance of the mean of ``n`` scores.
        freedom: Degrees of freedom of the error, as of independent bins.
    """

    slope: float
    slope_se: float
    score_sd: float
    long_run_variance: float
    freedom: float


def fit_line(x: Floats, means: Floats, scatters: Floats, bin_size: int) -> Line:
    """Fit bin means by least squares, after outliers were drawn in to 3 robust deviations.

    Residuals are taken as a first-order autoregression, whose coefficient is corrected for its bias
    after detrending, ``-(2 + 4 phi) / n``, and drawn towards a common one where bins are few. A short
    dip of the policy thus neither tilts the line much nor hides that the rest is flat.

    Args:
        x: Position of each bin, ``[n]`` with ``n >= 6``.
        means: Mean of each bin, ``[n]``.
        scatters: Sum of squared deviations inside each bin, ``[n]``.
        bin_size: Scores per bin.
    """
    count = x.size
    xc = x - x.mean()
    yc = means - means.mean()
    sxx = float(xc @ xc)
    residuals = yc - float(xc @ yc) / sxx * xc
    scatter = float(scatters.sum()) + float(residuals @ residuals) * bin_size
    score_sd = math.sqrt(scatter / (count * bin_size - 2.0))
    yc = _draw_in(xc, yc)
    slope = float(xc @ yc) / sxx
    residuals = yc - slope * xc
    total = float(residuals @ residuals)
    if total == 0.0:
        return Line(slope, 0.0, score_sd, 0.0, count - 2.0)
    raw = float(residuals[1:] @ residuals[:-1]) / total
    phi = min(max((raw * count + 2.0 + _PRIOR_BINS * _PRIOR_PHI) / (count - 4.0 + _PRIOR_BINS), 0.0), 0.95)
    long_run = total / (count - 2.0) * (1.0 + phi) / (1.0 - phi)
    return Line(slope, math.sqrt(long_run / sxx), score_sd, long_run * bin_size, count - 2.0)


def _draw_in(xc: Floats, yc: Floats) -> Floats:
    """Return the centred values with those far from a line through medians drawn in, centred anew."""
    half = xc.size // 2
    rise = _median(yc[half:]) - _median(yc[:half])
    line = xc * (rise / float(xc[half:].mean() - xc[:half].mean()))
    residuals = yc - line
    middle = _median(residuals)
    residuals -= middle
    size = np.abs(residuals)
    limit = _CLIP * MAD_TO_SD * _median(size)
    if not 0.0 < limit < size.max():
        return yc
    drawn: Floats = line + residuals.clip(-limit, limit)
    return np.asarray(drawn - drawn.mean())


def _median(values: Floats) -> float:
    """Return the (upper) median; several times as fast as ``np.median`` on short arrays."""
    middle = values.size // 2
    return float(np.partition(values, middle)[middle])


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


def sum_variance(length: float, phi: float) -> float:
    """Return the variance of the sum of ``length`` scores of a unit-variance AR(1) with ``phi``."""
    growth = length * (1.0 + phi) / (1.0 - phi)
    return growth - 2.0 * phi * (1.0 - math.pow(phi, length)) / (1.0 - phi) ** 2
