"""From a run's folder to its champion, without the script that trained it."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from typing import Any

from tensor_optix.adapters.tensorflow.saving import agent_state
from tensor_optix.adapters.tensorflow.saving.safe_config import at_most, build_from_config
from tensor_optix.adapters.tensorflow.tf_agent import TFAgent
from tensor_optix.core.checkpoint_registry import CheckpointRegistry
from tensor_optix.core.storage.agent_files import restore
from tensor_optix.core.types import HyperparamSet, PolicySnapshot
from tensor_optix.exceptions import CheckpointError, TensorOptixError

_HOME_OF = {
    "TFAgent": "tensor_optix.adapters.tensorflow.tf_agent",
    "PPOAgent": "tensor_optix.algorithms.ppo",
    "DQNAgent": "tensor_optix.algorithms.dqn",
    "SACAgent": "tensor_optix.algorithms.sac",
}
"""Where the classes are that a saved agent may be of: nothing else is ever imported for it."""


def load_agent(run_dir: str | os.PathLike[str], *, custom_objects: Mapping[str, Any] | None = None) -> TFAgent:
    """Return the champion of a run, ready to act and to learn on.

    Model and optimizer are built anew from their saved configuration: only Keras's own classes, and
    those that ``custom_objects`` names; nothing in the folder is ever executed.

    Args:
        run_dir: The run's folder, the one that holds ``manifest.json``.
        custom_objects: Your own classes and functions by name, as in ``keras.saving``.

    Raises:
        CheckpointError: The folder holds no champion that is whole, or one without a configuration,
            or with one that no agent can have.
        UnsafeFileError: The configuration asks for a class that is not allowed; it says which.

    Example:
        >>> agent = load_agent("tensor_optix_checkpoints/run-0001")  # doctest: +SKIP
        >>> evaluate(agent, "CartPole-v1").mean  # doctest: +SKIP
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
                "none. Build the agent as in the training script, bind it, and call "
                "CheckpointRegistry(run_dir).load_best(agent)."
            )
        return build_from_config(saved[part], custom_objects, largest)

    hyperparams = HyperparamSet(dict(best.hyperparams.params), best.hyperparams.episode_id)
    with at_most(largest):
        agent = _class_named(saved.get("agent", "TFAgent"))._rebuilt(saved, build, hyperparams)
        agent_state.bind_as_saved(agent, state)
    restore(agent, state)
    agent.set_hyperparams(best.hyperparams)
    return agent


def _class_named(name: Any) -> type[TFAgent]:
    if name not in _HOME_OF:
        raise CheckpointError(f"The saved agent is a {name!r:.80}. Known are {', '.join(_HOME_OF)}.")
    found: type[TFAgent] = getattr(importlib.import_module(_HOME_OF[name]), name)
    return found
