"""What a run's wrappers have gathered, given to fresh ones: a policy knows only what it saw through them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tensor_optix.core.storage.exact_json import is_packable, pack, unpack
from tensor_optix.exceptions import StateMismatchError
from tensor_optix.pipeline.stepping.env_state import env_state, is_statistics, restore_env_state

_ONLY_FOR_LEARNING = {"NormalizeReward"}
"""Wrappers that a policy does not notice: where there is none any more, or a new one, nothing is missed."""

Layer = Mapping[str, Any]


def give_statistics(env: Any, saved: Mapping[str, Layer], *, own_states: bool = True) -> None:
    """Give the wrappers of ``env`` what those of a run had gathered.

    The same layers get theirs back as they were. Otherwise each wrapper gets the statistics of the run's wrapper of
    its class; those of several environments are pooled, and so one environment plays as many did.

    Args:
        env: One environment, or a vector of them.
        saved: What ``env_state`` found in the run's.
        own_states: Whether wrappers with a ``state_dict`` get theirs, too, and not statistics alone.

    Raises:
        StateMismatchError: A wrapper that keeps statistics had none in the run, one that had is missing, or the
            statistics are of another shape.
    """
    fresh = env_state(env)
    if not own_states:
        fresh, saved = ({place: one for place, one in states.items() if "kept" in one} for states in (fresh, saved))
    if _kinds(fresh) != _kinds(saved):
        saved = _by_class(fresh, saved)
    lost = [*restore_env_state(env, dict(saved)), *(state["lost"] for state in saved.values() if "lost" in state)]
    if lost:
        raise StateMismatchError(f"The environment's wrappers cannot be given what the run's had gathered: {lost[0]}.")


def _kinds(states: Mapping[str, Layer]) -> dict[str, str]:
    return {place: state["class"] for place, state in states.items()}


def _by_class(fresh: Mapping[str, Layer], saved: Mapping[str, Layer]) -> dict[str, Layer]:
    """Return a state for each of the fresh layers."""
    there: dict[str, list[Layer]] = defaultdict(list)
    for state in saved.values():
        there[state["class"]].append(state)
    wanted = [state["class"] for state in fresh.values()]
    if set(wanted).symmetric_difference(there) - _ONLY_FOR_LEARNING:
        raise StateMismatchError(
            f"The environment's wrappers that keep statistics are {_listed(wanted)}; the run's were {_listed(there)}. "
            "Wrap it as the run's was (wrappers in the processes of an AsyncVectorEnv are not reached)."
        )
    return {
        place: there[state["class"]][0] if "own" in state else _pooled(there[state["class"]])
        for place, state in fresh.items()
        if state["class"] in there
    }


def _listed(names: Any) -> str:
    return ", ".join(sorted(set(names))) or "none"


def _pooled(states: Sequence[Layer]) -> Layer:
    """Return the statistics of all that several layers saw; what only one episode is about stays behind."""
    first = states[0]
    if "kept" not in first:
        return first
    names = [name for name, value in first["kept"].items() if is_statistics(value)]
    return {"class": first["class"], "kept": {name: _pool([one["kept"][name] for one in states]) for name in names}}


def _pool(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return mean, variance and count of the union of samples of which these are told.

    Chan, Golub & LeVeque 1979, "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances".
    """
    means, variances, counts = ([_plain(part[name]) for part in parts] for name in ("mean", "var", "count"))
    total = sum(counts)
    mean = sum(count * m for count, m in zip(counts, means, strict=True)) / total
    spread = sum(count * (v + (m - mean) ** 2) for count, v, m in zip(counts, variances, means, strict=True)) / total
    pooled = {"mean": mean, "var": spread, "count": total}
    return {**parts[0], **{name: _like(value, parts[0][name]) for name, value in pooled.items()}}


def _plain(value: Any) -> Any:
    return np.asarray(unpack(value), np.float64) if isinstance(value, dict) else value


def _like(value: Any, like: Any) -> Any:
    """Return a value packed, and of the type, as another one is."""
    if not isinstance(like, dict):
        return type(like)(value)
    typed = np.asarray(value).astype(unpack(like).dtype)
    return pack(typed if is_packable(typed) else typed[()])
