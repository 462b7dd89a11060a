"""Keras's GRU and LSTM cells along many steps, with gradients written out.

What a cell makes of what it sees is worked out for all steps at once, and so are the gradients of its weights: only the
product of the state before and the recurrent weights is left for each step, forward and back. An update takes half the
time that differentiating a loop over the cell does (``benchmarks/throughput.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import layers as kl


class FusedCell:
    """Runs a recognised cell along steps; nothing else may lie between states and new states.

    Args:
        node: The call of the cell in its model's graph.
        run: What runs it: :func:`gru` or :func:`lstm`.
    """

    def __init__(self, node: Any, run: Any) -> None:
        self._cell, self._run = node.operation, run
        self.sees = node.input_tensors[0]
        self._outputs = list(node.outputs)

    def scan(self, seen: Any, first: Any, states: Sequence[Any]) -> dict[int, Any]:
        """Return what the cell gives at each step, ``[L, B, U]`` each, by the id of the symbolic tensor.

        Args:
            seen: ``[L, B, K]``.
            first: Where an episode begins, ``[L, B]`` bool.
            states: At the first step, ``[B, U]`` each.
        """
        cell = self._cell
        kernel, recurrent, bias = (tf.convert_to_tensor(x) for x in (cell.kernel, cell.recurrent_kernel, cell.bias))
        keeps = tf.cast(~first, tf.float32)[:, :, tf.newaxis]
        found = self._run(seen, keeps, kernel, recurrent, bias, *states)
        return {id(x): y for x, y in zip(self._outputs, (found[0], *found), strict=True)}


def fused_cell(core: Sequence[Any], states: Sequence[Any], new_states: Sequence[Any]) -> FusedCell | None:
    """Return what runs the core of a model, where it is one recognised cell; else None.

    Args:
        core: The nodes of the graph between states and new states.
        states: The symbolic states.
        new_states: Those after a step.
    """
    run = _RUNS.get(type(core[0].operation)) if len(core) == 1 else None
    if run is None or not _is_usual(core[0].operation):
        return None
    seen, *given = core[0].input_tensors
    is_direct = list(map(id, given)) == list(map(id, states)) and id(seen) not in map(id, given)
    leads = list(map(id, new_states)) == list(map(id, core[0].outputs[1:]))
    return FusedCell(core[0], run) if is_direct and leads else None


def _is_usual(cell: Any) -> bool:
    activations = (cell.activation, cell.recurrent_activation)
    is_plain = cell.use_bias and getattr(cell, "reset_after", True) and cell.compute_dtype == "float32"
    return is_plain and activations == (keras.activations.tanh, keras.activations.sigmoid)


def gru(seen: Any, keeps: Any, kernel: Any, recurrent: Any, bias: Any, state: Any) -> tuple[Any]:
    """Return ``h_t = z_t h_{t-1} + (1 - z_t) n_t`` for all steps, ``[L, B, U]``.

    ``n_t = tanh(W x_t + r_t (U h_{t-1} + b))`` with gates z and r. See "Learning Phrase Representations using RNN
    Encoder-Decoder" (Cho et al., 2014).

    Args:
        seen: ``x_t``, ``[L, B, K]``.
        keeps: 0 where an episode begins, else 1, ``[L, B, 1]``.
        kernel: Of what is seen, ``[K, 3 U]``.
        recurrent: Of the state, ``[U, 3 U]``.
        bias: Of both, ``[2, 3 U]``.
        state: ``h_{-1}``, ``[B, U]``.
    """
    return (_gru(_projected(seen, kernel, bias[0]), keeps, recurrent, bias[1], state),)


def lstm(seen: Any, keeps: Any, kernel: Any, recurrent: Any, bias: Any, state: Any, carry: Any) -> tuple[Any, Any]:
    """Return ``h_t = o_t tanh(c_t)`` and ``c_t = f_t c_{t-1} + i_t g_t`` for all steps, ``[L, B, U]`` each.

    See "Long Short-Term Memory" (Hochreiter and Schmidhuber, 1997); arguments as in :func:`gru`, with four gates.
    """
    return _lstm(_projected(seen, kernel, bias), keeps, recurrent, state, carry)  # type: ignore[no-any-return]


_RUNS: dict[type, Any] = {kl.GRUCell: gru, kl.LSTMCell: lstm}


def _projected(seen: Any, kernel: Any, bias: Any) -> Any:
    shape = tf.shape(seen)
    rows = tf.matmul(tf.reshape(seen, [-1, seen.shape[-1]]), kernel) + bias
    return tf.reshape(rows, [shape[0], shape[1], kernel.shape[1]])


@tf.custom_gradient  # type: ignore[untyped-decorator]
def _gru(projected: Any, keeps: Any, recurrent: Any, bias: Any, state: Any) -> Any:
    units = recurrent.shape[0]

    def step(t: Any, h: Any) -> tuple[list[Any], list[Any]]:
        h *= keeps[t]
        of_h = tf.matmul(h, recurrent) + bias
        gates = tf.sigmoid(projected[t][:, : 2 * units] + of_h[:, : 2 * units])
        z, r, of_n = gates[:, :units], gates[:, units:], of_h[:, 2 * units :]
        n = tf.tanh(projected[t][:, 2 * units :] + r * of_n)
        after = z * h + (1.0 - z) * n
        return [after], [after, tf.concat([z, r, n, of_n, h], axis=1)]

    states, kept = _loop(projected, step, [state], [units, 5 * units])

    def gradient(d_states: Any) -> Any:
        turned = tf.transpose(recurrent)

        def back(t: Any, d_h: Any) -> tuple[list[Any], list[Any]]:
            z, r, n, of_n, h = tf.split(kept[t], 5, axis=1)
            d_h += d_states[t]
            d_n = d_h * (1.0 - z) * (1.0 - n * n)
            d_z, d_r = d_h * (h - n) * z * (1.0 - z), d_n * of_n * r * (1.0 - r)
            d_of_h = tf.concat([d_z, d_r, d_n * r], axis=1)
            before = (d_h * z + tf.matmul(d_of_h, turned)) * keeps[t]
            return [before], [d_of_h, d_n]

        d_of_h, d_n, d_state = _loop_back(projected, back, [state], [3 * units, units])
        d_projected = tf.concat([d_of_h[:, :, : 2 * units], d_n], axis=2)
        d_rows = tf.reshape(d_of_h, [-1, 3 * units])
        before = tf.reshape(kept[:, :, 4 * units :], [-1, units])
        return d_projected, None, tf.matmul(before, d_rows, transpose_a=True), tf.reduce_sum(d_rows, axis=0), d_state

    return states, gradient


@tf.custom_gradient  # type: ignore[untyped-decorator]
def _lstm(projected: Any, keeps: Any, recurrent: Any, state: Any, carry: Any) -> Any:
    units = recurrent.shape[0]

    def step(t: Any, h: Any, c: Any) -> tuple[list[Any], list[Any]]:
        h, c = h * keeps[t], c * keeps[t]
        i, f, g, o = tf.split(projected[t] + tf.matmul(h, recurrent), 4, axis=1)
        i, f, g, o = tf.sigmoid(i), tf.sigmoid(f), tf.tanh(g), tf.sigmoid(o)
        c_after = f * c + i * g
        bent = tf.tanh(c_after)
        return [o * bent, c_after], [o * bent, c_after, tf.concat([i, f, g, o, bent, c, h], axis=1)]

    states, carries, kept = _loop(projected, step, [state, carry], [units, units, 7 * units])

    def gradient(d_states: Any, d_carries: Any) -> Any:
        turned = tf.transpose(recurrent)

        def back(t: Any, d_h: Any, d_c: Any) -> tuple[list[Any], list[Any]]:
            i, f, g, o, bent, c, _ = tf.split(kept[t], 7, axis=1)
            d_h += d_states[t]
            d_c += d_carries[t] + d_h * o * (1.0 - bent * bent)
            parts = [d_c * g * i * (1.0 - i), d_c * c * f * (1.0 - f), d_c * i * (1.0 - g * g)]
            d_z = tf.concat([*parts, d_h * bent * o * (1.0 - o)], axis=1)
            return [tf.matmul(d_z, turned) * keeps[t], d_c * f * keeps[t]], [d_z]

        d_z, d_state, d_carry = _loop_back(projected, back, [state, carry], [4 * units])
        before = tf.reshape(kept[:, :, 6 * units :], [-1, units])
        d_recurrent = tf.matmul(before, tf.reshape(d_z, [-1, 4 * units]), transpose_a=True)
        return d_z, None, d_recurrent, d_state, d_carry

    return (states, carries), gradient


def _loop(projected: Any, step: Any, begin: Sequence[Any], sizes: Sequence[int]) -> list[Any]:
    """Return what ``step(t, *states) -> (states, kept)`` keeps at each step, ``[L, B, size]`` each."""
    length, width = projected.shape[0] or tf.shape(projected)[0], projected.shape[1]
    arrays = [tf.TensorArray(tf.float32, length, element_shape=(width, size)) for size in sizes]

    def body(t: Any, states: Any, arrays: Any) -> Any:
        states, kept = step(t, *states)
        return t + 1, states, [array.write(t, x) for array, x in zip(arrays, kept, strict=True)]

    loop = (tf.constant(0), list(begin), arrays)
    _, _, arrays = tf.while_loop(lambda t, *_: t < length, body, loop, maximum_iterations=length)
    return [array.stack() for array in arrays]


def _loop_back(projected: Any, step: Any, like: Sequence[Any], sizes: Sequence[int]) -> list[Any]:
    """Return what ``step`` keeps from the last step to the first, in the order of time, and the states at the end."""
    length, width = projected.shape[0] or tf.shape(projected)[0], projected.shape[1]
    arrays = [tf.TensorArray(tf.float32, length, element_shape=(width, size)) for size in sizes]

    def body(i: Any, states: Any, arrays: Any) -> Any:
        t = length - 1 - i
        states, kept = step(t, *states)
        return i + 1, states, [array.write(t, x) for array, x in zip(arrays, kept, strict=True)]

    loop = (tf.constant(0), [tf.zeros_like(x) for x in like], arrays)
    _, states, arrays = tf.while_loop(lambda i, *_: i < length, body, loop, maximum_iterations=length)
    return [*(array.stack() for array in arrays), *states]
