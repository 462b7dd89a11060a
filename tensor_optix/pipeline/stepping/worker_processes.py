"""Environments in processes of their own (Gymnasium's ``AsyncVectorEnv``): their resets, and their interrupts.

In next-step autoreset a worker resets its environment with the step after an end. Without shared memory it forgets
about that only by doing it (Gymnasium 1.0 to 1.4, ``async_vector_env.py``): after a full reset, its first step would
begin yet another episode, from no seed.

Ctrl-C belongs to the process that trains: the workers get it, too, and are not to die of it.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

logger = logging.getLogger(__name__)

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


_HARMLESS_NAME = "unwrapped"
"""What every environment has: a worker is asked whether it does."""


@contextlib.contextmanager
def interrupts_withheld() -> Iterator[None]:
    """Start processes that are not interrupted by SIGINT.

    The mask of blocked signals is inherited through fork and exec, unlike a handler, and may be set in any thread.
    What comes for this thread meanwhile comes afterwards.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _NotInterrupted:
    """Turns into a text where it arrives, and there ignores SIGINT from then on."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _ignore_interrupts, ()


def _ignore_interrupts() -> str:
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    return _HARMLESS_NAME


def withhold_interrupts_from(env: Any) -> None:
    """Let the processes of a vector environment that somebody else made ignore SIGINT, where it has any.

    They are asked whether they have an attribute that all have; what its name arrives as does the rest.
    """
    inner = getattr(env, "unwrapped", env)
    if not isinstance(inner, gym.vector.AsyncVectorEnv) or inner.closed:
        return
    try:
        inner.call("has_wrapper_attr", _NotInterrupted())
    except gym.error.Error as error:  # somebody else is in the middle of a step
        logger.debug("The processes of %s could not be asked to ignore SIGINT: %s", inner, error)
