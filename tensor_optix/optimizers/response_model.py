"""How a score depends on parameters, once the learning curve's trend is taken out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import fdtrc

_RIDGE = 1e-9


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


def fit_response(times: np.ndarray, points: np.ndarray, scores: np.ndarray, alpha: float) -> ResponseModel:
    """Fit ``score = level + trend * time + sum_p (slope_p * x_p + bend_p * x_p**2)`` by least squares.

    Trend and parameters are fitted together, so neither takes what is the other's: a score that rises
    because time passes is not credited to the parameters that happened to be in force last.

    Args:
        times: Window numbers, ``[n]``.
        points: Parameters in force, ``[n, P]``, on their own scales.
        scores: ``[n]``.
        alpha: A parameter matters if its two terms pass an F test at this level.
    """
    n, num_params = points.shape
    centre = points.mean(axis=0)
    offset = points - centre
    columns = np.hstack([np.ones((n, 1)), (times - times.mean())[:, None], offset, offset**2])
    width = np.sqrt((columns**2).mean(axis=0)) + 1e-12
    scaled = columns / width
    inverse = np.linalg.inv(scaled.T @ scaled + _RIDGE * n * np.eye(columns.shape[1]))
    weights = inverse @ (scaled.T @ scores)
    residual = scores - scaled @ weights
    dof = n - columns.shape[1]
    matters = np.zeros(num_params, dtype=bool)
    if dof > 0:
        variance = max(float(residual @ residual) / dof, 1e-18 * float(scores @ scores) / n, 1e-300)
        for p in range(num_params):
            pair = [2 + p, 2 + num_params + p]
            terms = weights[pair]
            f_value = float(terms @ np.linalg.solve(inverse[np.ix_(pair, pair)], terms)) / (2.0 * variance)
            matters[p] = fdtrc(2, dof, f_value) < alpha
    weights = weights / width
    return ResponseModel(
        centre=centre,
        slopes=weights[2 : 2 + num_params],
        bends=weights[2 + num_params :],
        matters=matters,
        detrended=scores - columns[:, :2] @ weights[:2],
    )
