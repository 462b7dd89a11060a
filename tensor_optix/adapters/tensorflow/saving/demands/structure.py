"""The arguments with which a saved agent was made, apart from its models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tensor_optix.adapters.tensorflow.saving.demands.ledger import Demands
from tensor_optix.exceptions import CheckpointError, UnsafeFileError

_ROW_BYTES = 64
"""What the books of a replay take for each row, priorities included, before anything is in it."""

_SIZES = ("batch_size", "num_steps", "hidden_units", "memory_units")
_MAX_LAYERS = 1000


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
