"""Workers of Gymnasium's ``AsyncVectorEnv`` that remember an ended episode over a full reset.

In next-step autoreset a worker resets its environment with the step after an end. Without shared memory it forgets
about that only by doing it (Gymnasium 1.0 to 1.4, ``async_vector_env.py``): after a full reset, its first step would
begin yet another episode, from no seed.
"""

from __future__ import annotations

import weakref
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

BoolArray = npt.NDArray[np.bool_]

_KNOWN: weakref.WeakKeyDictionary[Any, BoolArray] = weakref.WeakKeyDictionary()
"""Which workers of an environment are about to reset: whoever steps it next has to know."""


class AsyncWorkers:
    """The workers of one environment.

    Args:
        env: It.
    """

    def __init__(self, env: Any) -> None:
        self._env = env

    def known_to_reset(self, otherwise: BoolArray) -> BoolArray:
        """Return which workers are known to reset with their next step, ``[N]``."""
        return _KNOWN.get(self._env, otherwise)

    def note(self, ended: BoolArray) -> None:
        """Remember which workers reset with their next step, ``[N]``."""
        _KNOWN[self._env] = ended

    def reset(self, ended: BoolArray) -> None:
        """Let these workers, and no others, take the step that resets; what they answer is of no interest."""
        pipes, has_answered = self._env.parent_pipes, [True] * len(ended)
        indices = np.flatnonzero(ended).tolist()
        for n in indices:
            pipes[n].send(("step", None))
        for n in indices:
            _, has_answered[n] = pipes[n].recv()
        self._env._raise_if_errors(has_answered)


def workers_that_reset_again(env: Any) -> AsyncWorkers | None:
    """Return the workers of an environment in next-step autoreset; None where a full reset is one."""
    inner = getattr(env, "unwrapped", env)
    is_async = isinstance(inner, gym.vector.AsyncVectorEnv) and not inner.shared_memory
    return AsyncWorkers(inner) if is_async else None
