"""Whether an agent can be what a saved state says, asked before anything of it is taken over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tensor_optix.adapters.tensorflow.hyperparameters import check_hyperparams
from tensor_optix.core.storage.state_likeness import require_like
from tensor_optix.core.types import AgentState, HyperparamSet
from tensor_optix.exceptions import StateMismatchError

_RECENT = {
    **dict.fromkeys(("terminated", "cut", "ended", "valid", "continues"), "b"),
    **dict.fromkeys(("rewards", "log_probs"), "f"),
    "lengths": "iu",
}
"""What is kept of recent steps beside observations, and of which kinds of dtype it is."""


def check_state(agent: Any, state: AgentState) -> None:
    """Raise unless what a state says beside the variables can be so.

    Args:
        agent: Bound to its spaces.
        state: Of any scope.

    Raises:
        CheckpointError: Something is missing, or of a kind that it cannot be.
        StateMismatchError: A count is none, or recent steps are of other observations or lengths.
        InvalidArgumentError: A hyperparameter is out of range.
    """
    require_like(state.meta, {"version": 0}, "state")
    check_counts("state", version=state.meta["version"])
    if state.scope == "policy":
        return
    own = {"seed": 0, "hyperparams": {}, "hyperparams_episode_id": 0, "noise": agent._noise.state_dict()}
    require_like(state.meta, {**own, "learner": None}, "state")
    counts = {name: state.meta[name] for name in ("seed", "hyperparams_episode_id")}
    check_counts("state", **counts, position=state.meta["noise"]["position"])
    check = getattr(agent, "_check_hyperparams", check_hyperparams)  # algorithms know their own
    check(HyperparamSet(dict(state.meta["hyperparams"]), state.meta["hyperparams_episode_id"]))
    learner = {n.removeprefix("learner."): a for n, a in state.arrays.items() if n.startswith("learner.")}
    if hasattr(agent._learner, "check_state"):
        agent._learner.check_state(learner, state.meta["learner"])
    _check_recent(learner, agent)


def check_counts(name: str, **values: Any) -> None:
    """Raise unless each value is a whole number, zero or more.

    Raises:
        StateMismatchError: One is not.
    """
    for key, value in values.items():
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not 0 <= value < 2**63:
            raise StateMismatchError(
                f"The saved {name}'s `{key}` is {value!r:.80}, not a whole number of zero or more."
            )


def check_positive(name: str, **values: Any) -> None:
    """Raise unless each value is a finite number above zero.

    Raises:
        StateMismatchError: One is not.
    """
    for key, value in values.items():
        if not 0 < value < float("inf"):
            raise StateMismatchError(f"The saved {name}'s `{key}` is {value!r:.80}, not a number above zero.")


def require_same_form(arrays: Mapping[str, np.ndarray], own: Mapping[str, np.ndarray], name: str) -> None:
    """Raise unless saved arrays have the names, shapes and dtypes of a part's own.

    Raises:
        StateMismatchError: They have not.
    """
    expected, found = ({key: (a.shape, a.dtype.name) for key, a in some.items()} for some in (own, arrays))
    if expected != found:
        key = min(key for key in {*expected, *found} if expected.get(key) != found.get(key))
        raise StateMismatchError(
            f"The saved {name}'s `{key}` is {found.get(key, 'missing')}; here it is {expected.get(key, 'none')}."
        )


def _check_recent(arrays: Mapping[str, np.ndarray], agent: Any) -> None:
    """Raise unless recent steps, if there are any, are steps ``[T, N]`` of the agent's own spaces."""
    recent = {n.removeprefix("recent."): a for n, a in arrays.items() if n.startswith("recent.")}
    if not recent:
        return
    kinds = {**_RECENT, "actions": _encoded_action(agent).dtype.kind}
    parts = {f"{name}_{i}" for name in ("observations", "successors") for i in range(len(agent._inputs.shapes))}
    if set(recent) != {*kinds, *parts}:
        raise StateMismatchError(f"The saved recent steps hold {sorted(recent)}; expected {sorted({*kinds, *parts})}.")
    for name, kind in kinds.items():
        if recent[name].dtype.kind not in kind:
            raise StateMismatchError(f"The saved recent `{name}` are of {recent[name].dtype}, which they cannot be.")
    steps = recent["rewards"].shape
    if len(steps) != 2 or recent["lengths"].ndim != 1 or int(recent["lengths"].sum()) != steps[0]:
        raise StateMismatchError(
            f"The saved recent steps are of the shape {steps}, in windows of {recent['lengths'].tolist()!r:.80}."
        )
    _check_shapes(recent, steps, agent)


def _check_shapes(recent: Mapping[str, np.ndarray], steps: tuple[int, ...], agent: Any) -> None:
    expected = {"lengths": (len(recent["lengths"]),), "actions": (*steps, *_encoded_action(agent).shape)}
    ends = (int(recent["cut"].sum()),)
    for i, (shape, dtype) in enumerate(zip(agent._inputs.shapes, agent._part_dtypes, strict=True)):
        for name, rows in ((f"observations_{i}", steps), (f"successors_{i}", ends)):
            found = recent[name]
            expected[name] = (*rows, *_filled_in(shape, found.shape[len(rows) :]))
            if found.dtype != dtype:
                raise StateMismatchError(f"The saved recent `{name}` are of {found.dtype}; the model takes {dtype}.")
    for name, array in recent.items():
        if array.shape != expected.get(name, steps):
            raise StateMismatchError(
                f"The saved recent `{name}` have the shape {array.shape}; expected {expected.get(name, steps)}."
            )


def _encoded_action(agent: Any) -> np.ndarray:
    """Return one action as it is kept: of whatever shape it is in its space, it is flat."""
    space = agent._spaces[1]
    action = 0 if space is None else np.zeros(space.shape or (), space.dtype)
    encoded: np.ndarray = agent._sampler.encode(np.asarray(action)[np.newaxis])[0]
    return encoded


def _filled_in(shape: tuple[int | None, ...], found: tuple[int, ...]) -> tuple[int, ...]:
    """Return the model's shape, free sizes as they were found."""
    if len(shape) != len(found):
        return tuple(size or 0 for size in shape)
    return tuple(there if size is None else size for size, there in zip(shape, found, strict=True))
