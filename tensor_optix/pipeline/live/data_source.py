"""What a live feed must offer, and may offer."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from tensor_optix.core.checks import has_method, received
from tensor_optix.exceptions import InvalidTypeError

logger = logging.getLogger(__name__)


class DataSource(Protocol):
    """What ``LivePipeline`` follows.

    Optional beside ``stream``:

    - ``send_action(action)``: delivers an action, instead of the generator's ``yield``.
    - ``close()`` or ``stop()``: called by ``teardown`` from another thread, to interrupt a read. It ends the stream
      that the pipeline opened; the source itself is its maker's, and may be asked for another stream.
    - ``disconnect_errors``: exception types that mean a lost connection (``OSError`` and
      ``EOFError`` always do).
    - ``observation_space``, ``action_space``.
    - ``info["applied_action"]``, on the item after an action: what the world did instead of it; None
      where it did as it was asked.
    """

    def stream(self) -> Iterator[Any]:
        """Open the feed and yield ``(observation, reward, terminated, truncated, info)``.

        Called again for each reconnect; every stream begins a new episode.
        """
        ...


def check_source(source: Any) -> None:
    """Raise unless ``source`` has a method ``stream``."""
    if isinstance(source, type) or not has_method(source, "stream"):
        raise InvalidTypeError(
            "`data_source` needs a method stream() that yields (observation, reward, terminated, truncated, info). "
            f"{received(source)}"
        )


def close_source(source: Any) -> threading.Thread | None:
    """Call the source's ``close`` or else ``stop``, where it has one, in a thread of its own, and return that.

    It may block; what it raises is logged.
    """
    close = getattr(source, "close", None) or getattr(source, "stop", None)
    if close is None:
        return None
    thread = threading.Thread(target=_close, args=(close,), name="tensor-optix-source-closer", daemon=True)
    thread.start()
    return thread


def _close(close: Callable[[], None]) -> None:
    try:
        close()
    except Exception:
        logger.warning("The data source failed while it was closed.", exc_info=True)
