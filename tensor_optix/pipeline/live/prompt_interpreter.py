"""What keeps one thread of a Python process waiting for another, and is switched off while a feed is open."""

from __future__ import annotations

import sys
import threading

from tensor_optix.pipeline.stepping.settled_objects import SETTLED_OBJECTS

SWITCH_SECONDS = 1e-5


class PromptInterpreter:
    """Lets a thread that must answer in time run soon after it wakes, however busy the others are.

    Python's threads share one interpreter. Two of its habits make a feed's thread wait for the learner's:

    - A busy thread is asked to hand over only every 5 ms (``sys.setswitchinterval``), and a thread that
      reads a socket has to ask several times for each message.
    - The garbage collector now and then holds everybody up, see :class:`SettledObjects`.

    Both are settings of the whole process: they are changed while at least one feed is open, and brought
    back afterwards.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._switch_seconds = 0.0

    def begin(self) -> None:
        """Change the settings, unless another feed has done so already."""
        with self._lock:
            self._users += 1
            if self._users > 1:
                return
            self._switch_seconds = sys.getswitchinterval()
            sys.setswitchinterval(min(SWITCH_SECONDS, self._switch_seconds))
            SETTLED_OBJECTS.begin()

    def end(self) -> None:
        """Bring the settings back, if this was the last feed."""
        with self._lock:
            self._users -= 1
            if self._users > 0:
                return
            sys.setswitchinterval(self._switch_seconds)
            SETTLED_OBJECTS.end()


PROMPT_INTERPRETER = PromptInterpreter()
"""The one of this process."""
