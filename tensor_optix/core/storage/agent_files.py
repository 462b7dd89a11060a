"""What an agent is, taken and given back, for agents with a state of their own and for those without.

An agent with ``get_state`` and ``set_state`` is asked. One that has only the six methods saves its
weights to a temporary folder, and the bytes of its files are the state.
"""

from __future__ import annotations

import copy
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tensor_optix.core.base_agent import BaseAgent
from tensor_optix.core.protocols import original
from tensor_optix.core.storage.atomic_files import inside, regular_file
from tensor_optix.core.storage.exact_json import to_exact
from tensor_optix.core.storage.json_files import to_jsonable
from tensor_optix.core.types import AgentState, HyperparamSet
from tensor_optix.exceptions import CheckpointError, InvalidTypeError, StateMismatchError, TensorOptixError

logger = logging.getLogger(__name__)

WEIGHTS_NAME = "weights"
"""Last part of the path that ``save_weights`` is given."""

_FILES_KEY = "files_of_save_weights"


def capture(agent: Any, scope: str = "learner") -> AgentState:
    """Return the agent's state in memory, independent of the agent.

    Args:
        agent: Any agent.
        scope: See ``BaseAgent.get_state``. An agent without ``get_state`` gives whatever its
            ``save_weights`` writes, and its hyperparameters.

    Raises:
        InvalidTypeError: ``get_state`` returned something else than an ``AgentState``.
    """
    if not has_own_state(agent):
        return _capture_files(agent, scope)
    state = agent.get_state(scope)
    if not isinstance(state, AgentState):
        raise InvalidTypeError(
            f"{type(agent).__name__}.get_state must return an AgentState. Received: {type(state).__name__}."
        )
    return state


def restore(agent: Any, state: AgentState, *, keeps_time: bool = False) -> None:
    """Make the agent what ``capture`` found.

    Args:
        agent: Any agent.
        state: What was captured.
        keeps_time: Whether the run goes on from there: what counts time then stays, see ``BaseAgent.go_back_to``.

    Raises:
        InvalidTypeError: The agent has no ``set_state`` and the state holds no files.
        CheckpointError: The state was read from a file that says something impossible.
        StateMismatchError: ``set_state`` cannot take it.
        UnsafeFileError: The state names files outside its folder.
    """
    if is_file_state(state):
        _check_file_meta(state.meta)
        with tempfile.TemporaryDirectory(prefix="tensor-optix-") as folder:
            write_files(state, Path(folder))
            agent.load_weights(str(Path(folder) / WEIGHTS_NAME))
        apply_hyperparams(agent, state.meta["hyperparams"], state.meta["episode_id"])
    elif _depth(agent, "set_state") is None:
        raise InvalidTypeError(
            f"{type(agent).__name__} has no set_state, so it cannot take a state that another agent's get_state made."
        )
    else:
        _set_state(agent, state, keeps_time)


def _set_state(agent: Any, state: AgentState, keeps_time: bool) -> None:
    try:
        if keeps_time:
            agent.go_back_to(state)
        else:
            agent.set_state(state)
    except TensorOptixError:
        raise
    except Exception as error:
        raise StateMismatchError(
            f"{type(agent).__name__}.set_state could not take a state that was saved: {type(error).__name__}: {error}. "
            "Give it an agent made as the one that was saved; if it is, the file was altered or set_state has a defect."
        ) from error


@contextmanager
def parked(agent: Any) -> Iterator[None]:
    """Let the agent be another for a while, then make it again what it was, whatever happened.

    One without a state of its own is saved to a path that stays meanwhile and is loaded from there, so that it may keep
    its weights elsewhere and leave no files.
    """
    if has_own_state(agent):
        state = capture(agent)
        try:
            yield
        finally:
            restore(agent, state)
        return
    with tempfile.TemporaryDirectory(prefix="tensor-optix-") as folder:
        path, hyperparams = str(Path(folder) / WEIGHTS_NAME), agent.get_hyperparams().copy()
        agent.save_weights(path)
        try:
            yield
        finally:
            agent.load_weights(path)
            agent.set_hyperparams(hyperparams)


def has_own_state(agent: Any) -> bool:
    """Tell whether ``get_state`` and ``set_state`` speak for the whole agent.

    They do not where a subclass overrides only ``save_weights`` or ``load_weights``: it saves
    something that the inherited pair knows nothing of.
    """
    pair = (_depth(agent, "get_state"), _depth(agent, "set_state"))
    if pair[0] is None or pair[1] is None:
        return False
    files = [_depth(agent, name) for name in ("save_weights", "load_weights")]
    return all(depth is None or min(pair[0], pair[1]) <= depth for depth in files)


def is_file_state(state: AgentState) -> bool:
    """Tell whether the arrays of a state are the bytes of files that ``save_weights`` wrote."""
    return state.meta.get(_FILES_KEY) is True


def is_same_state(first: AgentState, second: AgentState) -> bool:
    """Tell whether two states of one run have the same arrays, to the last bit.

    What lies beside them may tell of the process that made them, such as seeds of initialisers that have done their
    work: it counts only where there are no arrays.
    """
    if first.arrays.keys() != second.arrays.keys():
        return False
    if not first.arrays:
        return bool(to_jsonable(first.meta) == to_jsonable(second.meta))
    pairs = ((np.asarray(first.arrays[name]), np.asarray(second.arrays[name])) for name in first.arrays)
    return all(a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes() for a, b in pairs)


def split_hyperparams(params: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return those parameters that ``to_exact`` gives back as they are, and the names of the others."""
    kept: dict[str, Any] = {}
    left_out = []
    for name, value in params.items():
        try:
            to_exact({name: value}, "hyperparams", allow_nan=False)
        except CheckpointError:
            left_out.append(str(name))
        else:
            kept[name] = copy.deepcopy(value)
    return kept, left_out


def apply_hyperparams(agent: Any, params: dict[str, Any], episode_id: int) -> None:
    """Set these hyperparameters; those that are not named stay as they are."""
    if params:
        agent.set_hyperparams(HyperparamSet({**agent.get_hyperparams().params, **params}, episode_id))


def write_files(state: AgentState, folder: Path) -> None:
    """Write the files of a file state below ``folder``, as ``save_weights`` left them.

    Raises:
        CheckpointError: An entry is no sequence of bytes, or cannot be written.
        UnsafeFileError: A name leads outside the folder.
    """
    for name in state.meta["folders"]:
        inside(folder, name).mkdir(parents=True, exist_ok=True)
    for name, content in state.arrays.items():
        if content.dtype != np.uint8 or content.ndim != 1:
            raise CheckpointError(f"The file {name!r} of a saved state must be bytes. Received: {content.dtype}.")
        path = inside(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.data)


def read_files(folder: Path, hyperparams: HyperparamSet, scope: str = "learner") -> AgentState:
    """Return the file state of what ``save_weights`` wrote below ``folder``.

    Raises:
        UnsafeFileError: One of the files is a link that leads outside.
    """
    params, left_out = split_hyperparams(hyperparams.params)
    if left_out:
        logger.warning("Hyperparameters that JSON cannot hold are not saved with the agent: %s.", ", ".join(left_out))
    files, folders = list_tree(folder)
    arrays = {name: np.fromfile(regular_file(folder, name), np.uint8) for name in files}
    meta = {_FILES_KEY: True, "folders": folders, "hyperparams": params, "episode_id": hyperparams.episode_id}
    return AgentState(arrays, meta, scope)


def list_tree(folder: Path) -> tuple[list[str], list[str]]:
    """Return the relative names of all files and of all folders below ``folder``, sorted."""
    return sorted(_names(folder, files=True)), sorted(_names(folder, files=False))


def _names(folder: Path, *, files: bool) -> Iterator[str]:
    for parent, folder_names, file_names in os.walk(folder):
        for name in file_names if files else folder_names:
            yield (Path(parent) / name).relative_to(folder).as_posix()


def _capture_files(agent: Any, scope: str) -> AgentState:
    with tempfile.TemporaryDirectory(prefix="tensor-optix-") as folder:
        agent.save_weights(str(Path(folder) / WEIGHTS_NAME))
        return read_files(Path(folder), agent.get_hyperparams(), scope)


def _check_file_meta(meta: dict[str, Any]) -> None:
    expected = {"folders": list, "hyperparams": dict, "episode_id": int}
    for key, kind in expected.items():
        if not isinstance(meta.get(key), kind):
            raise CheckpointError(
                f"The saved state's `{key}` must be a {kind.__name__}. Received: {meta.get(key)!r:.200}."
            )


def _depth(agent: Any, name: str) -> int | None:
    """Return how far up the class that defines a method stands; None where only ``BaseAgent`` does."""
    agent = original(agent)
    if name in getattr(agent, "__dict__", {}):
        return -1
    for depth, cls in enumerate(type(agent).__mro__):
        if name in vars(cls):
            return None if cls is BaseAgent else depth
    return None
