"""Ctrl-C as a request: the first ends the run cleanly, the second at once."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

logger = logging.getLogger(__name__)


@contextmanager
def stop_on_interrupt(stop: Callable[[], None]) -> Iterator[None]:
    """Turn the first SIGINT into ``stop()``; a second one raises ``KeyboardInterrupt``.

    Signals can only be handled in the main thread, and another handler than Python's own is
    somebody's choice: in both cases nothing is changed.
    """
    is_ours = threading.current_thread() is threading.main_thread()
    if not is_ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return

    def on_first(signum: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        logger.warning("Interrupted: ending after the current window. Once more to end at once.")
        stop()

    signal.signal(signal.SIGINT, on_first)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
