"""The parts of a nested observation, and what to do about those that are no arrays of a fixed shape."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np

from tensor_optix.exceptions import UnsupportedSpaceError

Path = tuple[Any, ...]
"""Where a part is: keys of dicts and indices of tuples, from the outside in. ``()`` is the observation itself."""


def parts_of(nested: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield path and value of each part of an observation, or of a space, in its own order."""
    if isinstance(nested, gym.spaces.Dict | gym.spaces.Tuple):
        nested = nested.spaces
    elif not isinstance(nested, Mapping | tuple):
        yield path, nested
        return
    pairs = nested.items() if isinstance(nested, Mapping) else enumerate(nested)
    for key, part in pairs:
        yield from parts_of(part, (*path, key))


def part_at(nested: Any, path: Path) -> Any:
    """Return the part at ``path``.

    Raises:
        LookupError: There is none.
    """
    for key in path:
        if not isinstance(nested, Mapping | tuple | list | gym.spaces.Dict | gym.spaces.Tuple):
            raise LookupError(key)
        nested = nested[key]
    return nested


def nested_from(parts: Mapping[Path, Any]) -> Any:
    """Return parts nested by their paths: dicts, and tuples where the keys count up from 0."""
    if () in parts:
        return parts[()]
    inner: dict[Any, dict[Path, Any]] = {}
    for path, part in parts.items():
        inner.setdefault(path[0], {})[path[1:]] = part
    made = {key: nested_from(below) for key, below in inner.items()}
    return tuple(made[i] for i in range(len(made))) if set(made) == set(range(len(made))) else made


def choices_of(space: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return where each choice of a Discrete or MultiDiscrete space begins, and how many values it has, int64."""
    counts = np.asarray(space.n if isinstance(space, gym.spaces.Discrete) else space.nvec, np.int64)
    return np.broadcast_to(np.asarray(getattr(space, "start", 0), np.int64), counts.shape), counts


def restricted(space: Any, paths: Sequence[Path]) -> Any:
    """Return a space without those parts of Dicts that no path leads to."""
    if not isinstance(space, gym.spaces.Dict) or () in paths:
        return space
    below = {key: [path[1:] for path in paths if path[0] == key] for key in space.spaces}
    kept = [(key, restricted(space[key], inner)) for key, inner in below.items() if inner]
    return gym.spaces.Dict(OrderedDict(kept))


MASK_KEY = "action_mask"
"""Under which PettingZoo's environments, and those that follow them, tell in an observation what is allowed."""


def without_mask(observation_space: Any, action_space: Any) -> Any:
    """Return what a default network sees of a space: a Dict without the mask of what is allowed."""
    if not isinstance(observation_space, gym.spaces.Dict) or MASK_KEY not in observation_space.spaces:
        return observation_space
    flags = 2 * int(np.prod(action_space.shape)) if isinstance(action_space, gym.spaces.MultiBinary) else None
    if flags is None and isinstance(action_space, gym.spaces.Discrete | gym.spaces.MultiDiscrete):
        flags = int(choices_of(action_space)[1].sum())
    others = [(key,) for key in observation_space.spaces if key != MASK_KEY]
    if observation_space[MASK_KEY].shape != (flags,) or not others:
        return observation_space
    return restricted(observation_space, [path for path, _ in parts_of(observation_space) if path[:1] in others])


def name_of(path: Path) -> str:
    """Return a name for a part that Keras takes, which may hold no "/": its keys, joined by dots."""
    return ".".join(str(key) for key in path).replace("/", ".")


def advice_on(space: Any) -> str:
    """Return what makes arrays of observations that have no fixed shape."""
    if isinstance(space, gym.spaces.Text | gym.spaces.OneOf):
        return "Wrap the environment in gymnasium.wrappers.FlattenObservation, which makes a Box of them"
    return "Wrap the environment in gymnasium.wrappers.TransformObservation with a function that makes a Box of them"


def no_default_model(space: Any, part: Any, path: Path, reason: str, advice: str) -> UnsupportedSpaceError:
    """Return the error for a part that there is no default network for; what it advises works.

    Args:
        space: The whole observation space.
        part: The space of the part.
        path: Where it is.
        reason: Why there is none.
        advice: What to do.
    """
    where = ""
    if path:
        where = f", the part {name_of(path)!r} of {space}"
        kept = [key for key in space.spaces if key != path[0]] if isinstance(space, gym.spaces.Dict) else []
        if kept:
            advice += f", or leave the part out with gymnasium.wrappers.FilterObservation(env, {kept})"
    return UnsupportedSpaceError(
        f"There is no default model for observations of {part}{where}: {reason}. {advice}; or build a Keras model that "
        "takes them, and give it to the agent."
    )
