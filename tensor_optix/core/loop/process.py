"""What a run does to its process: Ctrl-C is a request first, and linear algebra has one thread."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from threadpoolctl import ThreadpoolController

from tensor_optix.exceptions import EnvironmentFailureError, EpisodesCutError

logger = logging.getLogger(__name__)

REPORT_EPISODES_AFTER_INTERRUPT = 10
"""Who pressed Ctrl-C waits for no more than these, at most."""


class StopRequest:
    """Whether a run was asked to end, and how soon.

    Args:
        on_request: Called with each request, in whatever thread or signal handler it comes.

    Attributes:
        is_interrupted: By Ctrl-C: no last choice of a champion is made, and the report is short.
        is_at_once: By a second one.
    """

    def __init__(self, on_request: Callable[[], None] = lambda: None) -> None:
        self._on_request = on_request
        self._requested = threading.Event()
        self._may_play = False
        self.is_interrupted = False
        self.is_at_once = False

    def clear(self) -> None:
        """Forget what an earlier run was asked."""
        self._requested.clear()
        self._may_play = self.is_interrupted = self.is_at_once = False

    def stop(self) -> None:
        """Ask for the end after the current window, with all that belongs to it; from any thread."""
        self._requested.set()
        self._on_request()

    def interrupt(self) -> None:
        """Ask for the end after the current window, and soon; from a signal handler."""
        self.is_interrupted = True
        self.stop()

    @property
    def is_set(self) -> bool:
        """Whether the run was asked to end."""
        return self._requested.is_set()

    def check_episodes(self) -> None:
        """Raise ``EpisodesCutError`` if episodes that are being played are waited for no more."""
        if self.is_interrupted and not self._may_play:
            raise EpisodesCutError

    @contextmanager
    def short_report(self) -> Iterator[None]:
        """Let those few episodes be played that report after an interrupt."""
        self._may_play = True
        try:
            yield
        finally:
            self._may_play = False

    def comes_from_a_worker(self, error: BaseException) -> bool:
        """Tell whether an error is Ctrl-C as an environment's process felt it: they get it, too, but never alone."""
        losses = (KeyboardInterrupt, EnvironmentFailureError, EOFError, ConnectionError)
        return self.is_interrupted and not self.is_at_once and isinstance(error, losses)


@contextmanager
def stop_on_interrupt(request: StopRequest) -> Iterator[None]:
    """Hand the first SIGINT to ``request``; a second one raises ``KeyboardInterrupt``.

    Signals can only be handled in the main thread, and another handler than Python's own is
    somebody's choice: in both cases nothing is changed.
    """
    is_ours = threading.current_thread() is threading.main_thread()
    if not is_ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return

    def on_second(signum: int, frame: FrameType | None) -> None:
        request.is_at_once = True
        signal.default_int_handler(signum, frame)

    def on_first(signum: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, on_second)
        logger.warning("Interrupted: ending after the current window. Once more to end at once.")
        request.interrupt()

    signal.signal(signal.SIGINT, on_first)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


class OneBlasThread:
    """Limits BLAS to one thread, from the first run that begins to the last that ends.

    Those libraries are limited that are loaded when the first run begins, such as NumPy's and SciPy's (they are looked
    for then, in some 10 ms); what a user's code loads in mid-run keeps its threads.

    Two threads on small matrices wait for each other more than they work. Runs may overlap, and the number belongs to
    the process: it comes back to what it was when no run is on.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._num_runs = 0
        self._limit: Any = None

    def __enter__(self) -> OneBlasThread:
        with self._lock:
            if self._num_runs == 0:
                self._limit = ThreadpoolController().select(user_api="blas").limit(limits=1)
                self._limit.__enter__()
            self._num_runs += 1
        return self

    def __exit__(self, *exception: object) -> None:
        with self._lock:
            self._num_runs -= 1
            if self._num_runs == 0:
                self._limit.__exit__(*exception)


ONE_BLAS_THREAD = OneBlasThread()
