"""Algorithms on the user's Keras models: one file each, read from top to bottom; ``registry`` knows them by name."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tensor_optix.algorithms.dqn import DQNAgent
    from tensor_optix.algorithms.ppo import PPOAgent
    from tensor_optix.algorithms.registry import register, unregister
    from tensor_optix.algorithms.sac import SACAgent

_HOME_OF = {
    "DQNAgent": "dqn",
    "PPOAgent": "ppo",
    "SACAgent": "sac",
    "register": "registry",
    "unregister": "registry",
}

__all__ = [
    "DQNAgent",
    "PPOAgent",
    "SACAgent",
    "register",
    "unregister",
]


if not TYPE_CHECKING:  # with it, every name would be one

    def __getattr__(name: str) -> object:
        if name not in _HOME_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
