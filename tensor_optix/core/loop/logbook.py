"""Keeps a run's logbook: what was decided, when, and where the time went."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from tensor_optix.core.callbacks import LoopCallback
from tensor_optix.core.run_result import RunResult
from tensor_optix.core.run_view import RunView
from tensor_optix.core.storage.logbook_file import BEGAN, append_entry
from tensor_optix.core.types import EpisodeData, EvalMetrics, LoopState, PolicySnapshot

logger = logging.getLogger(__name__)

TIME, ENDED, CHAMPION, ALARM, STATE, HYPERPARAMS = "time", "ended", "champion", "alarm", "state", "hyperparameters"
"""Kinds of entries, beside those of ``LoopCallback.on_decision``."""

_FIRST_SECONDS, _SHARE = 0.05, 0.001
"""Of two entries of time, the later one comes so much later, or so large a share of the time before it: a run of a
month has some 20,000."""


class Logbook(LoopCallback):
    """Writes ``logbook.jsonl`` in the run's folder, if it has one. Where it cannot, that is logged once."""

    def __init__(self) -> None:
        self._run: RunView | None = None
        self._next_seconds = 0.0
        self._has_begun = self._has_failed = False

    def on_run_start(self, run: RunView) -> None:
        """See ``LoopCallback``."""
        self._run, self._next_seconds = run, 0.0
        self._has_begun = self._has_failed = False

    def on_loop_start(self) -> None:
        """See ``LoopCallback``."""
        self._has_begun = True
        self._write(BEGAN)

    def on_window(self, row: Mapping[str, Any], window: EpisodeData) -> None:
        """See ``LoopCallback``."""
        if self._run is not None and self._run.seconds >= self._next_seconds:
            self._note_time(TIME)

    def on_improvement(self, snapshot: PolicySnapshot) -> None:
        """See ``LoopCallback``."""
        returns = [] if self._run is None else list(self._run.champion_returns)
        greedy = {} if not returns else {"greedy_mean": sum(returns) / len(returns), "greedy_episodes": len(returns)}
        score = snapshot.eval_metrics.primary_score
        self._write(CHAMPION, snapshot=snapshot.snapshot_id, window=snapshot.episode_id, score=score, **greedy)

    def on_degradation(self, episode_id: int, eval_metrics: EvalMetrics) -> None:
        """See ``LoopCallback``."""
        self._write(ALARM, window=episode_id, score=eval_metrics.primary_score)

    def on_plateau(self, episode_id: int, state: LoopState) -> None:
        """See ``LoopCallback``."""
        self._write(STATE, state=state.value)

    def on_dormant(self, episode_id: int) -> None:
        """See ``LoopCallback``."""
        self._write(STATE, state=LoopState.DORMANT.value)

    def on_hyperparam_update(self, old_params: dict[str, Any], new_params: dict[str, Any]) -> None:
        """See ``LoopCallback``."""
        changed = {name: value for name, value in new_params.items() if _is_other(old_params.get(name), value)}
        self._write(HYPERPARAMS, values=changed)

    def on_decision(self, kind: str, facts: Mapping[str, Any]) -> None:
        """See ``LoopCallback``."""
        self._write(kind, **facts)

    def on_run_end(self, result: RunResult) -> None:
        """See ``LoopCallback``; what was refused before its first window leaves the folder as it was."""
        if self._has_begun:
            self._note_time(ENDED)

    def _note_time(self, kind: str) -> None:
        if self._run is not None:
            seconds = self._run.seconds
            self._next_seconds = seconds + max(_FIRST_SECONDS, _SHARE * seconds)
            self._write(kind, spent={what: round(spent, 4) for what, spent in self._run.seconds_by_use.items()})

    def _write(self, kind: str, **facts: Any) -> None:
        run = self._run
        if run is None or run.run_dir is None:
            return
        when = {"windows": run.windows, "env_steps": run.env_steps["training"], "seconds": round(run.seconds, 4)}
        try:
            append_entry(run.run_dir, {"kind": kind, **when, **facts})
        except OSError as error:
            if not self._has_failed:
                self._has_failed = True
                logger.warning("The logbook in %s cannot be written to: %s.", run.run_dir, error.strerror or error)


def _is_other(before: Any, now: Any) -> bool:
    try:
        return bool(before != now)
    except ValueError:  # arrays
        return True
