"""The thread that lives with a feed: reads, acts, answers, queues."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from types import GeneratorType
from typing import Any

from tensor_optix.exceptions import StreamError
from tensor_optix.pipeline.live.data_source import Feed, as_iterator
from tensor_optix.pipeline.live.feed_items import FeedItem, StepChecker
from tensor_optix.pipeline.live.feed_masks import FeedMasks
from tensor_optix.pipeline.live.live_actor import LiveActor
from tensor_optix.pipeline.live.live_window import StepPairing
from tensor_optix.pipeline.live.reconnect import ATTEMPTS_BEFORE_FIRST_ITEM, ReconnectWaits
from tensor_optix.pipeline.live.step_queue import StepQueue

logger = logging.getLogger(__name__)

MISTAKES = (TypeError, AttributeError, NameError, ImportError, NotImplementedError, AssertionError)
LATENCIES_KEPT = 10_000


class _StreamEndedError(Exception):
    """A stream ended or broke; the cause, if any, is what the source raised."""


class StreamWorker:
    """Follows one data source in a thread of its own until stopped.

    Per item: check it, complete the step that it ends, act on its observation, deliver the action,
    queue the step. What ends the thread (an error of source or agent, the end of the feed) is
    handed to the reader of the queue, behind everything queued before.

    Args:
        feed: The user's data source.
        actor: Answers observations.
        checker: Checks items.
        queue: Takes the steps.
        waits: Waits between reconnects; None: the end of a stream is the end.
        skip_bad_steps: Leave unusable items out instead of ending with an error.
        masks: Reads what the feed allows.
    """

    def __init__(
        self,
        feed: Feed,
        actor: LiveActor,
        checker: StepChecker,
        queue: StepQueue,
        *,
        waits: ReconnectWaits | None,
        skip_bad_steps: bool,
        masks: FeedMasks,
    ) -> None:
        self.actor = actor
        self.reconnects = 0
        self.skipped_steps = 0
        self.latencies_seconds: deque[float] = deque(maxlen=LATENCIES_KEPT)
        self._feed = feed
        self._checker = checker
        self._queue = queue
        self._waits = waits
        self._skip_bad_steps = skip_bad_steps
        self._pairing = StepPairing()
        self._masks = masks
        self._num_items = 0
        self._last_action: Any = None
        self._warned_of_empty_episode = False
        self._waits_inside: tuple[str, float] | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tensor-optix-feed", daemon=True)

    @property
    def is_following(self) -> bool:
        """Whether the thread runs and was not asked to end."""
        return self._thread.is_alive() and not self._stopped.is_set()

    def start(self) -> None:
        """Open the feed."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end: everything it may wait for, except the source, lets it go."""
        self._stopped.set()
        self._queue.close()
        self.actor.release()

    def join(self, timeout_seconds: float) -> bool:
        """Wait for the thread's end and tell whether it came."""
        if self._thread.ident is not None:
            self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    def silence(self) -> tuple[str, float]:
        """Return what of the source has not answered, and for how many seconds; 0 while it is not waited for."""
        waiting = self._waits_inside
        return ("", 0.0) if waiting is None else (waiting[0], time.monotonic() - waiting[1])

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            while not self._stopped.is_set():
                try:
                    self._follow_stream()
                except _StreamEndedError as ended:
                    if not self._wait_to_reconnect(ended.__cause__):
                        break
        except BaseException as failure:
            error = failure
        self._queue.close(error)

    def _follow_stream(self) -> None:
        stream = self._open()
        # A plain generator ignores what it is sent; an iterator that is no generator cannot be sent anything.
        is_answered = self._feed.send_action is None and hasattr(stream, "send")
        answer: Any = None
        self._pairing.start_episode()
        try:
            while not self._stopped.is_set():
                answer = self._handle(self._read(stream, answer if is_answered else None))
        except _StreamEndedError:
            raise
        except BaseException as error:
            self._queue.close(error)  # at once: the source's generator may take its time to end
            raise
        finally:
            self._close_generator(stream)

    def _open(self) -> Iterator[Any]:
        return as_iterator(self._ask("stream()", self._feed.stream))

    def _read(self, stream: Iterator[Any], answer: Any) -> Any:
        if answer is None:
            return self._ask("its stream", next, stream)
        return self._ask("its stream", stream.send, answer)  # type: ignore[attr-defined]

    def _ask(self, what: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """Return what a call of the source's gives; as long as it takes, ``silence`` tells what is waited for."""
        self._waits_inside = (what, time.monotonic())
        try:
            return function(*arguments)
        except StopIteration:
            raise _StreamEndedError from None
        except Exception as error:
            raise _StreamEndedError from error
        finally:
            self._waits_inside = None

    def _handle(self, raw: Any) -> Any:
        """Turn one item into an answer for the source; None where there is none."""
        arrived_at = time.monotonic()
        number, self._num_items = self._num_items, self._num_items + 1
        if self._waits is not None:
            self._waits.reset()
        try:
            item = self._checker.check(raw, number, self._pairing.chosen_action)
            item.action_mask = self._masks.of(item, number, self.actor)
        except StreamError as fault:
            if not self._skip_bad_steps:
                raise
            return self._skip(fault)
        step = self._pairing.complete(item, arrived_at)
        if step is None and item.done:
            self._warn_of_empty_episode(number)
        action = None if item.done else self._answer(item, number, arrived_at, begins=step is None)
        if step is not None:
            self._queue.put(step)
        return action

    def _answer(self, item: FeedItem, number: int, arrived_at: float, *, begins: bool) -> Any:
        beside = {} if item.action_mask is None else {"action_mask": item.action_mask}
        try:
            choice = self.actor.act(item.observation, beside, begins)
        except BaseException as error:
            error.add_note(f"Raised by the agent while it acted on step {number} of the live feed (counted from 0).")
            raise
        if choice is None:
            return None
        self._deliver(choice.action)
        self.latencies_seconds.append(time.monotonic() - arrived_at)
        self._pairing.begin(item, choice, arrived_at)
        self._last_action = choice.action
        return choice.action

    def _deliver(self, action: Any) -> None:
        if self._feed.send_action is not None and action is not None:
            self._ask("send_action()", self._feed.send_action, action)

    def _close_generator(self, stream: Iterator[Any]) -> None:
        if not isinstance(stream, GeneratorType):
            return
        try:
            self._ask("the end of its generator", stream.close)
        except _StreamEndedError:
            logger.warning("The feed's generator failed while it was closed.", exc_info=True)

    def _skip(self, fault: StreamError) -> Any:
        """Leave one item out; a source that waits for an answer gets the last action again."""
        logger.warning("Left out: %s", fault)
        self.skipped_steps += 1
        self._pairing.lose_step()
        self._queue.put_gap()
        self._deliver(self._last_action)
        return self._last_action

    def _warn_of_empty_episode(self, number: int) -> None:
        if not self._warned_of_empty_episode:
            self._warned_of_empty_episode = True
            logger.warning(
                "Step %d of the feed both begins and ends an episode, so it holds nothing to learn. An item that ends "
                "an episode should carry its final observation, and the item after it the new episode's first.",
                number,
            )

    def _wait_to_reconnect(self, cause: BaseException | None) -> bool:
        """Wait before the next attempt; False where there shall be none.

        Raises:
            StreamError: The source made a mistake that no new attempt can mend, broke with
                something else than a lost connection where reconnecting is off, or never gave
                anything at all.
        """
        if self._stopped.is_set():
            return False
        self._queue.put_gap()
        if isinstance(cause, MISTAKES):
            raise StreamError(f"The data source failed after {self._num_items} items: {_tell(cause)}.") from cause
        if self._waits is None:
            return self._end(cause)
        if self._num_items == 0 and self._waits.attempts >= ATTEMPTS_BEFORE_FIRST_ITEM:
            raise StreamError(
                f"The data source gave no item in {self._waits.attempts + 1} attempts; the last one ended with: "
                f"{_tell(cause)}. Check its address, and that stream() yields."
            ) from cause
        seconds = self._waits.next_seconds()
        logger.warning("The feed broke off (%s). Reconnecting in %.2f s.", _tell(cause), seconds)
        if self._stopped.wait(seconds):
            return False
        self.reconnects += 1
        return True

    def _end(self, cause: BaseException | None) -> bool:
        if cause is None or isinstance(cause, self._feed.connection_errors):
            logger.info("The feed ended after %d items (%s).", self._num_items, _tell(cause))
            return False
        raise StreamError(
            f"The data source failed after {self._num_items} items: {_tell(cause)}. Name errors that only mean a lost "
            "connection in its `disconnect_errors`, or pass reconnect_on_disconnect=True."
        ) from cause


def _tell(cause: BaseException | None) -> str:
    return "the stream ended" if cause is None else f"{type(cause).__name__}: {cause}"
