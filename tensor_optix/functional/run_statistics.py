"""Statistics of a few runs: interquartile mean, performance profile, probability of improvement, bootstrap intervals.

Definitions as in "Deep Reinforcement Learning at the Edge of the Statistical Precipice" (Agarwal et al., 2021), whose
library ``rliable`` gives the same numbers. Scores are ``[runs, tasks]`` throughout: one row a run (a seed), one column
an environment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from tensor_optix.exceptions import InvalidArgumentError, NonFiniteError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

TRIMMED = 0.25
"""Share of the scores left out at either end of an interquartile mean."""

_AT_ONCE = 4096
"""Resamples that are worked out together: more take memory and save no time."""


def interquartile_mean(scores: npt.ArrayLike) -> float:
    """Return the mean of the middle half of all scores.

    ``floor(n / 4)`` of the ``n`` scores are left out at either end: less moved by one bad run than the mean, less
    wasteful than the median.

    Args:
        scores: ``[runs, tasks]``.

    Raises:
        InvalidArgumentError: They have another shape, or there are none.
        NonFiniteError: One is NaN or infinite.
    """
    return float(_interquartile_means(_matrix("scores", scores)[None])[0])


def probability_of_improvement(scores_x: npt.ArrayLike, scores_y: npt.ArrayLike) -> float:
    """Return how probable it is that a run of X scores more than a run of Y in a task, on average over tasks.

    ``P(X > Y) + P(X = Y) / 2`` over all pairs of runs: Mann and Whitney's U, over the number of pairs.

    Args:
        scores_x: ``[runs of X, tasks]``.
        scores_y: ``[runs of Y, tasks]``.

    Raises:
        InvalidArgumentError: They have other shapes, or not the same tasks.
        NonFiniteError: A score is NaN or infinite.
    """
    x, y = _matrix("scores_x", scores_x), _matrix("scores_y", scores_y)
    _check_same_tasks(x, y)
    return float(_probabilities(x[None], y[None])[0])


def performance_profile(scores: npt.ArrayLike, thresholds: npt.ArrayLike) -> FloatArray:
    """Return the share of scores above each threshold, ``[thresholds]``: a curve that shows all of the distribution.

    Args:
        scores: ``[runs, tasks]``.
        thresholds: ``[thresholds]``.

    Raises:
        InvalidArgumentError: The scores have another shape, or there are none.
        NonFiniteError: One is NaN or infinite.
    """
    (profile,) = _profiles(_matrix("scores", scores)[None], _thresholds(thresholds))
    return np.asarray(profile)


def stratified_resamples(
    num_runs: int, num_tasks: int, num_resamples: int, rng: np.random.Generator
) -> Iterator[IntArray]:
    """Yield, block by block, which runs a resample is made of: ``[block, runs, tasks]``.

    Each task is resampled by itself, from its own runs: every resample has as many runs of each task as there were.

    Args:
        num_runs: Rows of the scores.
        num_tasks: Columns.
        num_resamples: How many, in all blocks together.
        rng: Draws them.
    """
    for begin in range(0, num_resamples, _AT_ONCE):
        block = min(_AT_ONCE, num_resamples - begin)
        yield rng.integers(0, num_runs, size=(block, num_runs, num_tasks))


def interquartile_mean_interval(
    scores: npt.ArrayLike, resamples: Iterator[IntArray], confidence: float = 0.95
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of :func:`interquartile_mean`.

    Args:
        scores: ``[runs, tasks]``.
        resamples: Of :func:`stratified_resamples`.
        confidence: Two-sided, inside (0, 1).

    Raises:
        InvalidArgumentError: A shape or number is wrong.
        NonFiniteError: A score is NaN or infinite.
    """
    matrix = _matrix("scores", scores)
    low, high = _percentiles(_drawn(matrix, resamples, _interquartile_means), confidence)
    return float(low), float(high)


def profile_interval(
    scores: npt.ArrayLike, thresholds: npt.ArrayLike, resamples: Iterator[IntArray], confidence: float = 0.95
) -> tuple[FloatArray, FloatArray]:
    """Return the percentile bootstrap interval of :func:`performance_profile` at each threshold, lower and upper ends.

    Args and Raises: as :func:`interquartile_mean_interval`.
    """
    matrix, taus = _matrix("scores", scores), _thresholds(thresholds)
    low, high = _percentiles(_drawn(matrix, resamples, lambda drawn: _profiles(drawn, taus)), confidence)
    return low, high


def improvement_interval(
    scores_x: npt.ArrayLike,
    scores_y: npt.ArrayLike,
    resamples_x: Iterator[IntArray],
    resamples_y: Iterator[IntArray],
    confidence: float = 0.95,
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of :func:`probability_of_improvement`; both sides are resampled.

    Args and Raises: as :func:`interquartile_mean_interval`.
    """
    x, y = _matrix("scores_x", scores_x), _matrix("scores_y", scores_y)
    _check_same_tasks(x, y)
    drawn = [
        _probabilities(_resampled(x, of_x), _resampled(y, of_y))
        for of_x, of_y in zip(resamples_x, resamples_y, strict=True)
    ]
    low, high = _percentiles(np.concatenate(drawn), confidence)
    return float(low), float(high)


def _interquartile_means(scores: FloatArray) -> FloatArray:
    """Return one interquartile mean for each of ``[resamples, runs, tasks]``."""
    ordered = np.sort(scores.reshape(len(scores), -1), axis=1)
    num_left_out = int(TRIMMED * ordered.shape[1])
    middle: FloatArray = ordered[:, num_left_out : ordered.shape[1] - num_left_out].mean(axis=1)
    return middle


def _profiles(scores: FloatArray, thresholds: FloatArray) -> FloatArray:
    """Return ``[resamples, thresholds]`` for ``[resamples, runs, tasks]``."""
    flat = scores.reshape(len(scores), -1)
    shares: FloatArray = np.stack([(flat > threshold).mean(axis=1) for threshold in thresholds], axis=1)
    return shares


def _probabilities(x: FloatArray, y: FloatArray) -> FloatArray:
    """Return one probability for each of ``[resamples, runs, tasks]``."""
    pairs = x[:, :, None, :], y[:, None, :, :]
    wins = (pairs[0] > pairs[1]) + 0.5 * (pairs[0] == pairs[1])
    probabilities: FloatArray = wins.mean(axis=(1, 2)).mean(axis=1)
    return probabilities


def _drawn(
    scores: FloatArray, resamples: Iterator[IntArray], statistic: Callable[[FloatArray], FloatArray]
) -> FloatArray:
    return np.concatenate([statistic(_resampled(scores, runs)) for runs in resamples])


def _resampled(scores: FloatArray, runs: IntArray) -> FloatArray:
    return scores[runs, np.arange(scores.shape[1])]


def _percentiles(drawn: FloatArray, confidence: float) -> FloatArray:
    if not 0.0 < confidence < 1.0:
        raise InvalidArgumentError(f"`confidence` must lie inside (0, 1). Received: {confidence!r}.")
    tail = 50.0 * (1.0 - confidence)
    ends: FloatArray = np.percentile(drawn, [tail, 100.0 - tail], axis=0)
    return ends


def _matrix(name: str, scores: npt.ArrayLike) -> FloatArray:
    matrix = np.asarray(scores, np.float64)
    if matrix.ndim != 2 or not matrix.size:
        raise InvalidArgumentError(
            f"`{name}` must be one number for each run and task, [runs, tasks]. Received the shape {matrix.shape}; "
            "runs of one task are a column, as in np.reshape(scores, (-1, 1))."
        )
    if not np.isfinite(matrix).all():
        raise NonFiniteError(f"`{name}` must be finite numbers. Received: {matrix[~np.isfinite(matrix)][0]}.")
    return matrix


def _thresholds(thresholds: npt.ArrayLike) -> FloatArray:
    taus = np.asarray(thresholds, np.float64)
    if taus.ndim != 1 or not taus.size:
        raise InvalidArgumentError(
            f"`thresholds` must be a sequence of numbers, [thresholds]. Received the shape {taus.shape}."
        )
    return taus


def _check_same_tasks(x: FloatArray, y: FloatArray) -> None:
    if x.shape[1] != y.shape[1]:
        raise InvalidArgumentError(
            f"Both sides must have the same tasks, a column each. Received {x.shape[1]} and {y.shape[1]} columns."
        )
