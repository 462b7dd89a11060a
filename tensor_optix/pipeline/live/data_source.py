"""What a live feed must offer, and may offer."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from tensor_optix.core.checks import has_method, received
from tensor_optix.exceptions import InvalidTypeError

logger = logging.getLogger(__name__)

CONNECTION_ERRORS: tuple[type[BaseException], ...] = (OSError, EOFError)


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


class Feed:
    """A data source with everything that it may offer: what it lacks is None, or does nothing.

    Args:
        source: It.

    Attributes:
        source: It, as it was given.
        stream: Opens it; what it returns still needs :func:`as_iterator`.
        send_action: Delivers an action; None where the generator's ``yield`` does, or nobody.
        connection_errors: Exception types that mean a lost connection.

    Raises:
        InvalidTypeError: It has no method ``stream``.
    """

    def __init__(self, source: Any) -> None:
        if isinstance(source, type) or not has_method(source, "stream"):
            raise InvalidTypeError(
                "`data_source` needs a method stream() that yields (observation, reward, terminated, truncated, info). "
                f"{received(source)}"
            )
        self.source = source
        self.stream: Callable[[], Any] = source.stream
        self.send_action: Callable[[Any], None] | None = getattr(source, "send_action", None)
        self.connection_errors = CONNECTION_ERRORS + tuple(getattr(source, "disconnect_errors", ()))
        self._close: Callable[[], None] | None = getattr(source, "close", None) or getattr(source, "stop", None)

    def space(self, kind: str) -> Any:
        """Return the space of its ``"observation"`` or ``"action"``, as it is now; None where it does not tell."""
        return getattr(self.source, f"{kind}_space", None)

    def close(self) -> threading.Thread | None:
        """Call the source's ``close`` or else ``stop``, where it has one, in a thread of its own, and return that.

        It may block; what it raises is logged.
        """
        if self._close is None:
            return None
        thread = threading.Thread(target=_close, args=(self._close,), name="tensor-optix-source-closer", daemon=True)
        thread.start()
        return thread


def as_iterator(stream: Any) -> Iterator[Any]:
    """Return what a source's ``stream`` returned as an iterator.

    Raises:
        InvalidTypeError: It cannot be iterated over.
    """
    if hasattr(stream, "__next__"):
        return stream  # type: ignore[no-any-return]
    if hasattr(stream, "__iter__"):
        return iter(stream)
    raise InvalidTypeError(
        f"`data_source.stream()` must return a generator or another iterator. Received: {stream!r} of type "
        f"{type(stream).__name__}. An asynchronous feed needs a thread or loop of its own inside the source."
    )


def _close(close: Callable[[], None]) -> None:
    try:
        close()
    except Exception:
        logger.warning("The data source failed while it was closed.", exc_info=True)
