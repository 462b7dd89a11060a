"""Straight lines through autocorrelated scores."""

from __future__ import annotations

import math
from dataclasses import dataclass

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
