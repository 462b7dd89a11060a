"""The statistics behind a move: pure functions on numbers.

Scores are noisy and drift while an agent learns. Each function here answers one question about
them; none knows what a hyperparameter is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import fdtrc, stdtrit

_MEMORY = 0.98
_ROUNDING = 1e-9
_TINY = 1e-300
_RIDGE = 1e-9
_TINY_COLUMN = 1e-12


def line_at(times: Sequence[float], scores: Sequence[float], time: float) -> tuple[float, float]:
    """Foretell the score at ``time`` from scores at other times, their trend taken along.

    An ordinary least-squares line; the last score alone where the line would be the worse guess.

    Args:
        times: Window numbers, rising, ``[n]`` with n >= 1.
        scores: Scores of those windows, ``[n]``.
        time: The window asked about.

    Returns:
        The foretold score, and its variance as a multiple of the variance of one score.
    """
    n = len(times)
    if n == 1:
        return scores[0], 1.0
    mean_time = sum(times) / n
    mean_score = sum(scores) / n
    spread = sum((t - mean_time) ** 2 for t in times)
    variance = 1.0 / n + (time - mean_time) ** 2 / spread
    if variance > 1.0:
        return scores[-1], 1.0
    slope = sum((t - mean_time) * s for t, s in zip(times, scores, strict=True)) / spread
    return mean_score + slope * (time - mean_time), variance


def noise_variance(differences: Sequence[float]) -> float:
    """Return the variance of one score, from differences of neighbouring scores.

    A steady drift shifts all differences alike, so their mean is taken out.

    Args:
        differences: ``score[i + 1] - score[i]``, ``[n]`` with n >= 2.
    """
    n = len(differences)
    mean = sum(differences) / n
    return sum((d - mean) ** 2 for d in differences) / (2.0 * (n - 1))


def noise_sd(variance: float, level: float) -> float:
    """Return the standard deviation of a score, at least what rounding does to one of size ``level``."""
    return max(math.sqrt(variance), _ROUNDING * abs(level), _TINY)


def spent_threshold(look: int, alpha: float, dof: int) -> float:
    """Return the t value that look number ``look`` must exceed, so that all looks together err at ``alpha``.

    Look k may err with probability ``alpha / (k (k + 1))``; these sum to ``alpha`` over any number
    of looks, so one may look after every score.

    Args:
        look: 1 for the first look.
        alpha: Probability that any look ever exceeds its threshold by chance (one-sided).
        dof: Degrees of freedom of the noise estimate.
    """
    return float(stdtrit(dof, 1.0 - alpha / (look * (look + 1))))


def is_drawn_out(total: float, weight: float, alpha: float, prior_weight: float) -> bool:
    """Tell whether a running sum of noise would have to be called a sum of something.

    The two-sided normal-mixture boundary (Robbins 1970): a sum of independent normal variables of
    mean zero, of summed variance ``weight``, ever crosses it with probability at most ``alpha``.

    Args:
        total: The running sum, standardised.
        weight: Its variance if there is nothing but noise.
        alpha: Probability of ever crossing by chance.
        prior_weight: At about this weight the boundary is tightest.
    """
    mixed = weight + prior_weight
    return total * total > mixed * (2.0 * math.log(1.0 / alpha) + math.log(mixed / prior_weight))


def small_sample_inflation(dof: int) -> float:
    """Return by how much a noise sd estimated with ``dof`` degrees of freedom is to be enlarged."""
    return float(stdtrit(dof, 0.975)) / 1.959964


def parabola_through(
    first: tuple[float, float, float], second: tuple[float, float, float]
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Fit ``gain(x) = slope * x - curvature * x**2``, which is 0 at the centre, through two points.

    Args:
        first: Offset from the centre, gain over the centre, variance of that gain.
        second: The same on the other side.

    Returns:
        ``(slope, its variance)`` and ``(curvature, its variance)``.
    """
    (x1, gain1, variance1), (x2, gain2, variance2) = first, second
    determinant = x1 * x2 * (x2 - x1)
    a1, a2 = x2 * x2 / determinant, -x1 * x1 / determinant
    b1, b2 = x2 / determinant, -x1 / determinant
    return (
        (a1 * gain1 + a2 * gain2, a1 * a1 * variance1 + a2 * a2 * variance2),
        (b1 * gain1 + b2 * gain2, b1 * b1 * variance1 + b2 * b2 * variance2),
    )


@dataclass
class PooledMean:
    """A running mean of estimates, each weighted by the inverse of its variance; old ones fade.

    Attributes:
        total: Sum of estimate / variance.
        weight: Sum of 1 / variance.
    """

    total: float = 0.0
    weight: float = 0.0

    def add(self, estimate: float, variance: float) -> None:
        """Take in one estimate."""
        self.total = _MEMORY * self.total + estimate / variance
        self.weight = _MEMORY * self.weight + 1.0 / variance

    @property
    def mean(self) -> float:
        """The pooled estimate, 0 while there is none."""
        return self.total / self.weight if self.weight else 0.0

    def is_proven(self, alpha: float, prior_weight: float) -> bool:
        """Tell whether the mean differs from zero, see :func:`is_drawn_out`."""
        return self.weight > 0.0 and is_drawn_out(self.total, self.weight, alpha, prior_weight)


@dataclass(frozen=True)
class ResponseModel:
    """An additive parabola in each parameter, fitted together with a linear trend in time.

    Attributes:
        centre: Where the parabolas were expanded, ``[P]``.
        slopes: Slope of each at the centre, ``[P]``.
        bends: Factor of the square of each, ``[P]``.
        matters: Whether the parameter explains more than chance would, ``[P]`` bool.
        detrended: Each score minus the level and the trend, ``[n]``.
    """

    centre: np.ndarray
    slopes: np.ndarray
    bends: np.ndarray
    matters: np.ndarray
    detrended: np.ndarray

    def merit(self, points: np.ndarray) -> np.ndarray:
        """Return what each parameter adds to the score, ``[..., P]``; 0 where it does not matter.

        Args:
            points: ``[..., P]``, on the parameters' own scales.
        """
        offset = points - self.centre
        return np.where(self.matters, self.slopes * offset + self.bends * offset**2, 0.0)


def fit_response(
    times: np.ndarray, points: np.ndarray, scores: np.ndarray, *, alpha: float, half_life: float
) -> ResponseModel:
    """Fit ``score = level + trend * time + sum_p (slope_p * x_p + bend_p * x_p**2)`` by least squares.

    Trend and parameters are fitted together, so neither takes what is the other's: a score that rises
    because time passes is not credited to the parameters that happened to be in force last.

    Args:
        times: Window numbers, rising, ``[n]``.
        points: Parameters in force, ``[n, P]``, on their own scales.
        scores: ``[n]``.
        alpha: A parameter matters if its two terms pass an F test at this level.
        half_life: Age, in windows, at which a score counts half.
    """
    n, num_params = points.shape
    weight = 0.5 ** ((times[-1] - times) / half_life)
    centre = points.sum(axis=0) / n
    offset = points - centre
    columns = np.empty((n, 2 + 2 * num_params))
    columns[:, 0] = 1.0
    columns[:, 1] = times - times.sum() / n
    columns[:, 2 : 2 + num_params] = offset
    columns[:, 2 + num_params :] = offset**2
    columns /= (size := np.sqrt((columns**2).sum(axis=0) / n) + _TINY_COLUMN)
    weighted = columns * weight[:, None]
    inverse = np.linalg.inv(weighted.T @ columns + _RIDGE * n * np.eye(columns.shape[1]))
    fitted = inverse @ (weighted.T @ scores)
    residual = scores - columns @ fitted
    rounding = (_ROUNDING * float(np.abs(scores).max())) ** 2
    dof = float(weight.sum()) - len(fitted)
    variance = max(float(weight @ residual**2) / max(dof, 1.0), rounding, _TINY_COLUMN**2)
    matters = _pass_f_test(fitted, inverse * variance, dof, alpha)
    detrended = scores - columns[:, :2] @ fitted[:2]
    fitted /= size
    return ResponseModel(centre, fitted[2 : 2 + num_params], fitted[2 + num_params :], matters, detrended)


def _pass_f_test(fitted: np.ndarray, covariance: np.ndarray, dof: float, alpha: float) -> np.ndarray:
    """Test slope and bend of each parameter together against zero, ``[P]`` bool."""
    num_params = (len(fitted) - 2) // 2
    if dof < 1.0:
        return np.zeros(num_params, dtype=bool)
    slope = np.arange(2, 2 + num_params)
    bend = slope + num_params
    a, b, c = covariance[slope, slope], covariance[slope, bend], covariance[bend, bend]
    u, v = fitted[slope], fitted[bend]
    f_values = (c * u * u - 2.0 * b * u * v + a * v * v) / (a * c - b * b) / 2.0
    return np.asarray(fdtrc(2, dof, f_values) < alpha)
