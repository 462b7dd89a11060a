import io
import json
import re
import time

import pytest
from logged_runs import Crash, CrashAt, RowKeeper, crashed_and_resumed, make_optimizer
from loop_fakes import make_loop
from rich.console import Console

from tensor_optix.exceptions import InvalidArgumentError
from tensor_optix.reporting.progress import Progress
from tensor_optix.testing.fakes import PlayablePipeline


def console(is_terminal=False):
    return Console(file=io.StringIO(), force_terminal=is_terminal, color_system=None, width=80)


class Clock:
    """Moves on by a second whenever a window ended."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Ticking(RowKeeper):
    def __init__(self, clock, seconds=1.0):
        super().__init__()
        self.clock, self.seconds = clock, seconds

    def on_window(self, row, window):
        self.clock.now += self.seconds


def lines_of(tmp_path, *callbacks, line_seconds=5.0, style="lines", clock=None, **arguments):
    clock = clock or Clock()
    out = console()
    progress = Progress(out, line_seconds=line_seconds, clock=clock, style=style)
    result = make_optimizer(tmp_path, [Ticking(clock), progress, *callbacks], **arguments).run()
    return out.file.getvalue().splitlines(), result


def test_a_line_at_once_then_every_few_seconds_then_the_report_then_the_result(tmp_path):
    lines, result = lines_of(tmp_path, max_env_steps=None, max_episodes=12)
    doing = [line.split("  ")[1] for line in lines]
    assert doing == [
        "starting",
        "learning",
        "learning",
        "learning",
        "playing 3 episodes for the report",
        "ended: budget",
    ]
    assert [line.split("  ")[2] for line in lines] == [f"window {number}" for number in (0, 1, 6, 11, 12, 12)]
    assert "budget 50% of 12 windows" in lines[2]
    assert "  100 steps/s  " in lines[2]
    assert "about 6 s left" in lines[2]
    assert "(3 episodes)" in lines[-1]
    assert lines[-1].endswith(result.explanation)


def test_lines_of_json(tmp_path):
    lines, _ = lines_of(tmp_path, style="json", max_env_steps=None, max_episodes=12)
    rows = [json.loads(line) for line in lines]
    assert [row["window"] for row in rows] == [0, 1, 6, 11, 12, 12]
    assert rows[-1]["env_steps"] == 1200
    assert rows[-1]["champion_episodes"] == 3


def test_an_error_is_the_last_word(tmp_path):
    progress = Progress(out := console(), style="lines")
    pipeline = PlayablePipeline(lambda i: 1 / (3 - i), lambda: 1.0)
    loop, _ = make_loop(tmp_path, pipeline, callbacks=[progress])
    with pytest.raises(ZeroDivisionError):
        loop.run()
    last = out.file.getvalue().splitlines()[-1]
    assert last.startswith("ended: error  ")
    assert last.endswith("ZeroDivisionError: division by zero")


def test_an_alarm_is_told_with_its_cause(tmp_path):
    progress = Progress(out := console(), style="lines", line_seconds=0.0)
    pipeline = PlayablePipeline(lambda i: (100.0 if i < 60 else 5.0) + i % 3, lambda: 100.0, barrier_every=5)
    loop, recorder = make_loop(tmp_path, pipeline, callbacks=[progress], max_episodes=100)
    loop.run()
    assert recorder.count("on_degradation") >= 1
    assert "alarm, the score fell to" in out.file.getvalue()
    assert re.search("; cause: (world changed|policy damaged|false alarm)", out.file.getvalue())


def test_a_panel_opens_within_a_second_and_closes(tmp_path):
    terminal = console(is_terminal=True)
    progress = Progress(terminal)

    class Looking(RowKeeper):
        def on_run_start(self, run):
            self.began, self.first = time.perf_counter(), terminal.file.getvalue()

    looking = Looking()
    result = make_optimizer(tmp_path, [progress, looking], max_env_steps=None, max_episodes=3).run()
    assert "starting" in looking.first
    assert "CartPole-v1" in looking.first
    drawn = terminal.file.getvalue()
    assert "ended: budget" in drawn
    assert result.explanation[:30] in drawn
    assert "\x1b[?25h" in drawn, "the cursor is visible again"


def test_something_is_shown_before_the_run_where_that_is_asked_for():
    progress = Progress(out := console(), style="lines")
    progress.open("CartPole-v1", "loading TensorFlow")
    assert (
        out.file.getvalue() == "CartPole-v1  loading TensorFlow  window 0  env steps 0  score -  champion -  time 0 s\n"
    )


def test_what_was_shown_before_goes_on_in_the_run(tmp_path):
    progress = Progress(out := console(), style="lines", line_seconds=1000.0)
    with progress.ahead("CartPole-v1 x 8", "loading TensorFlow"):
        optimizer = make_optimizer(tmp_path, [progress], max_env_steps=None, max_episodes=2)
    optimizer.run()
    doing = [line.split("  ")[1] for line in out.file.getvalue().splitlines()]
    assert doing[:2] == ["loading TensorFlow", "starting"]
    assert doing[-1] == "ended: budget"


def test_where_getting_ready_fails_the_panel_is_closed():
    terminal = console(is_terminal=True)
    with pytest.raises(ZeroDivisionError), Progress(terminal).ahead("CartPole-v1", "loading TensorFlow"):
        _ = 1 / 0
    assert terminal.file.getvalue().count("\x1b[?25h") == 1


def test_a_panel_is_closed_however_a_run_ends(tmp_path):
    terminal = console(is_terminal=True)
    with pytest.raises(Crash):
        make_optimizer(tmp_path, [Progress(terminal), CrashAt(2)]).run()
    assert terminal.file.getvalue().count("\x1b[?25h") == 1


def test_a_second_run_opens_it_again(tmp_path):
    progress = Progress(out := console(), style="lines", line_seconds=1000.0)
    optimizer = make_optimizer(tmp_path, [progress], max_env_steps=None, max_episodes=2)
    optimizer.run()
    optimizer.run()
    assert [line.split("  ")[2] for line in out.file.getvalue().splitlines()] == [
        *("window 0", "window 1", "window 2", "window 2"),
        *("window 2", "window 3", "window 4", "window 4"),
    ]


def test_a_resumed_run_has_the_scores_of_before(tmp_path, save_at_every_barrier):
    kept = []

    def callbacks():
        kept.append(Progress(console(), style="lines"))
        return [kept[-1]]

    result = crashed_and_resumed(tmp_path, callbacks)
    scores = [score for score in result.history["score"] if score is not None]
    assert list(kept[-1]._scores) == scores


def test_most_windows_cost_next_to_nothing(tmp_path):
    keeper = RowKeeper()
    make_optimizer(tmp_path, [keeper], max_env_steps=None, max_episodes=2).run()
    progress = Progress(console(is_terminal=True))
    progress.on_run_start(keeper.run)
    start = time.perf_counter()
    for _ in range(200):
        progress.on_window(keeper.rows[-1], keeper.windows[-1])
    assert (time.perf_counter() - start) / 200 < 200e-6
    progress.on_loop_stop()


def test_an_unknown_style_is_refused():
    with pytest.raises(InvalidArgumentError, match=r"style.*'panel'"):
        Progress(style="panels")


def test_what_is_followed_is_handed_back():
    assert Progress(console()).follow(7) == 7
