"""Keras's GRU and LSTM cells as recorded NumPy calls, and layers of them where they are called on one step."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import layers as kl

from tensor_optix.adapters.tensorflow.acting.numpy import numpy_activations as act
from tensor_optix.adapters.tensorflow.acting.numpy.numpy_conversion import (
    Converter,
    Parameters,
    Shape,
    UnsupportedLayer,
    row,
)
from tensor_optix.adapters.tensorflow.acting.numpy.numpy_program import Emit, Tape

_LAYERS = {kl.GRU: 1, kl.LSTM: 2}
_CELLS = {kl.GRUCell: 1, kl.LSTMCell: 2}

NUM_STATES: dict[type, int] = {**_LAYERS, **_CELLS}
"""How many states each recognised kind takes and gives."""

_ARGUMENTS = {"inputs", "sequence", "states", "initial_state", "training"}


def state_arguments(node: Any) -> list[Any]:
    """Return the tensors that a cell was called on: what it sees, and its states.

    Raises:
        UnsupportedLayer: The call means something else.
    """
    layer = node.operation
    tensors: list[Any] = list(node.input_tensors)
    options = {name for name, value in node.arguments.kwargs.items() if value is not None} - _ARGUMENTS
    if options or len(tensors) != 1 + NUM_STATES[type(layer)]:
        raise UnsupportedLayer(f"'{layer.name}' called with {sorted(options) or f'{len(tensors)} tensors'}")
    if any(tuple(state.shape)[1:] != (layer.units,) for state in tensors[1:]):
        raise UnsupportedLayer(f"'{layer.name}' called on states of another shape")
    if type(layer) in _LAYERS and (tensors[0].shape[1] != 1 or layer.go_backwards or layer.stateful):
        raise UnsupportedLayer(f"'{layer.name}' called on more than one step, or backwards")
    return tensors


def _gru(layer: Any, shapes: Sequence[Shape], parameters: Parameters) -> Emit:
    """Convert ``h' = z h + (1 - z) n`` with gates z and r, and r applied before or after the product for n."""
    cell = layer.cell if type(layer) in _LAYERS else layer
    units, after = cell.units, cell.reset_after
    kernel, recurrent = parameters.variable(cell.kernel), parameters.variable(cell.recurrent_kernel)
    bias = None if cell.bias is None else parameters.variable(cell.bias)
    activate, gate = act.activation_of(cell.activation), act.activation_of(cell.recurrent_activation)

    def emit(tape: Tape, x: np.ndarray, state: np.ndarray) -> Any:
        seen, h = row(_flat(tape.float32(x))), row(tape.float32(state))
        of_x, of_h = (tape.buffer((*h.shape[:-1], 3 * units)) for _ in range(2))
        out, change = tape.buffer(state.shape), tape.buffer(h.shape)
        weights = tape.weights[recurrent] if after else tape.weights[recurrent][:, : 2 * units]
        gates_h = of_h if after else tape.buffer((*h.shape[:-1], 2 * units))
        tape.do(np.dot, seen, tape.weights[kernel], of_x)
        tape.do(np.dot, h, weights, gates_h)
        if bias is not None:
            own = tape.weights[bias]
            tape.do(np.add, of_x, own[0] if after else own, of_x)
            if after:
                tape.do(np.add, of_h, own[1], of_h)
        gates, new = of_x[..., : 2 * units], of_x[..., 2 * units :]
        tape.do(np.add, gates, gates_h[..., : 2 * units], gates)
        _activated(tape, gate, gates)
        keep, reset = gates[..., :units], gates[..., units:]
        if after:
            tape.do(np.multiply, reset, of_h[..., 2 * units :], change)
        else:
            tape.do(np.multiply, reset, h, change)
            change_in, change = change, tape.buffer(h.shape)
            tape.do(np.dot, change_in, tape.weights[recurrent][:, 2 * units :], change)
        tape.do(np.add, change, new, change)
        _activated(tape, activate, change)
        result = row(out)
        tape.do(np.subtract, h, change, result)  # h' = n + z (h - n)
        tape.do(np.multiply, result, keep, result)
        tape.do(np.add, result, change, result)
        return _given(layer, out, (out,))

    return emit


def _lstm(layer: Any, shapes: Sequence[Shape], parameters: Parameters) -> Emit:
    """Convert ``c' = f c + i g`` and ``h' = o act(c')`` with gates i, f and o."""
    cell = layer.cell if type(layer) in _LAYERS else layer
    units = cell.units
    kernel, recurrent = parameters.variable(cell.kernel), parameters.variable(cell.recurrent_kernel)
    bias = None if cell.bias is None else parameters.variable(cell.bias)
    activate, gate = act.activation_of(cell.activation), act.activation_of(cell.recurrent_activation)

    def emit(tape: Tape, x: np.ndarray, state: np.ndarray, carry: np.ndarray) -> Any:
        seen, h, c = row(_flat(tape.float32(x))), row(tape.float32(state)), row(tape.float32(carry))
        of_x, of_h = (tape.buffer((*h.shape[:-1], 4 * units)) for _ in range(2))
        out, after = tape.buffer(state.shape), tape.buffer(carry.shape)
        tape.do(np.dot, seen, tape.weights[kernel], of_x)
        tape.do(np.dot, h, tape.weights[recurrent], of_h)
        tape.do(np.add, of_x, of_h, of_x)
        if bias is not None:
            tape.do(np.add, of_x, tape.weights[bias], of_x)
        _activated(tape, gate, of_x[..., : 2 * units])
        _activated(tape, activate, of_x[..., 2 * units : 3 * units])
        _activated(tape, gate, of_x[..., 3 * units :])
        enter, keep, new, let_out = (of_x[..., k * units : (k + 1) * units] for k in range(4))
        kept = row(after)
        tape.do(np.multiply, enter, new, new)
        tape.do(np.multiply, keep, c, kept)
        tape.do(np.add, kept, new, kept)
        result = row(out)
        if activate is None:
            tape.do(np.copyto, result, kept)
        else:
            activate(tape, kept, result)
        tape.do(np.multiply, result, let_out, result)
        return _given(layer, out, (out, after))

    return emit


def _given(layer: Any, out: np.ndarray, states: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    """Return what a call gives: a cell always its states, a layer where it was asked to."""
    if type(layer) in _CELLS:
        return (out, *states)
    found = out[:, np.newaxis] if layer.return_sequences else out
    return (found, *states) if layer.return_state else (found,)


def _flat(x: np.ndarray) -> np.ndarray:
    """Return the one step ``[B, 1, K]`` of a layer as ``[B, K]``, as a cell takes it."""
    return x.reshape(len(x), math.prod(x.shape[1:]))


def _activated(tape: Tape, activation: Any, x: np.ndarray) -> None:
    if activation is not None:
        activation(tape, x, x)


CELL_CONVERTERS: dict[type, Converter] = {kl.GRU: _gru, kl.GRUCell: _gru, kl.LSTM: _lstm, kl.LSTMCell: _lstm}
