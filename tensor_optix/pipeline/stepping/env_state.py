"""What an environment carries from one episode to the next, and how to give it back.

A seeded reset settles an environment, but not a wrapper that keeps running statistics. Those of
Gymnasium are known here, and others kept in the same way; any other layer is asked, where it has
``state_dict`` and ``load_state_dict``. What is carried without saying so is found where it shows itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np

from tensor_optix.core.attributes import fingerprints
from tensor_optix.core.storage.exact_json import is_packable, pack, to_exact, unpack
from tensor_optix.exceptions import CheckpointError, StateMismatchError
from tensor_optix.pipeline.stepping.own_reward import RewardTap

_STATISTIC_FIELDS = ("mean", "var", "count")
_RUNNING_RETURNS = ("discounted_reward", "accumulated_reward")
OF_OTHERS = ("own",)
"""Under this stands what a layer said of itself."""

_OF_LIBRARIES = ("gymnasium", "envpool", "ale_py", "tensor_optix")
"""Their wrappers keep records, and statistics that are known; what acts on the next episode is reset."""

_EVERY_WRAPPER_HAS = frozenset(vars(gym.Wrapper(gym.Env())))
"""What Gymnasium keeps in any wrapper: spaces and descriptions, made when first asked for."""


def env_state(env: Any) -> dict[str, Any]:
    """Return the JSON-able state of all layers that have one, by their place; empty where none has.

    Layers inside other processes are not reached.
    """
    states = {str(place): _state_of(layer) for place, layer in enumerate(layers_of(env))}
    return {place: state for place, state in states.items() if state}


def restore_env_state(env: Any, saved: dict[str, Any]) -> list[str]:
    """Give every layer back what :func:`env_state` found, and return what could not be, in phrases.

    Raises:
        StateMismatchError: A layer's statistics are of another shape.
    """
    layers, lost = list(layers_of(env)), []
    for place, state in saved.items():
        layer = layers[int(place)] if int(place) < len(layers) else None
        if layer is None or type(layer).__name__ != state["class"]:
            lost.append(f"the environment has no layer {state['class']} any more, so its state is not given back")
        elif "lost" not in state:
            _restore(layer, state)
    return lost


def not_saved(states: dict[str, Any]) -> list[str]:
    """Return, in phrases, which layers gave :func:`env_state` a state that cannot be saved."""
    return [
        f"the state of the wrapper {state['class']} cannot be saved, so it starts afresh ({state['lost']})"
        for state in states.values()
        if "lost" in state
    ]


def layers_of(env: Any) -> Iterator[Any]:
    """Yield wrappers from the outside in, those of each sub-environment, and what they wrap."""
    while env is not None:
        yield env
        for inner in getattr(env, "envs", ()):
            yield from layers_of(inner)
        env = vars(env).get("env") if hasattr(env, "__dict__") else None


def has_own_state(layer: Any) -> bool:
    """Tell whether a layer saves and takes back its state by itself."""
    methods = ("state_dict", "load_state_dict")
    return all(callable(getattr(type(layer), method, None)) for method in methods)


def is_known(name: str, value: Any) -> bool:
    """Tell whether a layer's attribute is one of those that are saved without being asked for."""
    return name in _RUNNING_RETURNS or _is_statistics(value) or isinstance(value, RewardTap)


def is_statistics(kept: Any) -> bool:
    """Tell whether what :func:`env_state` found under a name are running statistics."""
    return isinstance(kept, dict) and all(field in kept for field in _STATISTIC_FIELDS)


def _state_of(layer: Any) -> dict[str, Any] | None:
    kind = type(layer).__name__
    if has_own_state(layer):
        own = layer.state_dict()
        try:
            to_exact(own, "state_dict()")
        except CheckpointError as error:
            return {"class": kind, "lost": str(error)}
        return {"class": kind, "own": own}
    kept: dict[str, Any] = {}
    for name, value in getattr(layer, "__dict__", {}).items():
        if _is_statistics(value):
            kept[name] = {field: _plain(number) for field, number in vars(value).items() if _is_number(number)}
        elif name in _RUNNING_RETURNS and _is_number(value):
            kept[name] = _plain(value)
    return {"class": kind, "kept": kept} if kept else None


def _is_statistics(value: Any) -> bool:
    own = getattr(value, "__dict__", {})
    return all(_is_number(own.get(field)) for field in _STATISTIC_FIELDS)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) or is_packable(value)


def _plain(value: Any) -> Any:
    """Return Python's numbers as they are, and NumPy's with their type: in that type the sums go on."""
    return pack(value) if is_packable(value) else value


def _restore(layer: Any, state: dict[str, Any]) -> None:
    if "own" in state:
        layer.load_state_dict(state["own"])
        return
    for name, value in state["kept"].items():
        if isinstance(value, dict) and "base64" not in value:
            for field, number in value.items():
                _set(getattr(layer, name), field, number)
        else:
            _set(layer, name, value)


def _set(owner: Any, name: str, plain: Any) -> None:
    like = getattr(owner, name)
    if not isinstance(plain, dict):
        # A Python number, or values without their type, as runs were saved before.
        setattr(owner, name, np.asarray(plain, like.dtype) if isinstance(like, np.ndarray) else plain)
        return
    value = unpack(plain)
    if np.shape(value) != np.shape(like):
        raise StateMismatchError(
            f"`{name}` of the environment's {type(owner).__name__} was of shape {np.shape(value)} and is "
            f"{np.shape(like)}. Resume with the environment and wrappers that the run was started with."
        )
    setattr(owner, name, value)


class EnvMemory:
    """Compares the attributes of an environment's layers before and after each reset.

    What a reset leaves as it was, and what is not as it was after the first one, is memory. Layers with
    ``state_dict`` are left out, and so are those inside other processes.
    """

    def __init__(self) -> None:
        self._first: dict[tuple[int, str], dict[str, str]] = {}
        self._before: dict[tuple[int, str], dict[str, str]] = {}
        self._carried: dict[str, list[str]] = {}

    def before_reset(self, env: Any) -> None:
        """Look at the environment as it is before a reset."""
        self._before = _attributes_of(env)

    def after_reset(self, env: Any) -> None:
        """Look at it again."""
        for key, now in _attributes_of(env).items():
            first = self._first.setdefault(key, now)
            carried = self._carried.setdefault(key[1], [])
            for name, state in now.items():
                is_kept = self._before.get(key, {}).get(name) == state
                if is_kept and first.get(name) != state and name not in carried:
                    carried.append(name)

    def phrases(self) -> list[str]:
        """Return what was found so far."""
        return [
            f"the environment's {kind} carries state over a reset (attributes: {', '.join(names)}) but has no "
            "state_dict: after a resume it starts anew"
            for kind, names in self._carried.items()
            if names
        ]


def _attributes_of(env: Any) -> dict[tuple[int, str], dict[str, str]]:
    found = {}
    for place, layer in enumerate(layers_of(env)):
        if type(layer).__module__.split(".")[0] not in _OF_LIBRARIES and not has_own_state(layer):
            own = getattr(layer, "__dict__", {})
            known = {name for name, value in own.items() if name in _EVERY_WRAPPER_HAS or is_known(name, value)}
            found[place, type(layer).__qualname__] = fingerprints(layer, known)
    return found
