"""How a score depends on parameters, once the learning curve's trend is taken out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import fdtrc

_RIDGE = 1e-9
_TINY = 1e-12
_RELATIVE_ROUNDING = 1e-9


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
    columns /= (size := np.sqrt((columns**2).sum(axis=0) / n) + _TINY)
    weighted = columns * weight[:, None]
    inverse = np.linalg.inv(weighted.T @ columns + _RIDGE * n * np.eye(columns.shape[1]))
    fitted = inverse @ (weighted.T @ scores)
    residual = scores - columns @ fitted
    rounding = (_RELATIVE_ROUNDING * float(np.abs(scores).max())) ** 2
    dof = float(weight.sum()) - len(fitted)
    variance = max(float(weight @ residual**2) / max(dof, 1.0), rounding, _TINY**2)
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
