"""Acting without Keras's overhead: a model's forward pass in NumPy, or as one traced function; and frozen copies.

A Keras call costs milliseconds and a traced function some hundred microseconds, whatever the size
of the model; the same small network in NumPy takes a few microseconds. So a model of common layers
is turned into NumPy calls, and checked against the model when that is done; any other is traced.
"""

from __future__ import annotations

import logging
import threading
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tensor_optix.adapters.tensorflow.acting.forward import Forward, NumpyForward, Outputs, TracedForward
from tensor_optix.adapters.tensorflow.acting.model_inputs import ModelInputs, inputs_of
from tensor_optix.adapters.tensorflow.acting.noise_stream import NoiseStream
from tensor_optix.adapters.tensorflow.acting.numpy.numpy_conversion import UnsupportedLayer
from tensor_optix.adapters.tensorflow.acting.numpy.numpy_graph import graph_of, plan_of
from tensor_optix.adapters.tensorflow.actions.action_sampler import ActionSampler
from tensor_optix.core.mask_layout import MaskLayout
from tensor_optix.exceptions import IncompatibleModelError, InvalidTypeError

__all__ = ["Forward", "FrozenPolicy", "compile_forward"]

_LOG = logging.getLogger(__name__)

TOLERANCE = 1e-5
"""Accepted difference from the model, absolute and relative to the largest output at that input scale."""

CHECKED_SCALES = (0.1, 1.0, 10.0, 100.0)
ROWS_PER_SCALE = 4


def compile_forward(model: keras.Model, sample: Any = None) -> Forward:
    """Compile a model's forward pass at inference for fast acting.

    The structure of the model is read once: compile again after adding or removing layers. Weights
    are read again at every :meth:`Forward.refresh`.

    Args:
        model: Any Keras model. Where it is subclassed or not built yet, ``sample`` is needed.
        sample: One observation, without a batch dimension; an array, dict or tuple of arrays.

    Returns:
        A forward pass whose ``kind`` is "numpy" where all layers are recognised and the result
        agrees with the model on random inputs of several scales, else "traced".

    Raises:
        NotBoundError: What the model takes cannot be told, and no sample was given.
        IncompatibleModelError: The model cannot run on such observations.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        >>> forward = compile_forward(model)
        >>> forward.one([0.1, 0.2, 0.3, 0.4]).shape
        (2,)
    """
    if graph_of(model) is None and sample is not None:
        _build(model, sample)
    inputs = inputs_of(model, sample)
    try:
        plan, parameters = plan_of(model)
    except UnsupportedLayer as reason:
        _LOG.info("Acting through one traced function, because of %s.", reason)
        return TracedForward(model, inputs)
    forward = NumpyForward(plan, inputs, parameters.arrays, parameters)
    forward.refresh()
    try:
        if _agrees(forward, model, inputs, parameters.index_limit):
            return forward
        _LOG.warning("Acting through one traced function: '%s' gives other results in NumPy.", model.name)
    except (IndexError, tf.errors.InvalidArgumentError):  # indices that begin elsewhere than at 0
        _LOG.info("Acting through one traced function: which indices '%s' takes cannot be told.", model.name)
    return TracedForward(model, inputs)


class FrozenPolicy:
    """Acts as the agent did when this was taken, from any thread, with noise of its own.

    Args:
        forward: A snapshot of the agent's forward pass.
        sampler: How outputs become actions.
        rng: Source of exploration; nothing else draws from it.
        version: The agent's version at that moment.
    """

    def __init__(self, forward: Forward, sampler: ActionSampler, rng: np.random.Generator, version: int) -> None:
        self.version = version
        self.uses_action_masks = sampler.mask_layout is not None
        self._forward: Any = forward
        self._sampler = sampler
        self._noise = NoiseStream(rng, sampler.draw_noise)
        self._lock = threading.Lock()

    def act(self, observation: Any, *, greedy: bool = False, action_mask: Any = None) -> Any:
        """Return an action for one observation, of those that a mask ``[A]`` allows."""
        return self._chosen_one(self._forward.one(observation), greedy, action_mask)

    def _chosen_one(self, outputs: np.ndarray, greedy: bool, action_mask: Any) -> Any:
        allowed = () if action_mask is None else (masks_of(self._sampler).checked(action_mask),)
        if greedy:
            return self._sampler.greedy_one(outputs, *allowed)
        with self._lock:
            noise = self._noise.one()
        return self._sampler.sample_one(outputs, noise, *allowed)

    def act_with_log_prob(self, observation: Any, *, action_mask: Any = None) -> tuple[Any, float]:
        """Draw an action for one observation; return it and its log-probability.

        Live feeds record it, since the learner's policy has moved on by the time of learning.
        """
        return self._chosen_with_log_prob(self._forward.one(observation), action_mask)

    def _chosen_with_log_prob(self, outputs: np.ndarray, action_mask: Any) -> tuple[Any, float]:
        allowed = () if action_mask is None else (masks_of(self._sampler).checked(action_mask),)
        with self._lock:
            noise = self._noise.one()
        action = self._sampler.sample_one(outputs, noise, *allowed)
        masks = [mask[None] for mask in allowed]
        return action, float(self._sampler.log_prob(outputs[None], np.asarray(action)[None], *masks)[0])

    def act_batch(self, observations: Any, *, greedy: bool = False, action_masks: Any = None) -> np.ndarray:
        """Return actions ``[N, ...]`` for observations ``[N, ...]``, of those that masks ``[N, A]`` allow."""
        return self._chosen(self._forward(observations), greedy, action_masks)

    def _chosen(self, outputs: np.ndarray, greedy: bool, action_masks: Any) -> np.ndarray:
        checked = masks_of(self._sampler).checked_rows if action_masks is not None else None
        allowed = () if checked is None else (checked(action_masks, len(outputs)),)
        if greedy:
            return self._sampler.greedy(outputs, *allowed)
        with self._lock:
            noise = self._noise.batch(len(outputs))
        return self._sampler.sample(outputs, noise, *allowed)


def masks_of(sampler: ActionSampler) -> MaskLayout:
    """Return how masks of a sampler's actions are laid out.

    Raises:
        InvalidTypeError: There are no masks for such actions.
    """
    if sampler.mask_layout is None:
        raise InvalidTypeError(
            "An action mask was given, but there are no masks for actions of a Box: they are for Discrete, "
            "MultiDiscrete and MultiBinary ones. Call it without."
        )
    return sampler.mask_layout


def _build(model: keras.Model, sample: Any) -> None:
    """Call the model once: that builds what is not built yet, and gives a Sequential its graph."""
    inputs = inputs_of(model, sample)
    parts = inputs.flat(sample, batched=False)
    tensors = [tf.convert_to_tensor(x[None].astype(dtype)) for x, dtype in zip(parts, inputs.dtypes, strict=True)]
    try:
        model(inputs.pack(tensors), training=False)
    except Exception as error:
        raise IncompatibleModelError(
            f"Model '{model.name}' cannot run on an observation with shapes {list(inputs.shapes)} "
            f"and dtypes {[d.name for d in inputs.dtypes]}: {error}"
        ) from error


def _agrees(forward: Forward, model: keras.Model, inputs: ModelInputs, index_limit: int | None) -> bool:
    """Compare with the model on random inputs: as a batch, as a batch of one, and singly."""
    rng = np.random.default_rng(0)
    scales = np.repeat(CHECKED_SCALES, ROWS_PER_SCALE)
    batch = [_draw(rng, scales, s, d, index_limit) for s, d in zip(inputs.shapes, inputs.dtypes, strict=True)]
    first, single = [x[:1] for x in batch], [x[0] for x in batch]
    with np.errstate(all="ignore"):
        expected = _reference(model, inputs, batch)
        actual, actual_first = (_outputs(forward(inputs.structured(x))) for x in (batch, first))
        actual_single = _outputs(forward.one(inputs.structured(single)))
        allowed = [_allowed_difference(y) for y in expected]
    checks = [
        *zip(actual, expected, allowed, strict=True),
        *zip(actual_first, (y[:1] for y in expected), (a[:1] for a in allowed), strict=True),
        *zip(actual_single, (y[0] for y in expected), (a[0] for a in allowed), strict=True),
    ]
    return all(x.shape == y.shape and np.isclose(x, y, rtol=0, atol=a, equal_nan=True).all() for x, y, a in checks)


def _draw(
    rng: np.random.Generator, scales: np.ndarray, shape: tuple[Any, ...], dtype: np.dtype, index_limit: int | None
) -> np.ndarray:
    size = (len(scales), *shape)
    if index_limit is not None:
        drawn = rng.integers(0, index_limit, size)
    elif dtype.kind == "f":
        drawn = rng.normal(size=size) * scales.reshape(-1, *(1 for _ in shape))
    else:
        drawn = rng.integers(0, 2 if dtype.kind == "b" else min(256, np.iinfo(dtype).max), size)
    converted: np.ndarray = drawn.astype(dtype)
    return converted


def _reference(model: keras.Model, inputs: ModelInputs, batch: list[np.ndarray]) -> list[np.ndarray]:
    outputs = model(inputs.pack([tf.convert_to_tensor(x) for x in batch]), training=False)
    return [np.asarray(y) for y in keras.tree.flatten(outputs)]


def _outputs(outputs: Outputs) -> list[np.ndarray]:
    return list(outputs) if isinstance(outputs, tuple) else [outputs]


def _allowed_difference(expected: np.ndarray) -> Any:
    """Return what each row may differ by: sums that cancel out are exact only to the size of their terms."""
    rows = np.where(np.isfinite(expected), np.abs(expected), 0).reshape(len(CHECKED_SCALES), -1)
    allowed = TOLERANCE * (1 + rows.max(axis=1, initial=0))
    return np.repeat(allowed, ROWS_PER_SCALE).reshape(len(expected), *(1 for _ in expected.shape[1:]))
