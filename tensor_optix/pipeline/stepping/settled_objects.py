"""Keeping the garbage collector away from what is there to stay."""

from __future__ import annotations

import gc
import threading


class SettledObjects:
    """Spares what exists already from the garbage collector, for as long as somebody wants that.

    Now and then the collector goes through every object there is. TensorFlow alone has half a million that are never
    garbage: a pause of a tenth of a second and more, once or twice in a run (``gc.freeze``). A setting of the whole
    process; objects that were frozen before by somebody else stay as they are.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._froze = False

    def begin(self) -> None:
        """Freeze, unless another user has done so already."""
        with self._lock:
            self._users += 1
            if self._users > 1:
                return
            self._froze = gc.isenabled() and gc.get_freeze_count() == 0
            if self._froze:
                gc.freeze()

    def end(self) -> None:
        """Unfreeze, if this was the last user."""
        with self._lock:
            self._users -= 1
            if self._users == 0 and self._froze:
                gc.unfreeze()

    def __enter__(self) -> None:
        self.begin()

    def __exit__(self, *_: object) -> None:
        self.end()


SETTLED_OBJECTS = SettledObjects()
"""Those of this process."""
