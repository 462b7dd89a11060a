"""Settings of the whole process that let windows come in time, for as long as somebody steps or follows a feed."""

from __future__ import annotations

import gc
import sys
import threading

SWITCH_SECONDS = 1e-5


class ProcessSetting:
    """A setting that is changed for the first of its users and brought back after the last; safe in any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0

    def begin(self) -> None:
        """Change it, unless another user has done so already."""
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._change()

    def end(self) -> None:
        """Bring it back, if this was the last user."""
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._bring_back()

    def __enter__(self) -> None:
        self.begin()

    def __exit__(self, *_: object) -> None:
        self.end()

    def _change(self) -> None:
        raise NotImplementedError

    def _bring_back(self) -> None:
        raise NotImplementedError


class SettledObjects(ProcessSetting):
    """Spares what exists already from the garbage collector.

    Now and then the collector goes through every object there is. TensorFlow alone has half a million that are never
    garbage: a pause of a tenth of a second and more, once or twice in a run (``gc.freeze``). Objects that were frozen
    before by somebody else stay as they are.
    """

    _froze = False

    def _change(self) -> None:
        self._froze = gc.isenabled() and gc.get_freeze_count() == 0
        if self._froze:
            gc.freeze()

    def _bring_back(self) -> None:
        if self._froze:
            gc.unfreeze()


SETTLED_OBJECTS = SettledObjects()
"""Those of this process."""


class PromptInterpreter(ProcessSetting):
    """Lets a thread that must answer in time run soon after it wakes, however busy the others are.

    Python's threads share one interpreter. Two of its habits make a feed's thread wait for the learner's:

    - A busy thread is asked to hand over only every 5 ms (``sys.setswitchinterval``), and a thread that
      reads a socket has to ask several times for each message.
    - The garbage collector now and then holds everybody up, see :class:`SettledObjects`.
    """

    _switch_seconds = 0.0

    def _change(self) -> None:
        self._switch_seconds = sys.getswitchinterval()
        sys.setswitchinterval(min(SWITCH_SECONDS, self._switch_seconds))
        SETTLED_OBJECTS.begin()

    def _bring_back(self) -> None:
        sys.setswitchinterval(self._switch_seconds)
        SETTLED_OBJECTS.end()


PROMPT_INTERPRETER = PromptInterpreter()
"""The one of this process."""
