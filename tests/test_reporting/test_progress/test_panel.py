import io
import re
import signal
import time

import pytest
from rich.console import Console
from statuses import ALL_THAT_MATTERS, BEGINNING, WAITING

from tensor_optix.reporting.progress.panel import TerminalPanel, interrupts_put_off, panel_of


def console(width, **arguments):
    return Console(file=io.StringIO(), force_terminal=True, color_system=None, width=width, **arguments)


def drawn(status, width):
    terminal = console(width)
    terminal.print(panel_of(status, terminal))
    return terminal.file.getvalue()


@pytest.mark.parametrize("width", [40, 60, 79, 80, 100, 160])
def test_nothing_that_matters_is_cut_at_any_width(width):
    text = drawn(WAITING, width)
    assert max(map(len, text.splitlines())) <= width
    title, *body = text.splitlines()
    shown = re.sub(r"\s+", "", title + "".join(line[1:-1] for line in body))
    lines = [line[1:-1] for line in body]
    if width < 80:  # below one another: what is broken goes on in the next line
        for fact in ALL_THAT_MATTERS:
            assert re.sub(r"\s+", "", fact) in shown, (fact, text)
    else:
        for fact in ALL_THAT_MATTERS:
            assert fact in title or any(fact in line for line in lines), (fact, text)
    assert "…" not in text


def test_side_by_side_it_takes_few_lines():
    assert len(drawn(WAITING, 80).splitlines()) == 8
    assert len(drawn(BEGINNING, 80).splitlines()) == 6


def test_scores_are_a_sparkline_unless_the_terminal_has_no_such_letters():
    assert "▁" in drawn(WAITING, 80)
    terminal = Console(file=io.TextIOWrapper(io.BytesIO(), "ascii", errors="replace"), force_terminal=True, width=80)
    terminal.print(panel_of(WAITING, terminal))
    terminal.file.flush()
    assert "312.4" in terminal.file.buffer.getvalue().decode("ascii")


def test_it_is_drawn_at_once_and_the_cursor_waits_on_an_empty_line():
    terminal = console(80)
    panel = TerminalPanel(terminal, lambda: BEGINNING, 100.0)
    began = time.perf_counter()
    panel.open()
    assert "starting" in terminal.file.getvalue()
    assert time.perf_counter() - began < 1.0
    assert terminal.file.getvalue().rstrip(" ").endswith("\n"), "a terminal's own ^C would wrap behind a full line"
    panel.close()
    assert "\x1b[?25h" in terminal.file.getvalue(), "the cursor is visible again"


def test_the_clock_goes_on_while_the_loop_is_busy():
    num_drawn = []
    panel = TerminalPanel(console(80), lambda: num_drawn.append(1) or BEGINNING, 0.02)
    panel.open()
    deadline = time.monotonic() + 30
    while len(num_drawn) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    panel.close()
    assert len(num_drawn) >= 4


def test_drawing_takes_a_small_share_of_the_time_however_long_it_takes():
    num_drawn = []

    def slow():
        num_drawn.append(1)
        time.sleep(0.05)
        return BEGINNING

    panel = TerminalPanel(console(80), slow, 0.01)
    panel.open()
    time.sleep(1.0)
    seen = len(num_drawn)
    panel.close()
    assert seen <= 6  # without a rest it would be some sixteen; the end does not wait for it


def test_an_interrupt_that_comes_while_something_is_drawn_is_felt_afterwards():
    felt = []
    before = signal.signal(signal.SIGINT, lambda *arguments: felt.append("now"))
    try:
        with interrupts_put_off():
            signal.raise_signal(signal.SIGINT)
            assert felt == []
        assert felt == ["now"]
    finally:
        signal.signal(signal.SIGINT, before)
