"""A forward pass as a flat list of NumPy calls whose arguments are all bound beforehand.

A :class:`Plan` says which steps lead from inputs to outputs and knows no batch size. Binding it to
weights and a batch size lays out every buffer and records one call per arithmetic operation: a
:class:`Program`. Running a program is then nothing but those calls, with no shape, type or
dictionary looked at in between.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

Call = Callable[[], Any]


class Tape:
    """Records bound NumPy calls while a plan is laid out for one batch size.

    Args:
        weights: Arrays that the recorded calls read, at the slots a plan's steps know.
    """

    def __init__(self, weights: Sequence[np.ndarray]) -> None:
        self.weights = weights
        self.calls: list[Call] = []

    def do(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> None:
        """Record ``function(*arguments, **options)``; one of them is the array it writes to.

        That array goes by position where NumPy takes it so, which saves 0.1 us a call; ``maximum``
        and ``minimum`` deprecate it.
        """
        self.calls.append(partial(function, *arguments, **options))

    def buffer(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return a new float32 array for results."""
        return np.zeros(shape, np.float32)

    def float32(self, x: np.ndarray) -> np.ndarray:
        """Return ``x`` where it is float32, else a buffer that receives its cast."""
        if x.dtype == np.float32:
            return x
        out = self.buffer(x.shape)
        self.do(np.copyto, out, x, "unsafe")
        return out


Emit = Callable[..., Any]
"""``emit(tape, *inputs)`` records what one layer does and returns the array with its result, or a tuple of several."""


@dataclass(frozen=True)
class Step:
    """One layer call: which values it reads, which it defines."""

    emit: Emit
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass
class Program:
    """A plan laid out for one batch size. Not for use by two threads at once."""

    inputs: list[np.ndarray]
    outputs: list[np.ndarray]
    calls: list[Call]

    def run(self) -> None:
        """Compute ``outputs`` from what now stands in ``inputs``."""
        for call in self.calls:
            call()


@dataclass
class Plan:
    """The steps of a forward pass, free of batch size and weights.

    Values are numbered; the first ones are the inputs.
    """

    input_shapes: list[tuple[int, ...]]
    input_dtypes: list[np.dtype]
    steps: list[Step] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)

    def bind(self, weights: Sequence[np.ndarray], batch_size: int) -> Program:
        """Lay the plan out for ``batch_size`` observations."""
        inputs = [
            np.zeros((batch_size, *shape), dtype)
            for shape, dtype in zip(self.input_shapes, self.input_dtypes, strict=True)
        ]
        tape = Tape(weights)
        values = dict(enumerate(inputs))
        for step in self.steps:
            found = step.emit(tape, *(values[i] for i in step.inputs))
            values.update(zip(step.outputs, found if isinstance(found, tuple) else (found,), strict=True))
        outputs = [tape.float32(values[i]) for i in self.outputs]
        return Program(inputs, outputs, tape.calls)
