"""The value baseline of ``TFAgent``: a linear fit on fixed features of normalised observations."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tensor_optix.adapters.tensorflow.saving.state_checks import require_same_form
from tensor_optix.functional.linear_baseline import draw_waves, merge_moments, ridge_fit, wave_features

MAX_INPUTS = 128
MAX_CODES = 2**14
"""Values of a discrete observation that have a code of their own: more share those of others."""

NUM_WAVES = 64
BANDWIDTH = 1.5
RIDGE = 2.0
CLIP = 5.0
MAX_COUNT = 100_000.0


class ValueBaseline:
    """Predicts discounted returns from observations, without a second network.

    Numbers are brought to unit spread by running moments and clipped at 5; a part of many numbers
    (an image) is represented by 128 of them, drawn once; a discrete observation becomes one-hot,
    or a fixed random code of 128 numbers where it has more values than that.

    Args:
        rng: Source of the fixed features; the same generator state gives the same features.
        shapes: Shape of each part of an observation.
        num_values: Per part, how many values a discrete one has; None for numbers.
    """

    def __init__(
        self, rng: np.random.Generator, shapes: Sequence[tuple[int, ...]], num_values: Sequence[int | None]
    ) -> None:
        self._codes = [None if n is None else _codes(rng, n) for n in num_values]
        sizes = [int(np.prod(shape)) for shape in shapes]
        self._picks = [
            None if code is not None else _pick(rng, size) for code, size in zip(self._codes, sizes, strict=True)
        ]
        num_numbers = sum(len(pick) for pick in self._picks if pick is not None)
        num_inputs = num_numbers + sum(code.shape[1] for code in self._codes if code is not None)
        self._directions, self._phases = draw_waves(rng, num_inputs, NUM_WAVES, BANDWIDTH)
        self._count, self._mean, self._variance = 0.0, np.zeros(num_numbers), np.zeros(num_numbers)
        self._coefficients = np.zeros(1 + 2 * num_inputs + NUM_WAVES)

    def observe(self, parts: Sequence[np.ndarray]) -> None:
        """Take observations, one array ``[B, ...]`` per part, into the running moments."""
        numbers = self._numbers(parts)
        self._count, self._mean, self._variance = merge_moments(self._count, self._mean, self._variance, numbers)
        self._count = min(self._count, MAX_COUNT)

    def features(self, parts: Sequence[np.ndarray]) -> np.ndarray:
        """Return features ``[B, F]`` float32 of observations, one array ``[B, ...]`` per part."""
        spread = np.sqrt(self._variance)
        # What never moved tells nothing; rounding noise must not be blown up to unit spread.
        spread[spread <= 1e-6 * np.abs(self._mean)] = np.inf
        normalised = np.clip((self._numbers(parts) - self._mean) / spread, -CLIP, CLIP)
        columns = [normalised.astype(np.float32)]
        for code, part in zip(self._codes, parts, strict=True):
            if code is not None:
                columns.append(code[np.asarray(part, np.int64).reshape(-1) % len(code)])
        inputs = columns[0] if len(columns) == 1 else np.concatenate(columns, axis=1)
        return wave_features(inputs, self._directions, self._phases)

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Return values ``[B]`` float64; the constant, which may be large, is added last and keeps its digits."""
        slopes = self._coefficients.astype(np.float32)
        slopes[0] = 0.0
        values: np.ndarray = (features @ slopes).astype(np.float64) + self._coefficients[0]
        return values

    def fit(self, features: np.ndarray, targets: np.ndarray) -> None:
        """Fit values to targets ``[B]``; the next predictions use them. Without any they stay."""
        if len(targets):
            self._coefficients = ridge_fit(features, targets, RIDGE)

    def forget_values(self) -> None:
        """Forget what values were worth."""
        self._coefficients = np.zeros_like(self._coefficients)

    def reset(self) -> None:
        """Forget what values were worth, and how far observations spread."""
        self._count = 0.0
        self.forget_values()

    def state_dict(self) -> dict[str, Any]:
        """Return arrays that :meth:`load_state_dict` takes, features included."""
        fixed = {"directions": self._directions, "phases": self._phases}
        fixed |= {f"code_{i}": code for i, code in enumerate(self._codes) if code is not None}
        fixed |= {f"pick_{i}": pick for i, pick in enumerate(self._picks) if pick is not None}
        moments = {"count": np.array(self._count), "mean": self._mean, "variance": self._variance}
        return {name: array.copy() for name, array in {**fixed, **moments, "coefficients": self._coefficients}.items()}

    def check_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Raise unless :meth:`load_state_dict` can take this."""
        require_same_form(state, self.state_dict(), "baseline")

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Become the baseline whose ``state_dict`` this is."""
        self._directions, self._phases = state["directions"].copy(), state["phases"].copy()
        self._codes = [None if code is None else state[f"code_{i}"].copy() for i, code in enumerate(self._codes)]
        self._picks = [None if pick is None else state[f"pick_{i}"].copy() for i, pick in enumerate(self._picks)]
        self._count = float(state["count"])
        self._mean, self._variance = state["mean"].copy(), state["variance"].copy()
        self._coefficients = state["coefficients"].copy()

    def _numbers(self, parts: Sequence[np.ndarray]) -> np.ndarray:
        picked = [
            part.reshape(len(part), math.prod(part.shape[1:]))[:, pick]
            for part, pick in zip(parts, self._picks, strict=True)
            if pick is not None
        ]
        return np.concatenate(picked, axis=1).astype(np.float64) if picked else np.zeros((len(parts[0]), 0))


def _codes(rng: np.random.Generator, num_values: int) -> np.ndarray:
    if num_values <= MAX_INPUTS:
        return np.eye(num_values, dtype=np.float32)
    return rng.choice(np.array([-1.0, 1.0], np.float32), size=(min(num_values, MAX_CODES), MAX_INPUTS))


def _pick(rng: np.random.Generator, size: int) -> np.ndarray:
    if size <= MAX_INPUTS:
        return np.arange(size)
    return np.sort(rng.choice(size, MAX_INPUTS, replace=False))
