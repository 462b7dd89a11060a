"""Observations that an exported policy is checked on."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from tensor_optix.adapters.tensorflow.acting.model_inputs import ModelInputs
from tensor_optix.adapters.tensorflow.models.memory_models import MemoryModel
from tensor_optix.adapters.tensorflow.models.observation_normalizer import ObservationNormalizer
from tensor_optix.core.mask_layout import MaskLayout
from tensor_optix.functional.seeding import derive_rng

LARGEST_LIKELY = 1e6
"""Numbers beyond are taken for stand-ins for infinity, which no environment sends: CartPole's bounds are 3e38."""

UNITS_WIDE = 2.0
"""Spread, in standard deviations, of what is drawn where a space does not say how large numbers are."""


def likely_observations(
    space: Any, inputs: ModelInputs, normalizer: ObservationNormalizer, count: int
) -> list[np.ndarray]:
    """Return a batch of observations, one array ``[count, ...]`` per input, in the dtypes that the inputs take.

    From the space, where that bounds them; else around what the agent has seen, as far as it remembers.

    Args:
        space: What one observation is in; None where that was never told.
        inputs: How observations reach the model.
        normalizer: Remembers mean and spread.
        count: How many.
    """
    rng = derive_rng(0, "export")
    units = [rng.normal(0.0, UNITS_WIDE, (count, *(size or 1 for size in shape))) for shape in inputs.shapes]
    around = normalizer.denormalized(units)
    if space is None:
        return [_without_space(values, dtype) for values, dtype in zip(around, inputs.dtypes, strict=True)]
    sampled = _samples(space, inputs, count)
    return [
        np.where(_is_likely(drawn), drawn, values).astype(dtype)
        for drawn, values, dtype in zip(sampled, around, inputs.dtypes, strict=True)
    ]


def likely_masks(layout: MaskLayout, count: int) -> np.ndarray:
    """Return masks ``[count, A]``, bool, which allow about half of the options, and of each choice one at least."""
    rng = derive_rng(0, "export", "masks")
    masks: np.ndarray = rng.random((count, layout.size)) < 0.5
    for start, size in zip(np.cumsum((0, *layout.sizes[:-1])), layout.sizes, strict=True):
        masks[np.arange(count), start + rng.integers(size, size=count)] = True
    return masks


def likely_states(memory: MemoryModel, count: int) -> list[np.ndarray]:
    """Return what may be remembered, one array ``[count, ...]`` a state; the first of all is the beginning's zeros."""
    rng = derive_rng(0, "export", "states")
    states = [rng.normal(0.0, 0.5, (count, *spec.shape)).astype(spec.dtype) for spec in memory.states]
    for state in states:
        state[0] = 0
    return states


def _samples(space: Any, inputs: ModelInputs, count: int) -> list[np.ndarray]:
    space = copy.deepcopy(space)  # its own numbers are the environment's
    space.seed(0)
    rows = [inputs.flat(space.sample(), batched=False) for _ in range(count)]
    return [np.stack(part) for part in zip(*rows, strict=True)]


def _is_likely(values: np.ndarray) -> Any:
    return np.abs(values.astype(np.float64)) <= LARGEST_LIKELY


def _without_space(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return numbers around what was seen, any byte of an image, and the first of whatever is counted."""
    if dtype.kind == "f":
        return values.astype(dtype)
    return (np.abs(values * 64) % 256).astype(dtype) if dtype == np.uint8 else np.zeros(values.shape, dtype)
