"""Which environments an agent serves, beside the one whose spaces it was made for."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from tensor_optix.adapters.tensorflow.actions.action_sampler import ActionSampler
from tensor_optix.exceptions import UnsupportedSpaceError

Spaces = tuple[Any, Any]


def require_served(known: Spaces, new: Spaces, sampler: ActionSampler) -> None:
    """Raise unless what was made for the spaces ``known`` can act and learn in ``new``.

    Bounds and the width of numbers may differ; shapes, numbers of choices and the parts of an
    observation may not.

    Args:
        known: Observation and action space that the networks were made for.
        new: Those of another environment.
        sampler: How outputs become actions of the known space.

    Raises:
        UnsupportedSpaceError: The networks do not fit; it says where.
    """
    checks = (("observations", _observation_misfit), ("actions", sampler.misfit))
    for (what, misfit), space, other in zip(checks, known, new, strict=True):
        reason = misfit(space, other)
        if reason is not None:
            raise UnsupportedSpaceError(
                f"The agent was made for {what} in {space}; this environment's are in {other}: {reason}. The agent is "
                "left as it was. Use it in an environment of the spaces it knows, or make another one for this one."
            )


def bounds_differ(known: Any, new: Any) -> bool:
    """Tell whether two Box spaces of actions have other bounds."""
    is_box = isinstance(known, gym.spaces.Box) and isinstance(new, gym.spaces.Box)
    return is_box and not (np.array_equal(known.low, new.low) and np.array_equal(known.high, new.high))


def _observation_misfit(known: Any, new: Any) -> str | None:
    if known == new:
        return None
    if isinstance(known, gym.spaces.Dict):
        return _parts_misfit(known, new)
    if isinstance(known, gym.spaces.Tuple):
        if not isinstance(new, gym.spaces.Tuple) or len(new.spaces) != len(known.spaces):
            return f"{len(known.spaces)} parts are expected"
        reasons = (_observation_misfit(a, b) for a, b in zip(known.spaces, new.spaces, strict=True))
        return next((reason for reason in reasons if reason is not None), None)
    if isinstance(known, gym.spaces.Discrete | gym.spaces.MultiDiscrete):
        return _choices_misfit(known, new)
    if known.shape is None or new.shape is None or isinstance(new, gym.spaces.Discrete):
        return "another kind of space"
    if known.shape != new.shape:
        return f"the shape {new.shape} instead of {known.shape}"
    return _numbers_misfit(known, new)


def _parts_misfit(known: gym.spaces.Dict, new: Any) -> str | None:
    if not isinstance(new, gym.spaces.Dict):
        return f"the parts {list(known.spaces)} are expected"
    for name, part in known.spaces.items():
        if name not in new.spaces:
            return f"the part {name!r} is missing"
        reason = _observation_misfit(part, new.spaces[name])
        if reason is not None:
            return f"in the part {name!r}, {reason}"
    return None


def _choices_misfit(known: Any, new: Any) -> str | None:
    """Indices must be among those that the networks know: beyond them they mean nothing."""
    if type(known) is not type(new) or known.shape != new.shape:
        return "another kind of space"
    (low, high), (new_low, new_high) = _range_of(known), _range_of(new)
    if (new_low >= low).all() and (new_high <= high).all():
        return None
    return "it has values that the other has not"


def _range_of(space: Any) -> tuple[np.ndarray, np.ndarray]:
    counts = np.asarray(space.n if isinstance(space, gym.spaces.Discrete) else space.nvec)
    start = np.broadcast_to(getattr(space, "start", 0), counts.shape)
    return start, start + counts


def _numbers_misfit(known: Any, new: Any) -> str | None:
    """Floats take any number; integers, as images are kept in, only those that fit."""
    if np.dtype(known.dtype).kind == "f":
        return None
    if np.dtype(new.dtype).kind == "f":
        return f"{np.dtype(new.dtype).name} instead of {np.dtype(known.dtype).name}"
    if not isinstance(new, gym.spaces.Box) or np.dtype(known.dtype).kind == "b":
        return None
    limits = np.iinfo(known.dtype)
    fits = int(new.low.min(initial=0)) >= limits.min and int(new.high.max(initial=0)) <= limits.max
    return None if fits else f"{np.dtype(new.dtype).name} values that {np.dtype(known.dtype).name} cannot hold"
