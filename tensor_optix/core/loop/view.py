"""The run as callbacks see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tensor_optix.core.backoff_scheduler import BackoffScheduler
from tensor_optix.core.base_agent import BaseAgent
from tensor_optix.core.base_pipeline import BasePipeline
from tensor_optix.core.budget import Ledger
from tensor_optix.core.judgement.alarm import AlarmResponse
from tensor_optix.core.judgement.champion import Incumbent
from tensor_optix.core.loop.recorder import Recorder
from tensor_optix.core.loop.run_info import pipeline_facts
from tensor_optix.core.loop.session import RunSession
from tensor_optix.core.loop.stopwatch import Stopwatch
from tensor_optix.core.protocols import original
from tensor_optix.core.run_view import Looks, RunView
from tensor_optix.core.types import LoopState, PolicySnapshot


@dataclass(eq=False)
class LiveView(RunView):
    """Reads a :class:`~tensor_optix.core.run_view.RunView` off the parts of the loop, whenever it is asked."""

    _agent: BaseAgent
    _pipeline: BasePipeline
    _recorder: Recorder
    _session: RunSession
    _ledger: Ledger
    _scheduler: BackoffScheduler
    _incumbent: Incumbent
    _alarm: AlarmResponse
    _stopwatch: Stopwatch
    _published: dict[str, tuple[int, float]] = field(default_factory=dict)
    _num_published: int = 0

    @property
    def run_dir(self) -> Path | None:
        """See ``RunView.run_dir``."""
        folder = self._recorder.run_dir
        return None if folder is None else Path(folder)

    @property
    def seed(self) -> int:
        """See ``RunView.seed``."""
        return self._session.seed

    @property
    def agent(self) -> Any:
        """See ``RunView.agent``."""
        return original(self._agent)

    @property
    def pipeline(self) -> Any:
        """See ``RunView.pipeline``."""
        return original(self._pipeline)

    @property
    def environment(self) -> Mapping[str, Any]:
        """See ``RunView.environment``."""
        return pipeline_facts(self._pipeline)

    @property
    def environment_state(self) -> Mapping[str, Any]:
        """See ``RunView.environment_state``."""
        return self._pipeline.environment_state()

    @property
    def state(self) -> LoopState:
        """See ``RunView.state``."""
        return self._scheduler.current_state

    @property
    def looks(self) -> Looks:
        """See ``RunView.looks``."""
        scheduler = self._scheduler
        return Looks(scheduler.consecutive_non_improvements, scheduler.plateau_threshold, scheduler.dormant_threshold)

    @property
    def champion(self) -> PolicySnapshot | None:
        """See ``RunView.champion``."""
        return self._incumbent.snapshot

    @property
    def champion_returns(self) -> tuple[float, ...]:
        """See ``RunView.champion_returns``."""
        return tuple(map(float, self._incumbent.track_record.returns))

    @property
    def cause(self) -> str | None:
        """See ``RunView.cause``."""
        cause = self._alarm.cause
        return None if cause is None else cause.value

    @property
    def windows(self) -> int:
        """See ``RunView.windows``."""
        return self._ledger.windows

    @property
    def env_steps(self) -> Mapping[str, int]:
        """See ``RunView.env_steps``."""
        return dict(self._ledger.steps)

    @property
    def seconds(self) -> float:
        """See ``RunView.seconds``."""
        return self._ledger.seconds

    @property
    def seconds_by_use(self) -> Mapping[str, float]:
        """See ``RunView.seconds_by_use``."""
        return dict(self._stopwatch.seconds)

    @property
    def seconds_before(self) -> float:
        """See ``RunView.seconds_before``."""
        return self._ledger.seconds_before

    @property
    def is_resumed(self) -> bool:
        """See ``RunView.is_resumed``."""
        return self._session.is_resumed

    @property
    def history(self) -> Mapping[str, list[Any]]:
        """See ``RunView.history``."""
        return self._recorder.history.columns()

    @property
    def share_used(self) -> float | None:
        """See ``RunView.share_used``."""
        budget, used = self._ledger.budget, self._ledger.used
        pairs = ((used.max_windows, budget.max_windows), (used.max_env_steps, budget.max_env_steps))
        shares = [min(1.0, use / limit) for use, limit in pairs if limit is not None and use is not None]
        return max(shares, default=None)

    @property
    def budget(self) -> str:
        """See ``RunView.budget``."""
        budget = self._ledger.budget
        limits = ((budget.max_env_steps, "env steps"), (budget.max_windows, "windows"))
        return ", ".join(f"{limit:,} {unit}" for limit, unit in limits if limit is not None)

    def publish(self, **values: float) -> None:
        """See ``RunView.publish``."""
        self._num_published += 1
        self._published.update({name: (self._num_published, float(value)) for name, value in values.items()})

    def news(self, since: int) -> tuple[int, dict[str, float]]:
        """See ``RunView.news``."""
        new = {name: value for name, (number, value) in self._published.items() if number > since}
        return self._num_published, new

    def note(self, sentence: str) -> None:
        """See ``RunView.note``."""
        self._recorder.notes.append(sentence)
