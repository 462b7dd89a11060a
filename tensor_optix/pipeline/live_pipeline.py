"""Windows from a feed that does not wait."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tensor_optix.core.base_pipeline import EpisodeBoundaryFn
from tensor_optix.core.checks import check_choice, check_flags, check_int, check_number
from tensor_optix.core.protocols import CanAct
from tensor_optix.core.types import EpisodeData
from tensor_optix.exceptions import StreamSilenceError
from tensor_optix.functional.seeding import derive_rng
from tensor_optix.pipeline.acting import ActingPipeline
from tensor_optix.pipeline.live.data_source import DataSource, Feed
from tensor_optix.pipeline.live.feed_items import StepChecker
from tensor_optix.pipeline.live.feed_masks import FeedMasks
from tensor_optix.pipeline.live.live_actor import LiveActor
from tensor_optix.pipeline.live.live_window import (
    EveryNSeconds,
    EveryNSteps,
    LiveStep,
    LiveWindow,
    OnDoneSignal,
    WindowEnds,
)
from tensor_optix.pipeline.live.reconnect import ReconnectWaits
from tensor_optix.pipeline.live.step_queue import Signal, StepQueue
from tensor_optix.pipeline.live.stream_worker import StreamWorker
from tensor_optix.pipeline.process_settings import PROMPT_INTERPRETER
from tensor_optix.pipeline.stepping.action_masks import AskedMasks, check_asked, check_asked_of

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.1
_TEARDOWN_SECONDS = 1.8
_GIVE_WAY_SECONDS = 1e-6


class LivePipeline(ActingPipeline):
    """Follows a live feed in a thread of its own: acts there, while the loop learns beside it.

    The feed's items mean what Gymnasium's do. The first item of an episode is a reset: its reward
    belongs to nothing. Item k's reward belongs to the action taken on item k - 1's observation. An
    item that ends an episode carries the final observation, nobody acts on it, and the item after
    it begins the next episode.

    How actions reach the world is the source's choice:

    - ``action = yield item``: the generator receives the action on the item it yielded (None on an
      item that ends an episode).
    - ``send_action(action)``: called with each action (never on an item that ends an episode).
    - neither: the source is only observed. Actions are chosen and recorded as if they had been
      taken, but go nowhere, so nothing can be learned about their effect; unless the feed tells
      what was done instead, in ``info["applied_action"]`` (an action of the source's ``action_space``),
      which is then recorded.

    An agent that has ``policy()`` acts through a frozen copy, swapped between two steps whenever
    the loop asks for the next window: no action waits for an update. While a feed is open, the
    process's switch interval and garbage collector are set so that the learner's Python gives way at
    once (:class:`PromptInterpreter`). An agent with the six methods only acts itself and is never asked
    to while the loop has it: its actions wait for its updates. A policy with
    ``act_with_log_prob(observation) -> (action, log_prob)`` has ``action_log_probs`` recorded, NaN where
    another action was applied.

    The end of a window that is not the end of an episode is no flag in the data: learners bootstrap
    from ``next_observations``, and ``completed_returns`` counts episodes across windows. Where steps
    are missing (dropped, skipped, lost with the connection), the step before the gap is truncated
    with its own true successor, and nothing is learned across; where that step was yielded before
    the gap was known, the next window has ``metadata["follows_gap"]``. ``metadata["ended_by"]``
    tells what ended the window: ``"done"``, ``"boundary"``, ``"gap"``, ``"cap"`` or ``"end"``.

    Args:
        data_source: See :class:`DataSource`.
        agent: What acts; may come later with ``set_agent``.
        episode_boundary_fn: Where windows end; default ``on_done_signal()``.
        buffer_size: Steps that wait for the learner at most.
        reconnect_on_disconnect: Open the stream again when it ends or breaks, after waits that
            double from 0.1 s, with jitter, without end (a source that never gave anything is given
            up after 9 attempts). Otherwise the windows end there.
        on_full: With ``"block"`` the feed waits while the learner is ``buffer_size`` steps behind,
            and so do its actions; with ``"drop_oldest"`` none ever waits, and what was dropped is
            counted.
        silence_timeout_seconds: How long the source may give nothing, or not come back from
            ``send_action``; None: for ever.
        on_bad_step: ``"raise"``, or ``"skip"``: leave unusable items out, count them, and answer
            them with the last action again.
        max_reconnect_wait_seconds: Ceiling of the waits between reconnects.
        max_window_steps: Ends a window that nothing else ended, so memory stays bounded.
        seed: Source of the jitter.
        action_mask: Where it is told which actions are allowed, as in ``BatchPipeline``; the first item shows where.

    Raises:
        InvalidArgumentError: An argument is out of its range.
        InvalidTypeError: The source has no ``stream``, or the boundary cannot be called.

    Example:
        >>> class Countdown:
        ...     def stream(self):
        ...         for left in (2, 1, 0):
        ...             action = yield [left], -1.0, left == 0, False, {}
        >>> class Idler:
        ...     def act(self, observation):
        ...         return 0
        >>> pipeline = LivePipeline(Countdown(), agent=Idler(), reconnect_on_disconnect=False)
        >>> [window.rewards.tolist() for window in pipeline.episodes()]
        [[-1.0, -1.0]]
        >>> pipeline.teardown()
    """

    def __init__(
        self,
        data_source: DataSource,
        agent: CanAct | None = None,
        episode_boundary_fn: EpisodeBoundaryFn | None = None,
        buffer_size: int = 1000,
        reconnect_on_disconnect: bool = True,
        *,
        on_full: Literal["block", "drop_oldest"] = "block",
        silence_timeout_seconds: float | None = 30.0,
        on_bad_step: Literal["raise", "skip"] = "raise",
        max_reconnect_wait_seconds: float = 30.0,
        max_window_steps: int = 10_000,
        seed: int | None = None,
        action_mask: AskedMasks = "auto",
    ) -> None:
        feed = Feed(data_source)
        check_asked(action_mask, feed.space("action"))
        check_choice("on_full", on_full, ("block", "drop_oldest"))
        check_choice("on_bad_step", on_bad_step, ("raise", "skip"))
        check_int("buffer_size", buffer_size, at_least=1)
        check_flags(reconnect_on_disconnect=reconnect_on_disconnect)
        check_number("max_reconnect_wait_seconds", max_reconnect_wait_seconds, above=0.0)
        check_number("silence_timeout_seconds", silence_timeout_seconds, above=0.0, optional=True)
        self._worker: StreamWorker | None = None
        super().__init__(agent, seed)
        self._feed = feed
        self.action_mask = action_mask
        self._ends = WindowEnds(episode_boundary_fn, max_window_steps)
        self._buffer_size = buffer_size
        self._reconnects_wanted = reconnect_on_disconnect
        self._drop_oldest = on_full == "drop_oldest"
        self._silence_timeout_seconds = silence_timeout_seconds
        self._skip_bad_steps = on_bad_step == "skip"
        self._max_reconnect_wait_seconds = max_reconnect_wait_seconds
        self._next_window_id = 0
        self._queue = StepQueue(buffer_size, drop_oldest=self._drop_oldest)
        self._stop_requested = False
        self._is_down = False
        self._is_prompt = False
        self._teardown_lock = threading.Lock()
        self._closer: threading.Thread | None = None

    @staticmethod
    def every_n_steps(n: int) -> EpisodeBoundaryFn:
        """Return a boundary that ends windows after exactly ``n`` steps, also inside episodes."""
        return EveryNSteps(n)

    @staticmethod
    def every_n_seconds(s: float) -> EpisodeBoundaryFn:
        """Return a boundary that ends windows after ``s`` seconds of the feed's time."""
        return EveryNSeconds(s)

    @staticmethod
    def on_done_signal() -> EpisodeBoundaryFn:
        """Return a boundary that ends windows where episodes end, or are cut off by a gap."""
        return OnDoneSignal()

    @property
    def is_live(self) -> bool:
        """True: the feed goes on whether or not anyone learns from it."""
        return True

    @property
    def observation_space(self) -> Any:
        """The source's ``observation_space``, or None."""
        return self._feed.space("observation")

    @property
    def action_space(self) -> Any:
        """The source's ``action_space``, or None."""
        return self._feed.space("action")

    def check_agent(self) -> None:
        """Raise ``InvalidArgumentError`` where masks were asked for and the agent, which is bound, takes none."""
        check_asked_of(self.action_mask, self.agent)

    def set_agent(self, agent: CanAct) -> None:
        """Take the agent that acts, from the next step on.

        Raises:
            InvalidTypeError: It has no ``act`` method.
        """
        super().set_agent(agent)
        if self._worker is not None:
            self._worker.actor = LiveActor(self._acting_agent())

    @property
    def dropped_steps(self) -> int:
        """Steps let go of because the queue was full, since the feed was opened."""
        return self._queue.dropped_steps

    @property
    def skipped_steps(self) -> int:
        """Unusable items left out, since the feed was opened."""
        return 0 if self._worker is None else self._worker.skipped_steps

    @property
    def reconnects(self) -> int:
        """How often the feed was opened again."""
        return 0 if self._worker is None else self._worker.reconnects

    @property
    def action_latencies_seconds(self) -> npt.NDArray[np.float64]:
        """Seconds from an observation's arrival to its action's delivery, the last 10,000."""
        return np.array([] if self._worker is None else list(self._worker.latencies_seconds))

    def setup(self) -> None:
        """Get ready for a run; the feed is opened with the first window."""
        if self._closer is not None:
            self._closer.join()
            self._closer = None
        self._ends.limit_next(None)
        self._stop_requested = False
        self._is_down = False

    def episodes(self) -> Iterator[EpisodeData]:
        """Yield windows until the feed ends for good, or ``request_stop`` or ``teardown`` is called.

        The feed is opened with the first window, and stays open between windows.

        Raises:
            NotBoundError: There is no agent.
            StreamSilenceError: The source gave nothing for too long.
            StreamError: The source failed, or sent something unusable.
        """
        self._acting_agent()  # which raises where there is none
        self.check_agent()
        worker = self._open_feed()
        while True:
            window, ended_by = self._collect(worker)
            self._ends.limit_next(None)
            if window:
                data = window.build(self._next_window_id, {"ended_by": ended_by, "follows_gap": window.follows_gap})
                self._next_window_id += 1
                with worker.actor.lent_to_loop():
                    yield data
                    worker.actor.refresh()
            if ended_by == "end":
                return

    def request_stop(self) -> None:
        """End the feed, and the window that is being collected now; it is the last.

        For any thread or signal handler. The feed is closed in a thread of its own: the loop may be in
        the middle of a long update.
        """
        self._stop_requested = True
        if self._worker is not None and self._closer is None:
            self._closer = threading.Thread(target=self.teardown, name="tensor-optix-feed-closer", daemon=True)
            self._closer.start()

    def limit_window(self, env_steps: int) -> bool:
        """End the next window after so many steps, if nothing else has ended it (``ended_by`` is ``"cap"`` then)."""
        self._ends.limit_next(env_steps)
        return True

    def cut_episodes(self) -> None:
        """Close the feed: nobody will take its steps any more, whatever the end of the run still takes."""
        self.teardown()

    def give_way(self) -> None:
        """Let the feed's thread run, if it waits for the interpreter.

        A thread that computes with NumPy lets go of the interpreter all the time, but takes it back before
        another one has woken up, and then counts as one that need not be asked for it.
        """
        if self._worker is not None and self._worker.is_following:
            time.sleep(_GIVE_WAY_SECONDS)

    def teardown(self) -> None:
        """Close the source and end the feed's thread; what of the source blocks is left behind after 2 s."""
        with self._teardown_lock:
            if self._is_down:
                return
            self._is_down = True
            if self._worker is not None:
                self._worker.stop()
            deadline = time.monotonic() + _TEARDOWN_SECONDS
            closing = self._feed.close()
            if closing is not None:
                closing.join(_TEARDOWN_SECONDS)
                if closing.is_alive():
                    logger.warning("The data source's close() has not come back in time, and is left behind.")
            if self._worker is not None and not self._worker.join(max(0.0, deadline - time.monotonic())):
                logger.warning(
                    "The feed's thread still waits inside the data source. Give the source a close() or stop() that "
                    "interrupts its reads."
                )
            self._queue.clear()
            if self._is_prompt:
                self._is_prompt = False
                PROMPT_INTERPRETER.end()

    def state_dict(self) -> dict[str, Any]:
        """Return the number of the next window: all that a feed which went on meanwhile leaves to save."""
        return {"next_window_id": self._next_window_id}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Number windows on from where ``state_dict`` was taken."""
        self._next_window_id = int(state["next_window_id"])

    def _open_feed(self) -> StreamWorker:
        agent = self._acting_agent()
        if self._worker is not None and self._worker.is_following:
            with self._worker.actor.lent_to_loop():
                self._worker.actor.refresh()
        else:
            self._is_down = False
            if not self._is_prompt:
                self._is_prompt = True
                PROMPT_INTERPRETER.begin()
            self._queue = StepQueue(self._buffer_size, drop_oldest=self._drop_oldest)
            self._worker = StreamWorker(
                self._feed,
                LiveActor(agent),
                StepChecker(self.observation_space, self.action_space),
                self._queue,
                waits=self._make_waits() if self._reconnects_wanted else None,
                skip_bad_steps=self._skip_bad_steps,
                masks=FeedMasks(self._feed.source, self.action_space, self.action_mask),
            )
            self._worker.start()
        return self._worker

    def _make_waits(self) -> ReconnectWaits:
        return ReconnectWaits(self._max_reconnect_wait_seconds, derive_rng(self.seed, "live", "reconnect"))

    def _collect(self, worker: StreamWorker) -> tuple[LiveWindow, str]:
        """Take steps until the window ends, and tell what ended it."""
        window = LiveWindow()
        while not self._stop_requested:
            ended_by = None
            entry = self._queue.get(_POLL_SECONDS)
            if isinstance(entry, LiveStep):
                window.append(entry)
                ended_by = self._ends.after_step(window)
            elif entry is Signal.GAP:
                window.cut()
                ended_by = self._ends.after_gap(window)
            elif entry is Signal.END:
                break
            else:
                self._check_silence(worker)
            if ended_by is not None:
                return window, ended_by
        return window, "end"

    def _check_silence(self, worker: StreamWorker) -> None:
        limit = self._silence_timeout_seconds
        where, silent = worker.silence()
        if limit is None or silent <= limit:
            return
        what = "The data source has given nothing"
        if where != "its stream":
            what = f"The data source's {where} has not come back"
        raise StreamSilenceError(
            f"{what} for {silent:.1f} s; silence_timeout_seconds is {limit}. Check the feed, or pass a longer time-out "
            "(None: wait for ever)."
        )
