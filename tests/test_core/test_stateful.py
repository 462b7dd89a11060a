"""State that is declared: what comes back is equal, of the same kinds, and independent."""

import enum
import json
import math
from collections import deque
from dataclasses import dataclass
from typing import ClassVar

import pytest

from tensor_optix.core.stateful import Stateful


class Mood(enum.Enum):
    GOOD = "good"
    BAD = "bad"


@dataclass
class Pair:
    x: float
    y: float


class Inner(Stateful):
    _STATE = ("count",)

    def __init__(self):
        self.count = 0


class Outer(Stateful):
    _STATE = ("_best", "_scores", "_mood", "_inner", "_pair", "_pairs", "_by_name", "_unset")
    _STATE_KINDS: ClassVar = {"_pair": Pair, "_pairs": Pair}

    def __init__(self):
        self._best = -math.inf
        self._scores = deque([1.0], maxlen=3)
        self._mood = Mood.GOOD
        self._inner = Inner()
        self._pair = None
        self._pairs = []
        self._by_name = {}
        self._unset = None


@pytest.fixture
def changed():
    outer = Outer()
    outer._best, outer._mood, outer._inner.count = math.nan, Mood.BAD, 7
    outer._scores.extend([2.0, math.inf, 4.0])
    outer._pair, outer._pairs, outer._by_name = Pair(1.0, 2.0), [Pair(3.0, 4.0)], {"a": [1, 2]}
    return outer


def test_it_comes_back_in_kind(changed):
    other = Outer()
    other.load_state_dict(json.loads(json.dumps(changed.state_dict())))
    assert math.isnan(other._best)
    assert other._scores == deque([2.0, math.inf, 4.0])
    assert other._scores.maxlen == 3
    assert (other._mood, other._inner.count, other._unset) == (Mood.BAD, 7, None)
    assert (other._pair, other._pairs, other._by_name) == (Pair(1.0, 2.0), [Pair(3.0, 4.0)], {"a": [1, 2]})


def test_names_have_no_underscore_and_the_copy_is_independent(changed):
    state = changed.state_dict()
    assert set(state) == {name.removeprefix("_") for name in Outer._STATE}
    other = Outer()
    other.load_state_dict(state)
    state["by_name"]["a"].append(3)
    state["scores"].append(9.0)
    assert changed._by_name == other._by_name == {"a": [1, 2]}
    assert list(other._scores) == [2.0, math.inf, 4.0]


def test_what_is_missing_is_an_error(changed):
    state = changed.state_dict()
    del state["best"]
    with pytest.raises(KeyError, match="best"):
        Outer().load_state_dict(state)
