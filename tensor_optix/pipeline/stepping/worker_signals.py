"""Ctrl-C belongs to the process that trains: those of its environments get it, too, and are not to die of it."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from collections.abc import Iterator
from typing import Any

import gymnasium as gym

logger = logging.getLogger(__name__)

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
