"""A value function that is linear in fixed features of the observation: no second network.

With enough fixed random waves a linear fit follows any smooth function. See "Random Features for
Large-Scale Kernel Machines" (Rahimi & Recht, 2007) and, for policy gradients, the linear feature
baseline of "Benchmarking Deep Reinforcement Learning for Continuous Control" (Duan et al., 2016).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tensor_optix.exceptions import InvalidArgumentError

Array = np.ndarray[Any, np.dtype[Any]]


def wave_features(inputs: Array, directions: Array, phases: Array) -> Array:
    """Return ``[1, x, x^2 / 2, sin(x W + b)]``.

    Args:
        inputs: x, ``[B, D]``, of about unit spread.
        directions: W, ``[D, M]``.
        phases: b, ``[M]``.

    Returns:
        ``[B, 1 + 2 D + M]``, in the dtype of ``inputs``.
    """
    ones = np.ones((len(inputs), 1), inputs.dtype)
    return np.concatenate([ones, inputs, 0.5 * inputs * inputs, np.sin(inputs @ directions + phases)], axis=1)


def draw_waves(rng: np.random.Generator, num_inputs: int, num_waves: int, bandwidth: float) -> tuple[Array, Array]:
    """Return directions ``[D, M]`` of length about ``bandwidth`` and phases ``[M]``, float32."""
    directions = rng.standard_normal((num_inputs, num_waves)) * (bandwidth / np.sqrt(max(num_inputs, 1)))
    phases = rng.uniform(-np.pi, np.pi, num_waves)
    return directions.astype(np.float32), phases.astype(np.float32)


def ridge_fit(features: Array, targets: Array, ridge: float) -> Array:
    """Return the coefficients that minimise ``sum((X w - y)^2) + ridge * |w[1:]|^2``.

    The first feature is the constant and is not shrunk, so with little evidence the fit falls back
    on the mean of the targets. Scaling the targets scales the coefficients.

    Args:
        features: X, ``[B, F]``, its first column all ones.
        targets: y, ``[B]``.
        ridge: Strength of the shrinkage, > 0.

    Returns:
        w, ``[F]`` float64.

    Raises:
        InvalidArgumentError: ``ridge`` is not positive, or lengths differ.
    """
    if not ridge > 0:
        raise InvalidArgumentError(f"`ridge` must be > 0. Received: {ridge!r}.")
    if len(features) != len(targets):
        raise InvalidArgumentError(
            f"Features and targets must have one length. Received: {len(features)} and {len(targets)}."
        )
    penalty = np.full(features.shape[1], ridge, np.float64)
    penalty[0] = 0.0
    gram = (features.T @ features).astype(np.float64)
    gram[np.diag_indices_from(gram)] += penalty
    wanted = np.asarray(targets, np.float64)
    level = float(wanted.mean()) if wanted.size else 0.0
    spread = float(np.abs(wanted - level).max(initial=0.0)) or 1.0
    # Of unit size around 0, targets lose nothing in the features' own precision, and no copy of those is made.
    moments = (features.T @ ((wanted - level) / spread).astype(features.dtype)).astype(np.float64)
    coefficients = spread * np.linalg.solve(gram, moments)
    coefficients[0] += level
    return np.asarray(coefficients)


def merge_moments(count: float, mean: Array, variance: Array, batch: Array) -> tuple[float, Array, Array]:
    """Return count, mean and variance after more rows ``[B, D]`` were seen.

    See "Algorithms for Computing the Sample Variance" (Chan, Golub & LeVeque, 1983).
    """
    batch = np.asarray(batch, np.float64)
    rows = len(batch)
    if not rows:
        return count, mean, variance
    total = count + rows
    batch_mean, batch_variance = batch.mean(axis=0), batch.var(axis=0)
    shift = batch_mean - mean
    merged = (count * variance + rows * batch_variance + shift * shift * (count * rows / total)) / total
    return total, mean + shift * (rows / total), merged
