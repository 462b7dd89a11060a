"""From a run's folder to its champion, without the script that trained it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from tensor_optix.adapters.tensorflow import agent_state
from tensor_optix.adapters.tensorflow.safe_config import build_from_config
from tensor_optix.adapters.tensorflow.tf_agent import TFAgent
from tensor_optix.core.checkpoint_registry import CheckpointRegistry
from tensor_optix.core.types import HyperparamSet
from tensor_optix.exceptions import CheckpointError


def load_agent(run_dir: str | os.PathLike[str], *, custom_objects: Mapping[str, Any] | None = None) -> TFAgent:
    """Return the champion of a run, ready to act and to learn on.

    Model and optimizer are built anew from their saved configuration: only Keras's own classes, and
    those that ``custom_objects`` names; nothing in the folder is ever executed.

    Args:
        run_dir: The run's folder, the one that holds ``manifest.json``.
        custom_objects: Your own classes and functions by name, as in ``keras.saving``.

    Raises:
        CheckpointError: The folder holds no champion that is whole, or one without a configuration.
        UnsafeFileError: The configuration asks for a class that is not allowed; it says which.

    Example:
        >>> agent = load_agent("tensor_optix_checkpoints/run-0001")
        >>> evaluate(agent, env).mean
        500.0
    """
    registry = CheckpointRegistry(run_dir, read_only=True)
    best = registry.best
    if best is None:
        raise CheckpointError(f"{registry.root} holds no champion: no snapshot of it is whole.")
    state = registry.load_state(best.snapshot_id)
    saved = state.meta.get("architecture") or {}
    for part in ("model", "optimizer"):
        if not saved.get(part):
            raise CheckpointError(
                f"Snapshot {best.snapshot_id} in {registry.root} holds no configuration of its {part}: its class gives "
                "none. Build the agent as in the training script, bind it, and call "
                "CheckpointRegistry(run_dir).load_best(agent)."
            )
    largest = max(sum(array.size for array in state.arrays.values()), 1)
    model = build_from_config(saved["model"], custom_objects, largest)
    optimizer = build_from_config(saved["optimizer"], custom_objects, largest)
    agent = TFAgent(model, optimizer, HyperparamSet(dict(best.hyperparams.params), best.hyperparams.episode_id))
    agent_state.bind_as_saved(agent, state)
    agent.set_state(state)
    agent.set_hyperparams(best.hyperparams)
    return agent
