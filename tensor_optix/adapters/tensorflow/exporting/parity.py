"""Does what a runtime reads act as the agent does?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tensor_optix.adapters.tensorflow.actions.action_sampler import ActionSampler
from tensor_optix.adapters.tensorflow.exporting.formats import Run
from tensor_optix.exceptions import ExportError

TOLERANCE = 1e-4
"""Largest difference of an output, as a share of a row's largest where that is beyond 1: float32 gives about 1e-6."""


def largest_difference(expected: np.ndarray, got: np.ndarray) -> float:
    """Return by how much outputs or states ``[N, ...]`` differ at most, as a share of a row's largest beyond 1.

    Raises:
        ExportError: It is more than ``TOLERANCE``, or the shapes are others.
    """
    if got.shape != expected.shape:
        raise ExportError(f"the outputs have the shape {got.shape} instead of {expected.shape}")
    expected, got = (array.reshape(len(array), -1) for array in (expected, got))
    difference = np.abs(got.astype(np.float64) - expected) / _scale(expected)[:, np.newaxis]
    largest = float(difference.max())
    if not largest <= TOLERANCE:
        row = int(np.unravel_index(np.nanargmax(difference), difference.shape)[0]) if np.isfinite(largest) else 0
        raise ExportError(
            f"its outputs differ from the agent's by up to {largest:.2g}, where {TOLERANCE:g} is allowed: "
            f"{_few(got[row])} instead of {_few(expected[row])}"
        )
    return largest


def num_other_actions(
    sampler: ActionSampler, outputs: np.ndarray, actions: np.ndarray, masks: np.ndarray | None = None
) -> int:
    """Return how often another option is taken, which is as good as equal; numbers may differ as little as outputs.

    Raises:
        ExportError: One differs that should not.
    """
    scale = _scale(outputs)
    outputs = outputs if masks is None else sampler.masked(outputs, masks)
    greedy = sampler.greedy(outputs)
    if actions.shape != greedy.shape:
        raise ExportError(f"its actions have the shape {actions.shape} instead of {greedy.shape}")
    is_explained = sampler.explains(outputs, actions, TOLERANCE * scale)
    if not is_explained.all():
        row = int(np.argmin(is_explained))
        raise ExportError(f"it takes {actions[row]} where the agent takes {greedy[row]}")
    is_choice = actions.dtype.kind != "f"
    return int(is_choice and np.sum((actions != greedy).reshape(len(actions), -1).any(axis=-1)))


def check_allowed(sampler: ActionSampler, actions: np.ndarray, masks: np.ndarray) -> None:
    """Check that masks ``[N, A]`` allow all actions.

    Raises:
        ExportError: One of them is not allowed.
    """
    possible = sampler.allows(masks, actions)
    if not possible.all():
        row = int(np.argmin(possible))
        raise ExportError(f"it takes {actions[row]} where that is not allowed: the mask is {masks[row].astype(int)}")


def check_single(run: Run, parts: Sequence[np.ndarray], batch: np.ndarray, is_random: bool) -> None:
    """Check that one observation alone gives what it gave among others.

    Raises:
        ExportError: It gives something else.
    """
    single = run([part[:1] for part in parts])[0]
    if single.shape != (1, *batch.shape[1:]) or single.dtype != batch.dtype:
        raise ExportError(f"one observation alone gives {single.dtype}{list(single.shape)}, among others {batch[0]}")
    is_same = np.allclose(single[0].astype(np.float64), batch[0].astype(np.float64), rtol=TOLERANCE, atol=TOLERANCE)
    if not (is_random or is_same):
        raise ExportError(f"one observation alone gives {single[0]}, among others {batch[0]}")


def _scale(outputs: np.ndarray) -> np.ndarray:
    """Return of what a tolerance is a share, ``[N]``."""
    scale: np.ndarray = np.maximum(1.0, np.abs(outputs).max(axis=-1))
    return scale


def _few(values: Any) -> str:
    return np.array2string(np.asarray(values), precision=5, threshold=6)
