"""From a run's folder to its champion, without the script that trained it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensor_optix.adapters.tensorflow.saving import agent_state
from tensor_optix.adapters.tensorflow.saving.agent_class import BY_SCRIPT, make
from tensor_optix.adapters.tensorflow.saving.architectures.rebuild import build_from_config
from tensor_optix.adapters.tensorflow.saving.demands.ledger import DEFAULT_BYTES, Demands, in_force
from tensor_optix.adapters.tensorflow.saving.demands.structure import check_structure
from tensor_optix.adapters.tensorflow.tf_agent import TFAgent
from tensor_optix.core.checkpoint_registry import CheckpointRegistry
from tensor_optix.core.checks import check_int, check_mapping, check_path
from tensor_optix.core.storage.agent_files import restore
from tensor_optix.core.storage.snapshot_files import PREFIX
from tensor_optix.core.types import HyperparamSet, PolicySnapshot
from tensor_optix.exceptions import CheckpointError, TensorOptixError, UnsafeFileError


def load_agent(
    run_dir: str | os.PathLike[str],
    *,
    custom_objects: Mapping[str, Any] | None = None,
    max_load_bytes: int = DEFAULT_BYTES,
) -> TFAgent:
    """Return the champion of a run, ready to act and to learn on.

    Model and optimizer are built anew from their saved configuration: only Keras's own classes, and
    those that ``custom_objects`` names; nothing in the folder is ever executed. What the files ask for
    is added up before it is made.

    Args:
        run_dir: The run's folder, the one that holds ``manifest.json``.
        custom_objects: Your own classes and functions by name, as in ``keras.saving``; that of an agent
            derived from one of this package's, too.
        max_load_bytes: What loading may take of memory (files, weights, what the model makes of one
            observation, spaces, the buffers' books); five seconds of building go with each GiB.

    Raises:
        CheckpointError: The folder holds no champion that is whole, or one without a configuration,
            or with one that no agent can have.
        UnsafeFileError: The configuration asks for a class that is not allowed, or for more than
            ``max_load_bytes``; it says which, or how much.
        InvalidArgumentError: ``max_load_bytes`` is no number of bytes.

    Example:
        >>> agent = load_agent("tensor_optix_checkpoints/run-0001")  # doctest: +SKIP
        >>> evaluate(agent, "CartPole-v1").mean  # doctest: +SKIP
        500.0
    """
    check_path("run_dir", run_dir)
    check_mapping("custom_objects", custom_objects, optional=True)
    check_int("max_load_bytes", max_load_bytes, at_least=1)
    _check_file_sizes(Path(run_dir), max_load_bytes)
    registry = CheckpointRegistry(run_dir, read_only=True)
    best = registry.best
    if best is None:
        raise CheckpointError(f"{registry.root} holds no champion: no snapshot of it is whole.")
    try:
        return _rebuilt(registry, best, custom_objects, max_load_bytes)
    except (TensorOptixError, MemoryError):
        raise
    except Exception as error:
        raise CheckpointError(
            f"Snapshot {best.snapshot_id} in {registry.root} describes no agent that can be built: "
            f"{type(error).__name__}: {error}"
        ) from error


def _rebuilt(
    registry: CheckpointRegistry, best: PolicySnapshot, custom_objects: Mapping[str, Any] | None, max_bytes: int
) -> TFAgent:
    state = registry.load_state(best.snapshot_id)
    saved = state.meta.get("architecture") or {}
    demands = Demands(sum(array.size for array in state.arrays.values()), max_bytes)

    def build(part: str) -> Any:
        if not saved.get(part):
            raise CheckpointError(
                f"Snapshot {best.snapshot_id} in {registry.root} holds no configuration of its {part}: its class gives "
                f"none. {BY_SCRIPT}"
            )
        return build_from_config(saved[part], custom_objects, demands)

    hyperparams = HyperparamSet(dict(best.hyperparams.params), best.hyperparams.episode_id)
    check_structure(saved, demands)
    with in_force(demands):
        agent = make(saved, custom_objects, build, hyperparams)
        agent_state.bind_as_saved(agent, state, max_bytes)
    restore(agent, state)
    agent.set_hyperparams(best.hyperparams)
    return agent


def _check_file_sizes(root: Path, max_bytes: int) -> None:
    """Refuse a file that is too large before its checksum is worked out, for that takes time."""
    for path in root.glob(f"{PREFIX}*/**/*"):
        num_bytes = path.lstat().st_size
        if num_bytes > max_bytes:
            raise UnsafeFileError(
                f"{path} has {num_bytes:,} bytes; {max_bytes:,} are allowed. If you trust it, raise max_load_bytes."
            )
