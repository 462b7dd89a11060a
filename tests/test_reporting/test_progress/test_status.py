import math

import pytest
from statuses import BEGINNING, WAITING

from tensor_optix.core.run_view import Looks
from tensor_optix.core.types import LoopState
from tensor_optix.reporting.progress.status import (
    SPARKS,
    Status,
    duration,
    number,
    playing_in_words,
    sparkline,
    state_in_words,
)


@pytest.mark.parametrize(
    ("state", "without_gain", "words"),
    [
        (LoopState.ACTIVE, 0, "learning"),
        (LoopState.ACTIVE, 3, "learning, no gain in 3 looks"),
        (LoopState.COOLING, 7, "waiting for proof: 7 of 20 looks"),
        (LoopState.DORMANT, 20, "trained: nothing more to gain"),
        (LoopState.WATCHDOG, 0, "watching for a drop"),
    ],
)
def test_states_are_said_in_plain_words(state, without_gain, words):
    assert state_in_words(state, Looks(without_gain, 5, 20)) == words


def test_what_is_played_is_said():
    assert playing_in_words("report", 100) == "playing 100 episodes for the report"
    assert playing_in_words("else", 3) == "3 greedy episodes are played"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (59.4, "59 s"), (60, "1 min"), (600, "10 min"), (7265, "2 h 1 min"), (3 * 86_400, "3 days")],
)
def test_durations(seconds, words):
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("value", "text"), [(None, "-"), (312.44, "312.4"), (-0.00123, "-0.00123"), (12_345.6, "12,346")]
)
def test_numbers(value, text):
    assert number(value) == text


def test_a_sparkline_goes_from_the_lowest_to_the_highest_bar():
    assert sparkline(range(100), 8) == SPARKS
    assert sparkline([0, 10, 0, 10, 5, 5], 3) == SPARKS[0] * 3  # means of pairs: all the same
    assert sparkline([1, 2], 10) == "▁█"
    assert sparkline([5.0], 10) == ""
    assert sparkline([1.0, math.inf], 10) == "▁▁"


def test_facts_in_words():
    assert WAITING.budget_in_words == "52% of 2,000,000 env steps"
    assert WAITING.time_in_words == "1 min 15 s, about 1 min 10 s left"
    assert WAITING.steps_in_words == "1,046,528 (9,120/s)"
    assert WAITING.champion_in_words == "441.5 in training, greedy 497.3 (20 episodes)"
    assert BEGINNING.budget_in_words == "none: until nothing more is gained"
    assert (BEGINNING.steps_in_words, BEGINNING.champion_in_words, BEGINNING.time_in_words) == ("0", "-", "0 s")
    assert Status(champion=3.0).champion_in_words == "3 in training, greedy not yet played"
