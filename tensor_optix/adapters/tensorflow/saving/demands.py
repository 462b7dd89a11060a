"""What a file asks for, added up before it is given.

Weights are described before they are made: inside :meth:`Demands.building` Keras notes a variable's
shape and allocates nothing; what was noted is held against what was saved, and only then made. One
example's results are added up from the traced graph, before anything is computed.
"""

from __future__ import annotations

import contextlib
import contextvars
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf
from keras.src.backend.common import global_state

from tensor_optix.adapters.tensorflow.acting.model_inputs import ModelInputs
from tensor_optix.adapters.tensorflow.saving.costs import call, count_call, multiplications, result_bytes
from tensor_optix.exceptions import CheckpointError, UnsafeFileError

DEFAULT_BYTES = 2**30
"""What loading may take, unless more is allowed."""

SECONDS = 5.0
"""What building may take of the processor for each ``DEFAULT_BYTES``."""

MAX_CALLS = 2000
"""How often layers may be called for each ``DEFAULT_BYTES``: about what can be built in ``SECONDS``."""

MAX_MULTIPLICATIONS = 5e10
"""How many numbers may be multiplied for one observation, for each ``DEFAULT_BYTES``: a few seconds' work."""

MIN_WEIGHTS = 1000
MIN_SIZE = 10**6
_ROW_BYTES = 64
"""What the books of a replay take for each row, priorities included, before anything is in it."""

_SIZES = ("batch_size", "num_steps", "hidden_units", "memory_units")
_MAX_LAYERS = 1000
_PENDING = "uninitialized_variables"


class Demands:
    """Counts what is asked for while one file is loaded.

    Args:
        num_saved: How many numbers were saved.
        max_bytes: What loading may take.
    """

    def __init__(self, num_saved: int, max_bytes: int = DEFAULT_BYTES) -> None:
        self.max_bytes = max_bytes
        self.largest_size = max(num_saved, MIN_SIZE)
        self._max_weights = max(num_saved, MIN_WEIGHTS)
        self._num_weights, self._num_calls = 0, 0.0
        self._scale = max(1.0, max_bytes / DEFAULT_BYTES)
        self._begin = time.thread_time()

    def calls(self, count: float) -> None:
        """Count layers that are about to be made or called.

        Raises:
            UnsafeFileError: They are too many, or have taken too long.
        """
        self._num_calls += count
        allowed = MAX_CALLS * self._scale
        if self._num_calls > allowed:
            raise UnsafeFileError(
                f"The saved configuration asks for {self._num_calls:,.0f} calls of layers or more; {allowed:,.0f} are "
                f"allowed with max_load_bytes={self.max_bytes:,}. If you trust the file, raise it."
            )
        spent = time.thread_time() - self._begin
        if spent > SECONDS * self._scale:
            raise UnsafeFileError(
                f"The saved configuration takes longer than {SECONDS * self._scale:.0f} s to build, which is what "
                f"max_load_bytes={self.max_bytes:,} allows. If you trust the file, raise it."
            )

    def outputs(self, layer: Any, tensors: Any) -> None:
        """Refuse a layer that makes something huge of one example.

        Raises:
            UnsafeFileError: It does.
        """
        for tensor in keras.tree.flatten(tensors):
            num_bytes = math.prod(length or 1 for length in tensor.shape) * _item_bytes(tensor.dtype)
            self.memory(f"For one example the saved layer {layer.name!r:.80}", num_bytes)

    @contextlib.contextmanager
    def building(self) -> Iterator[None]:
        """Describe weights, and make them, of zeros, once they are known to be no more than were saved.

        Raises:
            UnsafeFileError: They are more.
        """
        before = global_state.get_global_attribute(_PENDING) or []
        pending: list[Any] = []
        global_state.set_global_attribute(_PENDING, pending)
        try:
            with keras.StatelessScope(initialize_variables=False):
                yield
            self._weights(pending)
        finally:
            global_state.set_global_attribute(_PENDING, before)
        for variable in pending:  # a saved value comes for each
            variable._initializer = _zeros
            variable._deferred_initialize()

    def _weights(self, variables: list[Any]) -> None:
        self._num_weights += sum(math.prod(variable.shape) for variable in variables)
        num_bytes = sum(math.prod(variable.shape) * _item_bytes(variable.dtype) for variable in variables)
        if self._num_weights > self._max_weights:
            raise UnsafeFileError(
                f"The saved configuration asks for {self._num_weights:,} weights or more; {self._max_weights:,} "
                "numbers were saved with it."
            )
        self.memory("The weights of the saved configuration", num_bytes)

    def one_example(self, graph: Any, name: str) -> None:
        """Add up everything that a model makes of one observation, and refuse what is too much.

        Args:
            graph: What TensorFlow traced of it.
            name: How the model is called.

        Raises:
            UnsafeFileError: It is more than is allowed.
        """
        self.calls(0)
        self.memory(f"The saved model {name!r:.80}, for one observation,", result_bytes(graph))
        count, allowed = multiplications(graph), MAX_MULTIPLICATIONS * self._scale
        if count > allowed:
            raise UnsafeFileError(
                f"The saved model {name!r:.80} multiplies {count:,.0f} numbers for one observation; {allowed:,.0f} are "
                f"allowed with max_load_bytes={self.max_bytes:,}. If you trust the file, raise it."
            )

    def memory(self, what: str, num_bytes: int) -> None:
        """Refuse what would take more memory than is allowed.

        Raises:
            UnsafeFileError: It would.
        """
        if num_bytes > self.max_bytes:
            raise UnsafeFileError(
                f"{what} asks for {num_bytes:,} bytes; {self.max_bytes:,} are allowed. "
                "If you trust the file, raise max_load_bytes."
            )


_current: contextvars.ContextVar[Demands | None] = contextvars.ContextVar("demands", default=None)


@contextlib.contextmanager
def in_force(demands: Demands) -> Iterator[None]:
    """Hold models that are first built in this context against ``demands``."""
    token = _current.set(demands)
    try:
        yield
    finally:
        _current.reset(token)


def check_structure(saved: Any, demands: Demands) -> None:
    """Refuse an agent whose buffers, batches or layers would be out of proportion.

    Args:
        saved: The description of the agent.
        demands: Counts what is asked for.

    Raises:
        CheckpointError: It is no such description.
        UnsafeFileError: It asks for too much.
    """
    structure = saved.get("structure", {}) if isinstance(saved, Mapping) else None
    if not isinstance(structure, Mapping):
        raise CheckpointError(f"The saved description of the agent is none: {saved!r:.80}.")
    rows = structure.get("buffer_size", 0)
    if isinstance(rows, int):
        demands.memory(f"The saved agent's buffer_size={rows}", rows * _ROW_BYTES)
    for name in _SIZES:
        value = structure.get(name, 0)
        sizes = value if isinstance(value, (list, tuple)) else [value]
        if len(sizes) > _MAX_LAYERS:
            raise UnsafeFileError(f"The saved agent's `{name}` holds {len(sizes)} values; {_MAX_LAYERS} are allowed.")
        for size in sizes:
            if isinstance(size, (int, float)) and size > demands.largest_size:
                raise UnsafeFileError(
                    f"The saved agent's `{name}` asks for {size}; {demands.largest_size} are allowed."
                )


def admit(model: Any, inputs: ModelInputs, shapes: Sequence[tuple[int, ...]]) -> None:
    """Hold a model that comes from a file against what loading it may take; any other passes.

    Args:
        model: Is about to be called on one observation.
        inputs: How observations reach it.
        shapes: Of the parts of that observation.

    Raises:
        UnsafeFileError: It asks for more weights than were saved, or for more memory than is allowed.
    """
    demands = _current.get()
    if demands is None:
        return
    tensors = [keras.KerasTensor((1, *shape), dtype.name) for shape, dtype in zip(shapes, inputs.dtypes, strict=True)]
    if model.built:
        count_call(demands, model, tensors)
    else:
        _build(demands, model, inputs.pack(tensors))
    demands.one_example(_traced(model, inputs, shapes), model.name)


def _build(demands: Demands, model: Any, tensors: Any) -> None:
    """Let the model make its weights, counted, on symbolic tensors."""
    call(demands, model, [tensors], {"training": False})
    model._inbound_nodes.clear()


def _traced(model: Any, inputs: ModelInputs, shapes: Sequence[tuple[int, ...]]) -> Any:
    specs = [tf.TensorSpec((1, *shape), dtype) for shape, dtype in zip(shapes, inputs.dtypes, strict=True)]
    run = tf.function(lambda *parts: model(inputs.pack(list(parts)), training=False), autograph=False)
    return run.get_concrete_function(*specs).graph


def _zeros(shape: Any, dtype: Any = None) -> Any:
    return keras.ops.zeros(shape, dtype)


def _item_bytes(dtype: Any) -> int:
    return tf.as_dtype(str(dtype)).size or 1
