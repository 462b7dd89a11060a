"""A resealed state that no agent can be in is refused before anything of it is taken over, and says why."""

import copy

import gymnasium as gym
import numpy as np
import pytest
from agent_makers import make_agent, play_window

from tensor_optix.core.types import AgentState
from tensor_optix.exceptions import NonFiniteError, TensorOptixError


@pytest.fixture(scope="module")
def learned():
    agent = make_agent(gym.spaces.Discrete(2))
    agent.learn(play_window(agent, 0))
    return agent, agent.get_state()


def changed(state, change):
    copied = AgentState(dict(state.arrays), copy.deepcopy(state.meta), state.scope)
    change(copied)
    return copied


def in_array(name, change):
    return lambda state: state.arrays.update({name: change(np.array(state.arrays[name]))})


def poisoned(value):
    def change(array):
        array.flat[1] = value
        return array

    return change


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("model.0", np.nan, r"'model.0' \(.*kernel\) of the state holds 1 of \d+ values that are NaN or infinite"),
        ("model.0", np.inf, "NaN or infinite"),
        ("optimizer_0.2", np.nan, "'optimizer_0.2'"),
    ],
)
def test_nan_is_named_and_not_loaded(learned, name, value, message):
    agent, state = learned
    with pytest.raises(NonFiniteError, match=message):
        agent.set_state(changed(state, in_array(name, poisoned(value))))
    np.testing.assert_array_equal(agent.get_state().arrays[name], state.arrays[name])


def with_meta(key, value):
    return lambda state: state.meta.update({key: value})


CHANGES = {
    "holds complex64, but the agent's variable is float32": in_array("model.0", lambda a: a.astype(np.complex64)),
    "lacks version": lambda state: state.meta.pop("version"),
    r"`version` is -1, not a whole number of zero or more": with_meta("version", -1),
    "lacks noise": lambda state: state.meta.pop("noise"),
    r"`state\['seed'\]` is 'a', where a number": with_meta("seed", "a"),
    r"`state\['hyperparams'\]` is \[\]": with_meta("hyperparams", []),
    "learning_rate": with_meta("hyperparams", {"learning_rate": "fast"}),
    "lacks generator": lambda state: state.meta["learner"].pop("generator"),
    r"`kl_factor` is -1.0, not a number above zero": lambda state: state.meta["learner"].update(kl_factor=-1.0),
    r"`learner\['generator'\]` is None": lambda state: state.meta["learner"].update(generator=None),
    r"`learner\['kl_factor'\]` is None": lambda state: state.meta["learner"].update(kl_factor=None),
    r"`learner\['usual_spread'\]` is None": lambda state: state.meta["learner"].update(usual_spread=None),
    r"`learner\['generator'\]\['state'\]` lacks inc": lambda state: state.meta["learner"]["generator"]["state"].pop(
        "inc"
    ),
    "learner's `generator` is": lambda state: state.meta["learner"]["generator"].update(bit_generator="MT19937"),
    r"`state\['learner'\]` is None": with_meta("learner", None),
    r"`state\['attached'\]` is None": with_meta("attached", None),
    r"`state\['hyperparams'\]` is None": with_meta("hyperparams", None),
    r"`state\['noise'\]` lacks": with_meta("noise", {}),
    r"`state\['noise'\]\['generator'\]` is None": lambda state: state.meta["noise"].update(generator=None),
    "noise's `generator` is": lambda state: state.meta["noise"]["generator"]["state"].update(inc=-1),
    "baseline's `mean` is": in_array("learner.baseline.mean", lambda a: np.repeat(a, 2)),
    "recent steps hold": lambda state: state.arrays.pop("learner.recent.rewards"),
    "recent `terminated` are of float64": in_array("learner.recent.terminated", lambda a: a.astype(np.float64)),
    "in windows of": in_array("learner.recent.lengths", lambda a: a + 1),
    "recent `observations_0` are of float64": in_array("learner.recent.observations_0", lambda a: a.astype(np.float64)),
    "recent `valid` have the shape": in_array("learner.recent.valid", lambda a: a.reshape(-1)),
    "recent `successors_0` have the shape": in_array("learner.recent.successors_0", lambda a: a[:0]),
}


@pytest.mark.parametrize("message", CHANGES)
def test_what_cannot_be_is_refused(learned, message):
    agent, state = learned
    agent.act(np.zeros(4, np.float32))
    before = agent.get_state()
    with pytest.raises(TensorOptixError, match=message):
        agent.set_state(changed(state, CHANGES[message]))
    assert {**agent.get_state().meta, "architecture": None} == {**before.meta, "architecture": None}
    agent.set_state(state)
    agent.learn(play_window(agent, 1))
    agent.set_state(state)
