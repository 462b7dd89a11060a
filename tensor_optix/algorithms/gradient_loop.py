"""Many gradient steps as one traced call, undone as a whole where one of them is not finite."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from tensor_optix.adapters.tensorflow.saving.agent_arrays import undo_unless
from tensor_optix.exceptions import NonFiniteError

MAX_FEED_BYTES = 64 * 2**20
"""Batches of images are fed in several calls of at most this size."""


_PACKED = "packed"


class GradientStep(Protocol):
    """One gradient step of an algorithm, in two halves, so that a bad one changes nothing."""

    def compute(self, batch: Mapping[str, Any], settings: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any], Any]:
        """Return gradients (nested as ``apply`` takes them), metrics (scalars), and errors ``[B]``."""
        ...

    def apply(self, gradients: Any, batch: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
        """Change the variables."""
        ...


@dataclass(frozen=True)
class LoopResult:
    """What K gradient steps came to.

    Attributes:
        metrics: Means over the steps.
        errors: ``[K, B]`` float32.
    """

    metrics: dict[str, float]
    errors: np.ndarray


class GradientLoop:
    """Takes K gradient steps in one call of a traced function.

    Batches are drawn outside and fed at once; hyperparameters come in as numbers. So neither K nor a
    hyperparameter makes it trace again.

    Args:
        step: What one gradient step does.
        metric_names: The metrics that ``compute`` returns.
        setting_names: The hyperparameters it reads.
        variables: Returns everything ``apply`` may change.
    """

    def __init__(
        self,
        step: GradientStep,
        metric_names: Sequence[str],
        setting_names: Sequence[str],
        variables: Callable[[], Sequence[Any]],
    ) -> None:
        self._step = step
        self._metric_names = tuple(metric_names)
        self._setting_names = tuple(setting_names)
        self._variables = variables
        self._functions: dict[tuple[bool, frozenset[str]], Any] = {}
        self.num_traces = 0

    def __call__(self, feed: Mapping[str, np.ndarray], settings: Mapping[str, float]) -> LoopResult:
        """Take the steps.

        Args:
            feed: What ``compute`` and ``apply`` read of each batch, ``[K, ...]`` each.
            settings: A value for each of the setting names.

        Raises:
            NonFiniteError: A loss or gradient was NaN or infinite; no variable has changed.
        """
        packed, others = _packed(feed)
        vector = np.array([settings[name] for name in self._setting_names], np.float32)
        function = self._function(feed, packed, others)
        sums, finite, errors = function(*(tf.constant(x) for x in (*others.values(), packed, vector)))
        numbers = sums.numpy()
        if not finite:
            raise NonFiniteError(
                "A loss or gradient became NaN or infinite; weights and optimizer are as they were before this window. "
                "Lower the learning rate, or bound the scale of observations and rewards."
            )
        means = (numbers / len(packed)).tolist()
        return LoopResult(dict(zip(self._metric_names, means, strict=True)), errors.numpy())

    def _function(self, feed: Mapping[str, np.ndarray], packed: np.ndarray, others: Mapping[str, np.ndarray]) -> Any:
        """Return the concrete function for one step, or for many, traced at its first use."""
        is_single = len(packed) == 1
        key = (is_single, frozenset(feed))
        if key not in self._functions:
            names = tuple(others)
            shapes = {name: array.shape[2:] for name, array in feed.items() if name not in others}
            size = 1 if is_single else None
            specs = [tf.TensorSpec((size, *x.shape[1:]), x.dtype) for x in (*others.values(), packed)]
            specs.append(tf.TensorSpec((len(self._setting_names),), tf.float32))
            run = self._run_one if is_single else self._run_many

            def traced(*inputs: Any) -> Any:
                self.num_traces += 1
                settings = dict(zip(self._setting_names, tf.unstack(inputs[-1]), strict=True))
                return run(dict(zip(names, inputs, strict=False)) | {_PACKED: inputs[-2]}, shapes, settings)

            function = tf.function(traced, input_signature=specs, autograph=False)
            self._functions[key] = function.get_concrete_function()
        return self._functions[key]

    def _run_one(self, feed: Mapping[str, Any], shapes: Mapping[str, Any], settings: Mapping[str, Any]) -> Any:
        """Take one step: gradients are checked before anything changes, so nothing need be kept to undo it."""
        metrics, finite, errors = self._take(_batch(feed, 0, shapes), settings, tf.constant(True))
        return metrics, finite, errors[None]

    def _run_many(self, feed: Mapping[str, Any], shapes: Mapping[str, Any], settings: Mapping[str, Any]) -> Any:
        variables = list(self._variables())
        saved = [tf.identity(v) for v in variables]
        count = tf.shape(feed[_PACKED])[0]
        all_errors = tf.TensorArray(tf.float32, count, element_shape=(None,))

        def body(i: Any, sums: Any, fine: Any, errors: Any) -> tuple[Any, ...]:
            metrics, fine, new = self._take(_batch(feed, i, shapes), settings, fine)
            return i + 1, sums + metrics, fine, errors.write(i, new)

        _, sums, finite, all_errors = tf.while_loop(
            lambda i, *_: i < count,
            body,
            (tf.constant(0), tf.zeros(len(self._metric_names)), tf.constant(True), all_errors),
        )
        undo_unless(finite, variables, saved)
        return sums, finite, all_errors.stack()

    def _take(self, batch: Mapping[str, Any], settings: Mapping[str, Any], fine: Any) -> tuple[Any, Any, Any]:
        gradients, metrics, errors = self._step.compute(batch, settings)
        values = tf.stack([metrics[name] for name in self._metric_names])
        # The norm is among the metrics: one number that is finite only where every gradient is.
        fine = fine & tf.reduce_all(tf.math.is_finite(values))

        def apply() -> Any:
            self._step.apply(gradients, batch, settings)
            return tf.constant(0)

        with tf.control_dependencies([tf.cond(fine, apply, lambda: tf.constant(0))]):
            return tf.identity(values), tf.identity(fine), tf.identity(errors)


def _packed(feed: Mapping[str, np.ndarray]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return all rows of small float32 numbers side by side, ``[K, B, F]``, and what else is fed.

    Every array handed to TensorFlow costs some 25 us, as much as gathering it.
    """
    columns, others = [], {}
    for name, array in feed.items():
        if array.dtype == np.float32 and array.ndim in (2, 3):
            columns.append(array if array.ndim == 3 else array[..., None])
        else:
            others[name] = array
    return np.concatenate(columns, axis=-1), others


def _batch(feed: Mapping[str, Any], i: Any, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """Return batch ``i``, its packed numbers apart again; traced."""
    batch = {name: x[i] for name, x in feed.items() if name != _PACKED}
    widths = [shape[0] if shape else 1 for shape in shapes.values()]
    parts = tf.split(feed[_PACKED][i], widths, axis=-1)
    return batch | {name: x if shapes[name] else x[:, 0] for name, x in zip(shapes, parts, strict=True)}
