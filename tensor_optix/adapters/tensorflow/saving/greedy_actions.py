"""From a policy's outputs to env-ready greedy actions, in Keras's own operations.

Nothing here is a class of this package, so a model that is saved with it is read by plain Keras; and
every operation is one that ONNX and TFLite know. (``keras.ops.argmax`` is none of those: on
TensorFlow it looks at the bits of each number, to tell -0 from 0.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from tensor_optix.adapters.tensorflow.actions.action_sampling import ActionSampler, DiscreteSampler, GaussianSampler
from tensor_optix.adapters.tensorflow.actions.multi_action_sampling import MultiBinarySampler, MultiDiscreteSampler
from tensor_optix.adapters.tensorflow.actions.squashed_gaussian import SquashedSampler

_LARGEST = float(np.finfo(np.float32).max)


def greedy_actions(outputs: Any, sampler: ActionSampler) -> Any:
    """Return the most likely actions ``[B, *shape]`` for symbolic outputs ``[B, K]``.

    Integers come in the dtype of the space (int64 for a Discrete one), numbers in float32 or, where
    the space is narrower, in its own dtype.
    """
    outputs = ops.cast(outputs, "float32")
    if isinstance(sampler, DiscreteSampler):
        return ops.squeeze(_shifted(_largest(outputs), [sampler.start], "int64"), axis=-1)
    if isinstance(sampler, MultiDiscreteSampler):
        return _shaped(_shifted(_largest_of_each(outputs, sampler.sizes), sampler.start, sampler.dtype.name), sampler)
    if isinstance(sampler, MultiBinarySampler):
        return _shaped(ops.cast(outputs > 0, sampler.dtype.name), sampler)
    if isinstance(sampler, SquashedSampler):
        outputs = ops.tanh(ops.split(outputs, 2, axis=-1)[0])
    return _in_box(outputs, sampler)


def _largest(logits: Any) -> Any:
    """Return the index of the largest of ``[..., K]``, the first of equal ones, int32 ``[..., 1]``."""
    return ops.top_k(logits, 1)[1]


def _largest_of_each(logits: Any, sizes: Sequence[int]) -> Any:
    """Return the option of the largest logit of each choice, ``[B, C]``."""
    if len(set(sizes)) == 1:
        return ops.reshape(_largest(ops.reshape(logits, (-1, len(sizes), sizes[0]))), (-1, len(sizes)))
    parts = ops.split(logits, np.cumsum(sizes)[:-1].tolist(), axis=-1)
    return ops.concatenate([_largest(part) for part in parts], axis=-1)


def _shifted(options: Any, start: Any, dtype: str) -> Any:
    options = ops.cast(options, "int64")
    if np.any(start):
        # Not a sum: TFLite makes a BiasAdd of it, which it then cannot do for integers.
        options = options - np.negative(start).astype(np.int64)
    return options if dtype == "int64" else ops.cast(options, dtype)


def _in_box(units: Any, sampler: GaussianSampler | SquashedSampler) -> Any:
    centre, half_range = sampler.centre.astype(np.float32), sampler.half_range.astype(np.float32)
    actions = units if np.all(half_range == 1) and not centre.any() else units * half_range + centre
    low, high = _inside(sampler.low, np.less, _LARGEST), _inside(sampler.high, np.greater, -_LARGEST)
    actions = _shaped(ops.maximum(ops.minimum(actions, high), low), sampler)
    return actions if sampler.dtype.itemsize >= 4 else ops.cast(actions, sampler.dtype.name)


def _inside(bound: np.ndarray, is_outside: np.ufunc, inwards: float) -> np.ndarray:
    """Return bounds in float32 that are not beyond the given ones of more digits, and are finite."""
    rounded = bound.clip(-_LARGEST, _LARGEST).astype(np.float32)
    return np.where(is_outside(rounded, bound), np.nextafter(rounded, np.float32(inwards)), rounded)


def _shaped(actions: Any, sampler: Any) -> Any:
    return actions if len(sampler.shape) == 1 else ops.reshape(actions, (-1, *sampler.shape))
