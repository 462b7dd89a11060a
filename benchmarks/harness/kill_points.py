"""Ends the process as ``kill -9`` does, at a moment of choice: for tests of what survives that.

Install it in a process of its own; there is no way back.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from tensor_optix.core.storage import state_files
from tensor_optix.exceptions import InvalidArgumentError
from tensor_optix.pipeline.stepping.env_guard import EnvGuard

MOMENTS = ("act", "learn", "barrier", "write", "rename", "sync", "remove")
"""When a process may be ended: before a step of the environment; at some instant inside ``learn``;
before the seeded reset after a barrier; with some arrays of a file written and others not; before or after
a file is put in its place; before a file is flushed; before one is removed."""


class KillPoints:
    """Counts how often each moment came, and ends the process (or does something else) at one of them.

    Args:
        agent: Whose ``learn`` is one of the moments.
        moment: At which to end; None: only count.
        count: The how-manieth, from 1.
        act: What to do then. Default: end the process.

    Raises:
        InvalidArgumentError: There is no such moment.
    """

    def __init__(
        self, agent: Any, moment: str | None = None, count: int = 1, *, act: Callable[[], None] | None = None
    ) -> None:
        if moment is not None and moment not in MOMENTS:
            raise InvalidArgumentError(f"`moment` must be one of {MOMENTS}. Received: {moment!r}.")
        self.counts: Counter[str] = Counter()
        self._moment = moment
        self._count = count
        self._act = _end if act is None else act
        self._learn_seconds = 0.0
        _wrap(EnvGuard, "step", lambda *_, **__: self._pass("act"))
        _wrap(EnvGuard, "reset", lambda _guard, seed=None, *_, **__: self._pass_if(seed is not None, "barrier"))
        _wrap(state_files, "_bytes_of", lambda *_, **__: self._pass("write"))
        _wrap(os, "fsync", lambda *_, **__: self._pass("sync"))
        _wrap(os, "unlink", lambda *_, **__: self._pass("remove"))
        self._wrap_rename()
        self._wrap_learn(agent)

    def _pass_if(self, is_one: bool, moment: str) -> None:
        if is_one:
            self._pass(moment)

    def _pass(self, moment: str) -> None:
        """Count a moment, and end the process if it is the one."""
        self.counts[moment] += 1
        if self._moment == moment and self.counts[moment] == self._count:
            self._act()

    def _wrap_rename(self) -> None:
        rename = os.replace

        def replace(*args: Any, **kwargs: Any) -> None:
            if self._count % 2:
                self._pass("rename")
            rename(*args, **kwargs)
            if not self._count % 2:
                self._pass("rename")

        os.replace = replace

    def _wrap_learn(self, agent: Any) -> None:
        learn = agent.learn

        def timed(window: Any) -> Any:
            self.counts["learn"] += 1
            if self._moment == "learn" and self.counts["learn"] == self._count:
                # somewhere inside: the share of it is as good as drawn
                timer = threading.Timer(self._learn_seconds * (0.1 + self._count % 9 / 10.0), self._act)
                timer.daemon = True
                timer.start()
            started = time.perf_counter()
            diagnostics = learn(window)
            self._learn_seconds = time.perf_counter() - started
            return diagnostics

        agent.learn = timed


def _wrap(owner: Any, name: str, before: Callable[..., Any]) -> None:
    inner = getattr(owner, name)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        before(*args, **kwargs)
        return inner(*args, **kwargs)

    setattr(owner, name, wrapped)


def _end() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
