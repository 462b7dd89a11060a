"""From a folder to the agent that was saved there, without the script that trained it.

It makes agents of every algorithm that is registered, so it stands above ``algorithms``; all else in this folder stands
below.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tensor_optix.adapters.tensorflow.saving.agent_class import BY_SCRIPT, make
from tensor_optix.adapters.tensorflow.saving.architectures.rebuild import Rebuilder
from tensor_optix.adapters.tensorflow.saving.demands import DEFAULT_BYTES, Demands, check_structure, in_force
from tensor_optix.adapters.tensorflow.tf_agent import TFAgent
from tensor_optix.algorithms.registry import class_named
from tensor_optix.core.checkpoint_registry import CheckpointRegistry
from tensor_optix.core.checks import check_flags, check_int, check_mapping, check_methods, check_path
from tensor_optix.core.loop.result_file import read_environment_state
from tensor_optix.core.storage.snapshot_files import METADATA_FILE, PREFIX
from tensor_optix.core.storage.state_files import META_FILE, read_agent_state
from tensor_optix.core.types import AgentState, HyperparamSet
from tensor_optix.exceptions import CheckpointError, TensorOptixError, UnsafeFileError
from tensor_optix.pipeline.stepping.fresh_wrappers import give_statistics


@dataclass(frozen=True)
class _Saved:
    """An agent on disk.

    Attributes:
        name: What error messages call it.
        state: What it was.
        hyperparams: Those that made it.
    """

    name: str
    state: AgentState
    hyperparams: HyperparamSet


def load_agent(
    run_dir: str | os.PathLike[str],
    *,
    custom_objects: Mapping[str, Any] | None = None,
    continue_training: bool = True,
    max_load_bytes: int = DEFAULT_BYTES,
    env: Any = None,
) -> TFAgent:
    """Return a saved agent, ready to act and to learn on: the champion of a run, a snapshot, or saved weights.

    Model and optimizer are built anew from their saved configuration: only Keras's own classes, and
    those that ``custom_objects`` names; nothing in the folder is ever executed. What the files ask for
    is added up before it is made.

    Args:
        run_dir: The run's folder, the one that holds ``manifest.json``; or the folder of one of its
            snapshots; or what ``save_weights`` wrote. Weights of an agent that was never bound do not
            tell the spaces: the agent takes them from ``bind``, or from what it first acts on.
        custom_objects: Your own classes and functions by name, as in ``keras.saving``; that of an agent
            derived from one of this package's, too, unless it is registered (``algorithms.register``).
        continue_training: Whether it goes on with everything that was saved: moments, exploration,
            learning-rate factor, scale of rewards, random state (a snapshot holds no replay). False is
            a warm start: the weights of all networks and the normalisers of observations, with the
            hyperparameters that made them; all else is as in a new agent.
        max_load_bytes: What loading may take of memory (files, weights, what the model makes of one
            observation, spaces, the buffers' books); five seconds of building go with each GiB.
        env: An environment to play in, or a vector of them: its wrappers (``NormalizeObservation`` and others that
            keep statistics) get what the run's had gathered. Without, fresh ones show the agent what it never saw.

    Raises:
        CheckpointError: The folder holds no agent that is whole, or one without a configuration,
            or with one that no agent can have.
        UnsafeFileError: The configuration asks for a class that is not allowed, or for more than
            ``max_load_bytes``; it says which, or how much.
        InvalidArgumentError: ``max_load_bytes`` is no number of bytes.
        InvalidTypeError: ``env`` is no environment.
        StateMismatchError: Its wrappers are others than the run's.

    Example:
        >>> agent = load_agent("tensor_optix_checkpoints/run-0001")  # doctest: +SKIP
        >>> evaluate(agent, "CartPole-v1").mean  # doctest: +SKIP
        500.0
    """
    check_path("run_dir", run_dir)
    check_mapping("custom_objects", custom_objects, optional=True)
    check_flags(continue_training=continue_training)
    check_int("max_load_bytes", max_load_bytes, at_least=1)
    statistics = None if env is None else _statistics_for(env, Path(run_dir))
    saved = _find(Path(run_dir), max_load_bytes)
    try:
        agent = _rebuilt(saved, custom_objects, continue_training, max_load_bytes)
    except (TensorOptixError, MemoryError):
        raise
    except Exception as error:
        raise CheckpointError(
            f"{saved.name} describes no agent that can be built: {type(error).__name__}: {error}"
        ) from error
    if statistics is not None:
        give_statistics(env, statistics)
    return agent


def _statistics_for(env: Any, path: Path) -> dict[str, Any]:
    """Return what the wrappers of a run gathered, for those of an environment."""
    check_methods("env", env, "reset", "step", hint=" Make it first, for example with gym.make(...).")
    if (path / META_FILE).is_file():
        raise CheckpointError(
            f"{path} holds an agent, and nothing of an environment: give load_agent the folder of the run instead."
        )
    return read_environment_state(path.absolute().parent if _is_snapshot(path) else path)


def _is_snapshot(path: Path) -> bool:
    return path.name.startswith(PREFIX) and (path / METADATA_FILE).is_file()


def _find(path: Path, max_bytes: int) -> _Saved:
    """Read what lies in a folder."""
    if (path / META_FILE).is_file():
        _check_file_sizes(path, "*", max_bytes)
        state = read_agent_state(path)
        params, episode_id = state.meta.get("hyperparams", {}), state.meta.get("hyperparams_episode_id", 0)
        if not isinstance(params, Mapping):
            raise CheckpointError(f"What was saved in {path} has hyperparameters that are none: {params!r:.80}.")
        return _Saved(f"What was saved in {path}", state, HyperparamSet(dict(params), episode_id))
    is_snapshot = _is_snapshot(path)
    root = path.absolute().parent if is_snapshot else path
    _check_file_sizes(root, f"{PREFIX}*/**/*", max_bytes)
    registry = CheckpointRegistry(root, read_only=True)
    best = registry.best
    if is_snapshot:
        snapshot_id = path.name.removeprefix(PREFIX)
        best = next((s for s in registry.snapshots if s.snapshot_id == snapshot_id), None)
    if best is None:
        raise CheckpointError(f"{path} holds no champion: no snapshot of it is whole.")
    state = registry.load_state(best.snapshot_id)
    return _Saved(f"Snapshot {best.snapshot_id} in {registry.root}", state, best.hyperparams)


def _rebuilt(
    saved: _Saved, custom_objects: Mapping[str, Any] | None, continue_training: bool, max_bytes: int
) -> TFAgent:
    state, hyperparams = saved.state, saved.hyperparams.copy()
    described = state.meta.get("architecture") or {}
    demands = Demands(sum(array.size for array in state.arrays.values()), max_bytes)
    rebuilder = Rebuilder(custom_objects, demands)

    def build(part: str) -> Any:
        if not described.get(part):
            raise CheckpointError(
                f"{saved.name} holds no configuration of its {part}: its class gives none. {BY_SCRIPT}"
            )
        built = rebuilder.build(described[part])
        if part == "optimizer" and "learning_rate" in hyperparams.params:
            built.learning_rate = hyperparams.params["learning_rate"]
        return built

    check_structure(described, demands)
    with in_force(demands):
        agent: TFAgent = make(described, custom_objects, class_named, build, hyperparams)
        agent.load_state(state, networks_only=not continue_training, max_bytes=max_bytes)
    agent.set_hyperparams(saved.hyperparams)
    return agent


def _check_file_sizes(root: Path, names: str, max_bytes: int) -> None:
    """Refuse a file that is too large before its checksum is worked out, for that takes time."""
    for path in root.glob(names):
        num_bytes = path.lstat().st_size
        if num_bytes > max_bytes:
            raise UnsafeFileError(
                f"{path} has {num_bytes:,} bytes; {max_bytes:,} are allowed. If you trust it, raise max_load_bytes."
            )
