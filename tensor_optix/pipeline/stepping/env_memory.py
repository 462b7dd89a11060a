"""What an environment carries over a seeded reset without saying so: found where it shows itself."""

from __future__ import annotations

from typing import Any

import gymnasium as gym

from tensor_optix.core.attributes import fingerprints
from tensor_optix.pipeline.stepping.env_state import has_own_state, is_known, layers_of

_OF_LIBRARIES = ("gymnasium", "envpool", "ale_py", "tensor_optix")
"""Their wrappers keep records, and statistics that are known; what acts on the next episode is reset."""

_EVERY_WRAPPER_HAS = frozenset(vars(gym.Wrapper(gym.Env())))
"""What Gymnasium keeps in any wrapper: spaces and descriptions, made when first asked for."""


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
