"""The whole run, saved beside the loop at barriers, and brought back."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tensor_optix.core.base_agent import BaseAgent
from tensor_optix.core.checkpoint_registry import CheckpointRegistry
from tensor_optix.core.judgement.champion import Incumbent
from tensor_optix.core.loop.run_info import structure_differences
from tensor_optix.core.loop.unsaved import NaNInState, UnsavedState
from tensor_optix.core.storage.agent_files import capture, has_own_state, restore
from tensor_optix.core.storage.checkpoint_slots import CheckpointSlots
from tensor_optix.core.storage.exact_json import to_exact
from tensor_optix.core.storage.plain_state import as_type, require_like
from tensor_optix.core.storage.stateful import WithState
from tensor_optix.core.types import AgentState
from tensor_optix.exceptions import CheckpointError, NotBoundError, StateMismatchError, TensorOptixError

logger = logging.getLogger(__name__)

SAVE_INTERVAL_SECONDS = 15.0
"""Time between saves. With the time to the next barrier it makes what a crash costs."""

MAX_LOSS_SECONDS = 60.0
"""More than this between two saves is said."""

MAX_COST = 0.01
"""Largest share of the wall time that saving may take; slower saves come less often."""

LAST_PART = "recorder"
"""Restored after all others, because it cuts the history file: that cannot be taken back."""


@dataclass(frozen=True)
class _Taken:
    """The whole run at one moment, in memory.

    Attributes:
        document: The loop.
        states: The agent and its champion.
        is_open: Whether a larger budget would have come to this, too.
        started: When it was taken, on the monotonic clock.
        seconds: How long that took.
    """

    document: dict[str, Any]
    states: dict[str, AgentState]
    is_open: bool
    started: float
    seconds: float


class RunCheckpoint:
    """Saves and restores every part that has a state.

    What is saved is taken at once, in memory, and written by a thread; a barrier that comes while
    the thread still writes is passed over. Which barriers are saved is decided by the clock and
    changes nothing of the run. What is *kept in mind* is written only if the run ends before the next.

    Args:
        slots: Where to write.
        agent: Its state, replay included, is part of the run's.
        incumbent: The champion is saved along: the registry may have pruned it by then.
        registry: Goes back to the snapshots it had.
        parts: Everything else, by name; None for a part that has no state, which is named as left out.
        sync_history: Puts on the disk what the run has recorded so far; called from a thread.
        describe: Says what the run is made of, see ``describe_structure``.
        unsaved: Watches what has a state and does not save it.
        nan_in_state: Knows where users' states held NaN.

    Attributes:
        failures: Why saving failed, each time.
        inexact: Why what :meth:`load` brought back is not all that was, in phrases.
        earlier: The same of the times before, when the saved run had itself been resumed.
    """

    def __init__(
        self,
        slots: CheckpointSlots,
        agent: BaseAgent,
        incumbent: Incumbent,
        registry: CheckpointRegistry,
        parts: Mapping[str, WithState | None],
        sync_history: Callable[[], None],
        describe: Callable[[], dict[str, Any]],
        unsaved: UnsavedState,
        nan_in_state: NaNInState,
    ) -> None:
        self._slots = slots
        self._sync_history = sync_history
        self._describe = describe
        self._unsaved = unsaved
        self._nan_in_state = nan_in_state
        self._agent = agent
        self._incumbent = incumbent
        self._registry = registry
        self._parts = {name: part for name, part in parts.items() if part is not None}
        self._left_out = {
            name: f"the {name} has no state_dict, so it starts afresh" for name in parts if name not in self._parts
        }
        self._cannot_be_saved = list(self._left_out.values())
        self._next_save = -float("inf")
        self._last_taken = float("inf")
        self._cost_seconds = 0.0
        self._was_said = False
        self._thread: threading.Thread | None = None
        self._in_mind: _Taken | None = None
        self._saved_windows: int | None = None
        self.failures: list[str] = []
        self.inexact: list[str] = []
        self.earlier: list[str] = []

    def save_if_due(self, own: Mapping[str, Any]) -> None:
        """Save, if enough time has passed and nothing is being written.

        Args:
            own: The loop's own numbers; ``own["is_open"]``: whether a larger budget would have come to this, too.
        """
        is_busy = self._thread is not None and self._thread.is_alive()
        if not is_busy and time.monotonic() >= self._next_save:
            self.save(own)

    def keep_in_mind(self, own: Mapping[str, Any]) -> None:
        """Take the state now, unless it was just saved; it is written if the run ends before the next such moment."""
        if own["windows"] != self._saved_windows and own["is_open"]:
            self._in_mind = self._take_now(own)

    def save(self, own: Mapping[str, Any]) -> None:
        """Take the state now and write it beside the loop."""
        self.flush()
        self._registry.retry()
        self._in_mind, self._saved_windows = None, own.get("windows")
        taken = self._take_now(own)
        if taken is not None:
            self._write_beside(taken)

    def save_what_is_in_mind(self) -> None:
        """Write what was kept in mind since the last save, beside the loop: the run is about to end."""
        taken, self._in_mind = self._in_mind, None
        if taken is not None:
            self.flush()
            self._write_beside(taken)

    def _take_now(self, own: Mapping[str, Any]) -> _Taken | None:
        started = time.monotonic()
        try:
            document, states = self._take(own)
        except NotBoundError:  # the agent has seen neither spaces nor an observation: there is nothing to save yet
            return None
        except Exception as error:
            self._complain(error)
            return None
        return _Taken(document, states, bool(own.get("is_open", True)), started, time.monotonic() - started)

    def _write_beside(self, taken: _Taken) -> None:
        self._say_if_far_apart(taken.started)
        self._set_next(taken.started, taken.seconds)
        self._thread = threading.Thread(target=self._write, args=(taken,), name="tensor-optix-checkpoint", daemon=True)
        self._thread.start()

    def not_saved(self) -> list[str]:
        """Return, in phrases, what is known so far not to be in a checkpoint."""
        return [
            *self._cannot_be_saved,
            *_all_of(part.not_saved for part in self._who_tells()),
            *self._unsaved.look(),
        ]

    def flush(self) -> None:
        """Wait until what was taken is written."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def newest(self) -> dict[str, Any] | None:
        """Return the loop's own numbers of the newest save; None where there is none that is whole."""
        self.flush()
        document = self._slots.newest_document()
        return None if document is None else _own_of(document)

    def load(self, budget: Mapping[str, Any], *, is_same_platform: bool = True) -> dict[str, Any] | None:
        """Bring every part back and return the loop's own numbers; None if nothing whole was found.

        Where another budget had its say already, what was saved before that is looked for.

        Args:
            budget: What the run may use from now on.
            is_same_platform: Whether machine and versions are those that the run was saved with.
                Only then will the run make its later snapshots again as they were, so that they
                may be replaced.

        Raises:
            CheckpointError: A part cannot take its state.
            TensorOptixError: The agent is another one than the one that was saved.
        """
        self.flush()

        def is_wanted(document: dict[str, Any]) -> bool:
            own = _own_of(document)
            return bool(own.get("is_open", True)) or own.get("budget") == budget

        self._slots.is_wanted = is_wanted
        found = self._slots.read()
        if found is None:
            return None
        document, states = found
        try:
            return self._give_back(document, states, is_same_platform, is_wanted(document))
        except TensorOptixError:
            raise
        except Exception as error:
            raise CheckpointError(
                f"The run saved in {self._slots.folder} cannot be taken up: {type(error).__name__}: {error}. "
                "It needs the same agent, environment and settings as when it was saved."
            ) from error

    def _give_back(
        self, document: dict[str, Any], states: dict[str, AgentState], is_same_platform: bool, is_wanted: bool
    ) -> dict[str, Any]:
        saved = {name: entry for name, entry in document["parts"].items() if self._fits(name, entry)}
        for name, entry in saved.items():
            if type(self._parts[name]).__module__.startswith("tensor_optix."):  # a user's own state may be anything
                part = self._parts[name]
                of_others, may_lack = part.state_of_others, part.state_may_lack
                require_like(entry["state"], part.state_dict(), name, of_others=of_others, may_lack=may_lack)
        self._note_what_is_inexact(document)
        if not is_wanted:
            self.inexact.append("the earlier budget had decided something, and nothing saved before that is whole")
        for name in ("champion", "agent"):  # the agent goes on from its own; that of the champion must fit as well
            if name in states:
                self._restore_agent(states[name], document.get("structure", {}))
        is_exact = is_same_platform and not self.inexact
        self._registry.rewind(int(document["last_snapshot_number"]), are_made_again=is_exact)
        champion = states.get("champion")
        if champion is not None and document["incumbent"]:
            self._registry.readmit(document["incumbent"], champion)
        self._incumbent.load_state_dict(document["incumbent"], champion)
        self._nan_in_state.load_state_dict(document.get("nan", {}))
        for name in sorted(saved, key=lambda name: name == LAST_PART):
            self._parts[name].load_state_dict(saved[name]["state"])
        self.inexact += _all_of(part.not_restored for part in self._who_tells())
        return _own_of(document)

    def _restore_agent(self, state: AgentState, structure: dict[str, Any]) -> None:
        """Restore the agent, which takes its state or not; what is otherwise than it was is said in either case."""
        differs = structure_differences(structure, self._describe())
        differs += self._agent.structure_differences(state)
        try:
            restore(self._agent, state)
        except StateMismatchError as error:
            if not differs:
                raise
            raise StateMismatchError(f"{error} This is what differs: {'; '.join(differs)}.") from error
        self.inexact += [difference for difference in differs if difference not in self.inexact]

    def _who_tells(self) -> list[BaseAgent | WithState]:
        return [self._agent, *self._parts.values()]

    def _fits(self, name: str, entry: dict[str, Any]) -> bool:
        return name in self._parts and entry["class"] == type(self._parts[name]).__qualname__

    def _note_what_is_inexact(self, document: dict[str, Any]) -> None:
        self.inexact = [str(reason) for reason in document["inexact"]]
        self.earlier = [str(reason) for reason in document.get("earlier", ())]
        for name, entry in document["parts"].items():
            if not self._fits(name, entry):
                now = type(self._parts[name]).__qualname__ if name in self._parts else "missing"
                self.inexact.append(f"the {name} was {entry['class']} and is {now}, so it starts afresh")
        new = set(self._parts) - set(document["parts"]) - set(document["left_out"])
        self.inexact += [f"the {name} is new, so it starts afresh" for name in sorted(new)]

    def _take(self, own: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, AgentState]]:
        left_out = dict(self._left_out)
        parts = {}
        for name, part in self._parts.items():
            try:
                parts[name] = {"class": type(part).__qualname__, "state": to_exact(part.state_dict(), name)}
            except Exception as error:
                left_out[name] = f"the state of the {name} cannot be saved, so it starts afresh ({error})"
        states = {"agent": capture(self._agent, "all")}
        self._cannot_be_saved = list(left_out.values())
        inexact = self.not_saved()
        if not has_own_state(self._agent):
            inexact.append("the agent has no get_state, so its random state and optimizer are not known")
        document = {
            "own": to_exact(dict(own), "own"),
            "parts": parts,
            "left_out": sorted(left_out),
            "inexact": inexact,
            "incumbent": to_exact(self._incumbent.state_dict(), "incumbent"),
            "nan": self._nan_in_state.state_dict(),
            "earlier": list(dict.fromkeys([*self.earlier, *self.inexact])),
            "structure": self._describe(),
            "last_snapshot_number": self._registry.last_number,
        }
        if self._incumbent.state is not None:
            states["champion"] = self._incumbent.state
        return document, states

    def _write(self, taken: _Taken) -> None:
        """Write what was taken, in a thread; what that costs the loop is at most the thread's own CPU time.

        The history and the snapshots that it builds on go first: a power cut must not leave it without them.
        """
        try:
            self._sync_history()
            self._registry.flush()
            self._slots.write(taken.document, taken.states, taken.is_open)
        except Exception as error:
            self._complain(error)
        self._set_next(taken.started, taken.seconds + time.thread_time())

    def _set_next(self, started: float, seconds: float) -> None:
        self._cost_seconds = seconds
        self._next_save = started + max(SAVE_INTERVAL_SECONDS, seconds / MAX_COST)

    def _say_if_far_apart(self, now: float) -> None:
        gap, self._last_taken = now - self._last_taken, now
        if gap <= MAX_LOSS_SECONDS or self._was_said:
            return
        self._was_said = True
        why = "the moments from which a run can go on come no more often: BatchPipeline(barrier_interval_steps=...)"
        if self._cost_seconds > MAX_COST * MAX_LOSS_SECONDS:
            why = f"one takes {self._cost_seconds:.1f} s and saving may take {MAX_COST:.0%} of the time"
        logger.warning(
            "A crash can cost this run more than a minute: %.0f s lie between two saves, because %s.", gap, why
        )

    def _complain(self, error: Exception) -> None:
        self.failures.append(str(error))
        logger.error("The run could not be saved; training goes on in memory. %s", error)


def _all_of(told: Iterable[Sequence[str] | None]) -> list[str]:
    """Return all phrases of several parts."""
    return [str(phrase) for phrases in told for phrase in phrases or ()]


_OWN = {"seed": int, "windows": int, "run_number": int, "budget": dict[str, int | None], "is_open": bool}
"""What the loop says of itself; older checkpoints say less."""


def _own_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the loop's own numbers.

    Raises:
        StateMismatchError: They are none.
    """
    own: dict[str, Any] = {"seed": None, **as_type(document.get("own"), dict[str, Any], "run")}
    for name in _OWN.keys() & own.keys():
        as_type(own[name], _OWN[name], f"run[{name!r}]")
    if min(own[name] for name in ("seed", "windows", "run_number") if name in own) < 0:
        raise StateMismatchError(f"The saved run counts below zero: {own!r:.200}.")
    return own
