"""From a run's folder to its champion, without the script that trained it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from tensor_optix.adapters.tensorflow.saving import agent_state
from tensor_optix.adapters.tensorflow.saving.agent_class import BY_SCRIPT, make
from tensor_optix.adapters.tensorflow.saving.safe_config import at_most, build_from_config
from tensor_optix.adapters.tensorflow.tf_agent import TFAgent
from tensor_optix.core.checkpoint_registry import CheckpointRegistry
from tensor_optix.core.storage.agent_files import restore
from tensor_optix.core.types import HyperparamSet, PolicySnapshot
from tensor_optix.exceptions import CheckpointError, TensorOptixError


def load_agent(run_dir: str | os.PathLike[str], *, custom_objects: Mapping[str, Any] | None = None) -> TFAgent:
    """Return the champion of a run, ready to act and to learn on.

    Model and optimizer are built anew from their saved configuration: only Keras's own classes, and
    those that ``custom_objects`` names; nothing in the folder is ever executed.

    Args:
        run_dir: The run's folder, the one that holds ``manifest.json``.
        custom_objects: Your own classes and functions by name, as in ``keras.saving``; that of an agent
            derived from one of this package's, too.

    Raises:
        CheckpointError: The folder holds no champion that is whole, or one without a configuration,
            or with one that no agent can have.
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
    try:
        return _rebuilt(registry, best, custom_objects)
    except (TensorOptixError, MemoryError):
        raise
    except Exception as error:
        raise CheckpointError(
            f"Snapshot {best.snapshot_id} in {registry.root} describes no agent that can be built: "
            f"{type(error).__name__}: {error}"
        ) from error


def _rebuilt(registry: CheckpointRegistry, best: PolicySnapshot, custom_objects: Mapping[str, Any] | None) -> TFAgent:
    state = registry.load_state(best.snapshot_id)
    saved = state.meta.get("architecture") or {}
    largest = max(sum(array.size for array in state.arrays.values()), 1)

    def build(part: str) -> Any:
        if not saved.get(part):
            raise CheckpointError(
                f"Snapshot {best.snapshot_id} in {registry.root} holds no configuration of its {part}: its class gives "
                f"none. {BY_SCRIPT}"
            )
        return build_from_config(saved[part], custom_objects, largest)

    hyperparams = HyperparamSet(dict(best.hyperparams.params), best.hyperparams.episode_id)
    with at_most(largest):
        agent = make(saved, custom_objects, build, hyperparams)
        agent_state.bind_as_saved(agent, state)
    restore(agent, state)
    agent.set_hyperparams(best.hyperparams)
    return agent
