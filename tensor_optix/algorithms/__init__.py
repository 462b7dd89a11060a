"""Algorithms on the user's Keras models: one file each, read from top to bottom; ``registry`` knows them by name."""

from typing import TYPE_CHECKING

from tensor_optix.lazy_names import lazy_names

if TYPE_CHECKING:
    from tensor_optix.algorithms.dqn import DQNAgent as DQNAgent
    from tensor_optix.algorithms.ppo import PPOAgent as PPOAgent
    from tensor_optix.algorithms.registry import register as register
    from tensor_optix.algorithms.registry import unregister as unregister
    from tensor_optix.algorithms.sac import SACAgent as SACAgent
else:
    __getattr__, __dir__, __all__ = lazy_names(
        __name__,
        {
            "dqn": ["DQNAgent"],
            "ppo": ["PPOAgent"],
            "registry": ["register", "unregister"],
            "sac": ["SACAgent"],
        },
    )
