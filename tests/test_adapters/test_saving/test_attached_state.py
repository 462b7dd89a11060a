"""What a class of the user's own keeps beside its model: found where it hangs, saved, given back, copied for acting."""

import gymnasium as gym
import keras
import numpy as np
import pytest
from agent_makers import CARTPOLE, actor

from tensor_optix.adapters.tensorflow.saving.attached_state import attached_copies, read_attached, restore_attached
from tensor_optix.adapters.tensorflow.tf_agent import TFAgent
from tensor_optix.core.types import HyperparamSet
from tensor_optix.exceptions import StateMismatchError


class Holder:
    def __init__(self):
        self.seeds = keras.random.SeedGenerator(3)
        self.count = 0


class Curious(TFAgent):
    def __init__(self):
        super().__init__(actor(2), keras.optimizers.Adam(1e-3), HyperparamSet({}, 0))
        self.second = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
        self.others = {"again": self.second, "list": [keras.Variable([1.0, 2.0])]}
        self.second_optimizer = keras.optimizers.SGD(0.5, momentum=0.9)
        self.second_optimizer.build(self.second.trainable_variables)
        self.holder = Holder()
        self.rng = np.random.default_rng(0)


@pytest.fixture
def agent():
    made = Curious()
    made.bind(CARTPOLE, gym.spaces.Discrete(2), seed=0)
    return made


def groups_of(agent):
    return [("model", list(agent.model.variables)), ("optimizer", list(agent.optimizer.variables))]


def test_everything_is_found_once_and_named_by_its_place(agent):
    arrays, described = read_attached(agent, groups_of(agent))
    kinds = {place: entry["kind"] for place, entry in described.items()}
    assert kinds == {
        "second": "Sequential",
        "others['list'][0]": "Variable",
        "second_optimizer": "SGD",
        "holder.seeds": "SeedGenerator",
        "rng": "Generator",
    }
    assert arrays["attached.second.0"].shape == (3, 2)
    assert described["second_optimizer"]["trains"] == ["attached.second.0", "attached.second.1"]
    assert described["rng"]["generator"] == agent.rng.bit_generator.state


def test_it_comes_back_in_another_agent(agent):
    agent.rng.normal(size=7)
    keras.random.normal((2,), seed=agent.holder.seeds)
    agent.second_optimizer.apply([np.ones_like(v) for v in agent.second.trainable_variables])
    arrays, described = read_attached(agent, groups_of(agent))
    other = Curious()
    other.bind(CARTPOLE, gym.spaces.Discrete(2), seed=0)
    assert restore_attached(other, groups_of(other), arrays, described) == []
    again, told = read_attached(other, groups_of(other))
    assert told == described
    for name, array in arrays.items():
        np.testing.assert_array_equal(again[name], array)
    assert other.rng.normal() == agent.rng.normal()
    assert float(keras.random.normal((), seed=other.holder.seeds)) == float(
        keras.random.normal((), seed=agent.holder.seeds)
    )


def test_what_is_gone_or_new_is_told(agent):
    arrays, described = read_attached(agent, groups_of(agent))
    agent.extra = agent.rng
    del agent.rng
    told = restore_attached(agent, groups_of(agent), arrays, described)
    assert told == [
        "the agent's rng (Generator) is not there yet, so it starts afresh",
        "the agent's extra (Generator) is new, so it starts afresh",
    ]


def test_another_structure_is_refused_and_nothing_changes(agent):
    arrays, described = read_attached(agent, groups_of(agent))
    before = agent.others["list"][0].numpy()
    arrays["attached.second.0"] = np.zeros((4, 2), np.float32)
    arrays["attached.others['list'][0].0"] = np.float32([8.0, 9.0])
    with pytest.raises(StateMismatchError, match=r"differ, first 'attached.second.0'"):
        restore_attached(agent, groups_of(agent), arrays, described)
    np.testing.assert_array_equal(agent.others["list"][0], before)


def test_copies_move_apart_and_networks_are_shared(agent):
    copies = attached_copies(agent, [agent.model])
    assert copies["second"] is agent.second
    assert copies["others"]["again"] is agent.second
    before = [agent.rng.bit_generator.state, agent.holder.seeds.state.numpy().tolist(), agent.holder.count]
    copies["rng"].normal()
    keras.random.normal((), seed=copies["holder"].seeds)
    copies["holder"].count += 1
    copies["others"]["list"][0].assign([5.0, 5.0])
    assert before == [agent.rng.bit_generator.state, agent.holder.seeds.state.numpy().tolist(), agent.holder.count]
    assert agent.others["list"][0].numpy().tolist() == [1.0, 2.0]
