"""Live progress, driven by the hooks that the loop fires, with a clock of its own."""

from __future__ import annotations

import io
import time
from types import SimpleNamespace

import pytest
from rich.console import Console

from tensor_optix.core.types import EvalMetrics, HyperparamSet, LoopState, PolicySnapshot
from tensor_optix.reporting.progress import Progress, StepCounter


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def console(is_terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=is_terminal, width=120)


def metrics(window: int, score: float, env_steps: int | None = None) -> EvalMetrics:
    return EvalMetrics(score, {}, window, env_steps=env_steps)


def snapshot(window: int, score: float) -> PolicySnapshot:
    return PolicySnapshot("000001", metrics(window, score), HyperparamSet({}, 0), "weights", window)


class TestLines:
    def setup_method(self) -> None:
        self.clock = Clock()
        self.console = console(is_terminal=False)
        self.progress = Progress(self.console, line_seconds=5.0, clock=self.clock)
        self.source = self.progress.follow(SimpleNamespace(state=LoopState.ACTIVE))

    def lines(self) -> list[str]:
        return self.console.file.getvalue().splitlines()

    def test_one_line_every_few_seconds(self) -> None:
        self.progress.on_loop_start()
        for window in range(100):
            self.clock.now += 0.2
            self.progress.on_episode_end(window, metrics(window, float(window), 200 * (window + 1)))
        assert len(self.lines()) == 4  # the first window, then at 5.2, 10.2 and 15.2 seconds

    def test_a_line_says_everything(self) -> None:
        self.progress.on_loop_start()
        self.progress.on_improvement(snapshot(0, 150.0))
        self.source.state = LoopState.COOLING
        self.clock.now += 2.0
        self.progress.on_episode_end(0, metrics(0, 150.0, 200))
        self.clock.now += 10.0
        self.progress.on_episode_end(1, metrics(1, 181.25, 10_200))
        assert self.lines()[-1] == (
            "state COOLING  window 1  env steps 10,200  steps/s 1,000  score 181.2  champion 150  seconds 12"
        )

    def test_a_window_without_evidence_leaves_the_score(self) -> None:
        self.progress.on_loop_start()
        self.progress.on_episode_end(0, metrics(0, 7.0, 200))
        self.clock.now += 6.0
        self.progress.on_episode_end(1, None)
        assert "env steps 400" in self.lines()[-1]
        assert "score 7 " in self.lines()[-1]

    def test_the_end_is_shown_at_once(self) -> None:
        self.progress.on_loop_start()
        self.progress.on_episode_end(0, metrics(0, 7.0, 200))
        self.progress.on_dormant(0)
        self.progress.on_loop_stop()
        assert len(self.lines()) == 3

    def test_a_run_that_never_began_has_no_last_word(self) -> None:
        self.progress.on_loop_stop()
        assert self.lines() == []


class TestPanel:
    def test_a_panel_is_drawn_and_closed(self) -> None:
        clock, terminal = Clock(), console(is_terminal=True)
        progress = Progress(terminal, clock=clock)
        progress.follow(SimpleNamespace(state=LoopState.ACTIVE))
        progress.on_loop_start()
        progress.on_episode_end(0, metrics(0, 12.5, 200))
        progress.on_plateau(0, LoopState.COOLING)
        progress.on_degradation(1, metrics(1, 3.0, 400))
        clock.now += 1.0
        progress.on_episode_end(1, metrics(1, 3.0, 400))
        progress.on_loop_stop()
        drawn = terminal.file.getvalue()
        for text in ("state", "ACTIVE", "env steps", "400", "champion", "degradation, score 3"):
            assert text in drawn
        assert "\x1b[?25h" in drawn, "the cursor is visible again"

    @pytest.mark.parametrize("width", [40, 78, 79, 80, 160])
    def test_it_shows_everything_at_any_width(self, width: int) -> None:
        terminal = Console(file=io.StringIO(), force_terminal=True, color_system=None, width=width)
        progress = Progress(terminal, clock=Clock())
        progress.follow(SimpleNamespace(state=LoopState.ACTIVE))
        progress.on_loop_start()
        progress.on_episode_end(0, metrics(0, 12.5, 1_046_528))
        progress.on_improvement(snapshot(0, 499.5))
        progress.on_loop_stop()
        drawn = terminal.file.getvalue()
        for text in ("state", "ACTIVE", "window", "env steps", "1,046,528", "steps/s", "12.5", "499.5", "seconds"):
            assert text in drawn

    def test_the_cursor_waits_on_an_empty_line(self) -> None:
        terminal = console(is_terminal=True)
        progress = Progress(terminal)
        progress.on_loop_start()
        progress.on_episode_end(0, metrics(0, 12.5, 200))
        assert terminal.file.getvalue().rstrip(" ").endswith("\n"), "a terminal's own ^C would wrap behind a full line"
        progress.on_loop_stop()

    def test_most_windows_cost_next_to_nothing(self) -> None:
        progress = Progress(console(is_terminal=True))
        progress.follow(SimpleNamespace(state=LoopState.ACTIVE))
        progress.on_loop_start()
        scored = metrics(0, 1.0, 200)
        progress.on_episode_end(0, scored)
        start = time.perf_counter()
        for window in range(1, 101):
            progress._last_shown = time.perf_counter()
            progress.on_episode_end(window, scored)
        assert (time.perf_counter() - start) / 100 < 200e-6
        progress.on_loop_stop()


class TestStepCounter:
    def test_known_totals_are_taken_as_they_are(self) -> None:
        counter = StepCounter()
        for total in (200, 400, 600):
            counter.count_window(total)
        assert counter.total == 600

    @pytest.mark.parametrize("resumed_at", [0, 100_000])
    def test_untold_windows_are_counted_like_the_others(self, resumed_at: int) -> None:
        counter = StepCounter()
        for total in (200, 400, None, None):
            counter.count_window(None if total is None else resumed_at + total)
        assert counter.total == resumed_at + 800

    def test_before_anything_is_known_nothing_is_counted(self) -> None:
        counter = StepCounter()
        counter.count_window(None)
        assert counter.total == 0
