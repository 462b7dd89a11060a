"""What every hyperparameter optimizer with bounds has in common: bounds, seeds, decisions, states."""

import json
import logging

import numpy as np
import pytest

from tensor_optix.core.search_space import ParamSpec
from tensor_optix.core.types import EvalMetrics, HyperparamSet
from tensor_optix.exceptions import InvalidArgumentError, InvalidTypeError, StateMismatchError
from tensor_optix.optimizers.bounded_optimizer import BoundedOptimizer, Decision, as_specs, is_same

HISTORY = [EvalMetrics(1.0, {}, episode_id=4)]


class Doubles(BoundedOptimizer):
    """Doubles what is tuned, within bounds, and notes each value that it was shown."""

    def __init__(self, *arguments, **settings):
        super().__init__(*arguments, **settings)
        self.shown = []

    def _suggest(self, values, history):
        self.shown.append(dict(values))
        found = {name: self.param_bounds[name].clip(2.0 * value) for name, value in values.items()}
        for name, value in found.items():
            self._record(name, values[name], value, "twice as much", is_move=True)
        return found

    def _names_in(self, state):
        return state.get("names", [])

    def on_improvement(self, metrics):
        pass

    def on_plateau(self, metrics_history):
        pass


def suggest(optimizer, **params):
    return optimizer.suggest(HyperparamSet(params, 0), HISTORY).params


def test_only_what_has_bounds_that_leave_room_is_tuned():
    optimizer = Doubles({"a": (0.0, 10.0), "b": (1.0, 1.0)})
    assert suggest(optimizer, a=3.0, b=1.0, c=7.0) == {"a": 6.0, "b": 1.0, "c": 7.0}
    assert optimizer.shown == [{"a": 3.0}]


def test_no_bounds_nothing_to_tune():
    assert Doubles().tunes_nothing
    assert suggest(Doubles(), a=3.0) == {"a": 3.0}


def test_the_agents_bounds_are_taken_where_they_were_asked_for():
    asked, not_asked = Doubles("agent"), Doubles({"a": (0.0, 10.0)})
    for optimizer in (asked, not_asked):
        optimizer.bind_bounds({"b": (0.0, 10.0)})
    assert list(asked.param_bounds) == ["b"]
    assert list(not_asked.param_bounds) == ["a"]


def test_whole_numbers_stay_whole():
    found = suggest(Doubles({"epochs": ParamSpec(1, 30, "log", integer=True)}), epochs=4)
    assert found == {"epochs": 8}
    assert type(found["epochs"]) is int


def test_a_name_that_the_agent_does_not_know_is_said_once(caplog):
    optimizer = Doubles({"lr": (0.0, 1.0), "a": (0.0, 10.0)})
    with caplog.at_level(logging.WARNING):
        assert suggest(optimizer, a=1.0) == {"a": 2.0}
        suggest(optimizer, a=1.0)
    assert [record.getMessage() for record in caplog.records] == [
        "`lr` has bounds but is no hyperparameter of this agent, which has ['a']; it is not tuned."
    ]


def test_a_value_is_inside_but_for_the_rounding_of_a_float32():
    optimizer = Doubles({"a": (0.1, 1.0)})
    assert suggest(optimizer, a=float(np.float32(0.1)))["a"] == pytest.approx(0.2)
    assert optimizer.shown[0]["a"] >= 0.1
    with pytest.raises(InvalidArgumentError, match=r"`a` must lie inside its bounds \(0.1, 1\). Received: 0.09"):
        suggest(optimizer, a=0.09)
    with pytest.raises(InvalidArgumentError, match="Received: nan"):
        suggest(optimizer, a=float("nan"))
    with pytest.raises(InvalidTypeError, match=r"`a` has bounds, so it must be a number. Received: True"):
        suggest(optimizer, a=True)


@pytest.mark.parametrize(
    ("bounds", "error", "message"),
    [
        ("Agent", InvalidArgumentError, "must be a mapping, None or 'agent'. Received: 'Agent'"),
        ([("a", 1.0)], InvalidTypeError, "Bounds must be a mapping"),
        ({"a": (2.0, 1.0)}, InvalidArgumentError, "low <= high"),
        ({"a": 3.0}, InvalidTypeError, "ParamSpec or a pair"),
    ],
)
def test_bounds_that_are_none(bounds, error, message):
    with pytest.raises(error, match=message):
        Doubles(bounds)


def test_a_seed_of_its_own_is_kept():
    def drawn(seed, given):
        optimizer = Doubles(seed=seed)
        optimizer.set_seed(given)
        return optimizer.state_dict()["rng"]

    assert drawn(1, 2) == drawn(1, 3)
    assert drawn(None, 2) != drawn(None, 3)
    assert drawn(None, 2) == drawn(None, 2)


def test_decisions_are_kept_and_handed_out_once():
    optimizer = Doubles({"a": (0.0, 1000.0)})
    suggest(optimizer, a=1.0)
    (decision,) = optimizer.pop_decisions()
    assert decision == Decision(4, "a", 1.0, 2.0, "twice as much", is_move=True)
    assert str(decision) == "a 1 -> 2: twice as much"
    assert optimizer.pop_decisions() == []
    assert optimizer.decisions == [decision]
    assert str(Decision(1, "", None, None, "nothing moved")) == "nothing moved"


def test_a_state_of_another_kind_or_of_unknown_parameters_is_refused():
    optimizer = Doubles({"a": (0.0, 1.0)})
    state = json.loads(json.dumps(optimizer.state_dict()))
    Doubles({"a": (0.0, 1.0)}).load_state_dict(state)
    with pytest.raises(StateMismatchError, match=r"must be one of Doubles. Received: one of 'Other'"):
        optimizer.load_state_dict({**state, "kind": "Other"})
    with pytest.raises(StateMismatchError, match=r"The state holds \['b'\], but there are no bounds"):
        optimizer.load_state_dict({**state, "names": ["a", "b"]})


def test_a_restored_optimizer_draws_on():
    one, other = Doubles(seed=1), Doubles(seed=2)
    other.load_state_dict(json.loads(json.dumps(one.state_dict())))
    assert other.state_dict() == one.state_dict()


def test_specs_keep_their_order_and_single_values_are_the_same():
    assert list(as_specs({"b": (0.0, 1.0), "a": (1e-4, 1e-2)})) == ["b", "a"]
    assert is_same(0.1, float(np.float32(0.1)))
    assert not is_same(0.1, 0.100001)
