"""State that is declared: what comes back is equal, of the same kinds, and independent."""

import dataclasses
import enum
import json
import math
from collections import Counter, deque
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from tensor_optix.core.storage.exact_json import from_exact, to_exact
from tensor_optix.core.storage.stateful import (
    Stateful,
    decode_hyperparams,
    decode_metrics,
    encode_hyperparams,
    encode_metrics,
)
from tensor_optix.core.types import EvalMetrics, HyperparamSet
from tensor_optix.exceptions import CheckpointError


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
    with pytest.raises(CheckpointError, match="The saved `Outer` lacks best"):
        Outer().load_state_dict(state)


def test_what_a_run_of_before_was_saved_without_stays_as_it_is():
    class Grown(Stateful):
        _STATE = ("_num_seen", "_highest")
        state_may_lack = ("highest",)

        def __init__(self):
            self._num_seen, self._highest = 0, 7.0

    grown = Grown()
    grown.load_state_dict({"num_seen": 3})
    assert grown.state_dict() == {"num_seen": 3, "highest": 7.0}
    grown.load_state_dict({"num_seen": 4, "highest": 9.0})
    assert grown.state_dict() == {"num_seen": 4, "highest": 9.0}
    with pytest.raises(CheckpointError, match="The saved `Grown` lacks num_seen"):
        grown.load_state_dict({"highest": 9.0})


class Known(Stateful):
    _STATE = ("_latest", "_history", "_params", "_level", "_pairs", "_mood", "_counts")
    _STATE_KINDS: ClassVar = {
        "_latest": EvalMetrics,
        "_history": EvalMetrics,
        "_params": HyperparamSet,
        "_pairs": list[tuple[float, int]],
    }

    def __init__(self):
        self._latest = self._params = None
        self._history = deque(maxlen=2)
        self._level, self._pairs, self._mood = math.nan, [], Mood.GOOD
        self._counts = Counter()


def test_scores_and_hyperparameters_come_back_as_they_were():
    one, other = Known(), Known()
    one._params = HyperparamSet({"rate": 0.1, "name": "x"}, 3, timestamp=5.0)
    one._latest = EvalMetrics(math.nan, {"loss": 1.0}, 4, timestamp=6.0, hyperparams=one._params, num_episodes=2)
    one._history.extend([EvalMetrics(score, {}, 0, timestamp=0.0) for score in (1.0, 2.0, 3.0)])
    one._pairs, one._level = [(1.0, 2)], 0.5
    other.load_state_dict(from_exact(json.loads(json.dumps(to_exact(one.state_dict(), "known")))))
    assert (other._params, other._latest.hyperparams) == (one._params, one._params)
    assert math.isnan(other._latest.primary_score)
    assert other._latest.num_episodes == 2
    assert [metrics.primary_score for metrics in other._history] == [2.0, 3.0]
    assert other._history.maxlen == 2
    assert (other._pairs, other._level) == ([(1.0, 2)], 0.5)


def test_what_no_file_can_hold_of_hyperparameters_is_named_and_left_out():
    plain = encode_hyperparams(HyperparamSet({"rate": 0.1, "schedule": print}, 0))
    assert (plain["params"], plain["left_out"]) == ({"rate": 0.1}, ["schedule"])
    assert decode_hyperparams(plain).params == {"rate": 0.1}


def test_states_of_before_are_read():
    state = {**Known().state_dict(), "mood": "BAD", "level": None, "counts": {"a": 2}}
    known = Known()
    known.load_state_dict(state)
    assert known._mood is Mood.BAD, "by name, where it is written by value now"
    assert math.isnan(known._level), "None stood for NaN"
    assert known._counts["b"] == 0, "a dict of the kind that is there"


def test_nothing_changes_where_something_cannot_be(changed):
    before = Outer().state_dict()
    for name, wrong in {"scores": "many", "mood": 3, "inner": [1], "by_name": 5}.items():
        other = Outer()
        with pytest.raises(CheckpointError, match=f"The saved `Outer.'{name}'.` is"):
            other.load_state_dict({**changed.state_dict(), name: wrong})
        assert other.state_dict() == before


PARAMS = HyperparamSet({"lr": np.float32(0.1), "betas": (0.9, 0.99), "name": "run", "w": np.arange(3)}, 5, 7.25)


def through_json(plain):
    return from_exact(json.loads(json.dumps(to_exact(plain, "it"), allow_nan=False)))


@pytest.mark.parametrize("score", [1.5, -1e300, math.nan, np.float32(0.1)])
@pytest.mark.parametrize("hyperparams", [None, PARAMS])
def test_a_score_comes_back(score, hyperparams):
    metrics = EvalMetrics(score, {"loss": 0.5, "by_layer": [1, 2]}, 3, 12.5, hyperparams, np.int64(400), 7)
    back = decode_metrics(through_json(encode_metrics(metrics)))
    np.testing.assert_equal(float(back.primary_score), float(score))
    assert (back.metrics, back.episode_id, back.timestamp) == (metrics.metrics, 3, 12.5)
    assert (back.env_steps, back.num_episodes) == (400, 7)
    assert (back.hyperparams is None) == (hyperparams is None)


def test_a_score_that_a_file_knows_as_null_was_none():
    plain = {**encode_metrics(EvalMetrics(1.0, {}, 0)), "primary_score": None}
    assert math.isnan(decode_metrics(plain).primary_score)


def test_hyperparameters_come_back_in_their_types():
    back = decode_hyperparams(through_json(encode_hyperparams(PARAMS)))
    assert (back.episode_id, back.timestamp) == (5, 7.25)
    assert type(back.params["lr"]) is np.float32
    assert back.params["betas"] == (0.9, 0.99)
    np.testing.assert_array_equal(back.params["w"], np.arange(3))
    assert list(back.params) == list(PARAMS.params)


def test_what_was_encoded_is_independent():
    given = HyperparamSet({"units": [64, 64]}, 0)
    plain = encode_hyperparams(given)
    given.params["units"].append(1)
    assert plain["params"]["units"] == [64, 64]


@pytest.mark.parametrize("name", [f.name for f in dataclasses.fields(EvalMetrics) if f.name != "primary_score"])
def test_a_damaged_field_is_named_with_its_source(name):
    plain = {**encode_metrics(EvalMetrics(1.0, {}, 0)), name: ["damaged"]}
    with pytest.raises(CheckpointError, match=rf"here: `{name}` is \['damaged'\], which it cannot be"):
        decode_metrics(plain, "here")
