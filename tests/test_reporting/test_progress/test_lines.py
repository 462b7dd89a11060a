import io
import json

import pytest
from rich.console import Console
from statuses import BEGINNING, WAITING

from tensor_optix.reporting.progress.lines import Lines, json_line, text_line


def test_a_line_says_everything():
    assert text_line(WAITING) == (
        "CartPole-v1 x 8  waiting for proof: 7 of 20 looks  window 340  env steps 1,046,528  9,120 steps/s  "
        "score 312.4  champion 441.5 in training, greedy 497.3 (20 episodes)  budget 52% of 2,000,000 env steps  "
        "time 1 min 15 s, about 1 min 10 s left  window 88: alarm, the score fell to 12.3; cause: world changed"
    )
    assert text_line(BEGINNING) == "CartPole-v1  starting  window 0  env steps 0  score -  champion -  time 0 s"


def test_a_line_of_json_has_null_where_nothing_is_known():
    row = json.loads(json_line(WAITING))
    assert (row["state"], row["doing"], row["env_steps"]) == ("cooling", "waiting for proof: 7 of 20 looks", 1_046_528)
    assert row["champion_greedy"] == pytest.approx(497.3)
    row = json.loads(json_line(BEGINNING))
    assert row["steps_per_second"] is row["score"] is row["champion_greedy"] is row["share_used"] is None


def test_lines_are_neither_broken_nor_marked_up():
    console = Console(file=io.StringIO(), width=40)
    lines = Lines(console, lambda: WAITING)
    lines.open()
    lines.show()
    lines.close()
    assert console.file.getvalue().splitlines() == [text_line(WAITING)] * 3
    console = Console(file=io.StringIO(), width=40)
    Lines(console, lambda: WAITING, as_json=True).open()
    assert json.loads(console.file.getvalue())["window"] == 340
