"""Environments in processes of their own (Gymnasium's ``AsyncVectorEnv``): resets, interrupts, unasked ends.

In next-step autoreset a worker resets its environment with the step after an end. Without shared memory it forgets
about that only by doing it (Gymnasium 1.0 to 1.4, ``async_vector_env.py``): after a full reset, its first step would
begin yet another episode, from no seed.

Ctrl-C belongs to the process that trains: the workers get it, too, and are not to die of it.

Of a worker that ends unasked Gymnasium awaits an answer without end: where something else still holds its pipe, where
it failed and ended before that was sent, and, when a vector is closed after a failure, what was read already.
"""

from __future__ import annotations

import contextlib
import logging
import queue
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


def _async_env(env: Any) -> Any:
    """Return the ``AsyncVectorEnv`` under an environment's wrappers, None where it is none."""
    inner = getattr(env, "unwrapped", env)
    return inner if isinstance(inner, gym.vector.AsyncVectorEnv) else None


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
    inner = _async_env(env)
    return None if inner is None or inner.shared_memory else AsyncWorkers(inner)


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
    inner = _async_env(env)
    if inner is None or inner.closed:
        return
    try:
        inner.call("has_wrapper_attr", _NotInterrupted())
    except gym.error.Error as error:  # somebody else is in the middle of a step
        logger.debug("The processes of %s could not be asked to ignore SIGINT: %s", inner, error)


_LOOK_SECONDS = 1.0
"""How often it is asked whether a worker that does not answer still runs."""

_END_SECONDS = 2.0
"""How long a worker that is ended may take for it, before it is killed."""


class _WatchedPipe:
    """The pipe to one worker, which does not wait for a worker that has ended.

    Args:
        pipe: It.
        process: The worker.
        number: Of the worker.
    """

    def __init__(self, pipe: Any, process: Any, number: int) -> None:
        self._pipe, self._process, self._number = pipe, process, number

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pipe, name)

    def send(self, message: Any) -> None:
        try:
            self._pipe.send(message)
        except OSError as error:
            raise self._ended() from error

    def recv(self) -> Any:
        try:
            while not self._pipe.poll(_LOOK_SECONDS):
                if not self._process.is_alive() and not self._pipe.poll(0):
                    raise EOFError
            return self._pipe.recv()
        except (EOFError, OSError) as error:
            raise self._ended() from error

    def _ended(self) -> EOFError:
        return EOFError(f"the process of sub-environment {self._number} {_how_it_ended(self._process)}")


class _WatchedErrors:
    """The errors of all workers, which are not waited for once a worker has ended and told none.

    Args:
        errors: A queue.
        processes: The workers.
    """

    def __init__(self, errors: Any, processes: list[Any]) -> None:
        self._errors, self._processes = errors, processes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._errors, name)

    def get(self) -> Any:
        while True:
            has_ended = [number for number, process in enumerate(self._processes) if not process.is_alive()]
            with contextlib.suppress(queue.Empty):
                return self._errors.get(timeout=_LOOK_SECONDS)
            if has_ended:
                raise EOFError(f"the process of sub-environment {has_ended[0]} failed and could not say how")


def _how_it_ended(process: Any) -> str:
    process.join(_END_SECONDS)  # its pipe is closed a moment before it is gone
    code = process.exitcode
    if code is None:
        return "closed its pipe"
    try:
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    except ValueError:
        return f"was ended by signal {-code}"


def watch_workers_of(env: Any) -> None:
    """Let an environment raise ``EOFError`` where one of its processes, if it has any, ends unasked."""
    inner = _async_env(env)
    if inner is None or inner.closed or isinstance(inner.error_queue, _WatchedErrors):
        return
    workers = enumerate(zip(inner.parent_pipes, inner.processes, strict=True))
    inner.parent_pipes = [pipe and _WatchedPipe(pipe, process, number) for number, (pipe, process) in workers]
    inner.error_queue = _WatchedErrors(inner.error_queue, inner.processes)


def end_broken_workers_of(env: Any) -> None:
    """End the processes of an environment that can no longer be closed in good order; where it can, do nothing."""
    inner = _async_env(env)
    if inner is None or inner.closed:
        return
    is_waiting = inner._state is not type(inner._state).DEFAULT
    if not is_waiting and all(inner.parent_pipes) and all(process.is_alive() for process in inner.processes):
        return
    for end in ("terminate", "kill"):
        for process in inner.processes:
            getattr(process, end)()
        for process in inner.processes:
            process.join(_END_SECONDS)
    inner._state = type(inner._state).DEFAULT
    inner.close(terminate=True)
