"""Agents of a class of the user's own: named in the file, asked for, never replaced by the parent."""

import gymnasium as gym
import keras
import numpy as np
import pytest
from agent_makers import CARTPOLE, actor, play_window

from tensor_optix.adapters.tensorflow.loading import load_agent
from tensor_optix.adapters.tensorflow.tf_agent import TFAgent
from tensor_optix.algorithms.dqn import DQNAgent
from tensor_optix.algorithms.ppo import PPOAgent
from tensor_optix.algorithms.sac import SACAgent
from tensor_optix.core.checkpoint_registry import CheckpointRegistry
from tensor_optix.core.types import EvalMetrics, HyperparamSet
from tensor_optix.exceptions import CheckpointError, UnsafeFileError

DISCRETE, BOX = gym.spaces.Discrete(2), gym.spaces.Box(-1.0, 1.0, (1,))


class Contrary:
    """Acts against its policy, with a strength that is an argument of its own."""

    def __init__(self, *args, strength=1, **kwargs):
        super().__init__(*args, **kwargs)
        self.strength = strength

    def act_greedy(self, observation):
        return self.strength - super().act_greedy(observation)


class MyTF(Contrary, TFAgent):
    pass


class MyPPO(Contrary, PPOAgent):
    pass


class MyDQN(Contrary, DQNAgent):
    pass


class MySAC(Contrary, SACAgent):
    pass


def saved(agent, folder, action_space=DISCRETE):
    agent.bind(CARTPOLE, action_space, seed=0)
    CheckpointRegistry(str(folder)).save(agent, EvalMetrics(1.0, {}, 0), agent.get_hyperparams())
    return agent


@pytest.mark.parametrize(
    ("make", "action_space"),
    [
        (lambda: MyTF(actor(2), keras.optimizers.Adam(), HyperparamSet({}, 0), strength=3), DISCRETE),
        (lambda: MyPPO(strength=3, hidden_units=(4,)), DISCRETE),
        (lambda: MyDQN(strength=3, hidden_units=(4,), buffer_size=10), DISCRETE),
        (lambda: MySAC(strength=3, hidden_units=(4,), buffer_size=10), BOX),
    ],
)
def test_a_subclass_is_asked_for_and_acts_as_it_did(make, action_space, tmp_path):
    agent = saved(make(), tmp_path, action_space)
    cls = type(agent)
    parent = next(base for base in cls.__mro__ if base.__module__.startswith("tensor_optix")).__name__
    asked_for = (
        rf"'{cls.__name__}': a class of your own, derived from {parent}.*custom_objects=\{{'{cls.__name__}': \.\.\.\}}"
    )
    with pytest.raises(UnsafeFileError, match=asked_for):
        load_agent(tmp_path)
    loaded = load_agent(tmp_path, custom_objects={cls.__name__: cls})
    assert type(loaded) is cls
    assert loaded.strength == 3
    for observation in np.random.default_rng(0).normal(size=(10, 4)).astype(np.float32):
        np.testing.assert_array_equal(loaded.act_greedy(observation), agent.act_greedy(observation))


def test_what_is_named_must_be_an_agent(tmp_path):
    saved(MyPPO(hidden_units=(4,)), tmp_path)
    for wrong in (keras.layers.Dense, "MyPPO"):
        with pytest.raises(CheckpointError, match="no class derived from TFAgent"):
            load_agent(tmp_path, custom_objects={"MyPPO": wrong})


class Scheduled(PPOAgent):
    def __init__(self, schedule, **kwargs):
        super().__init__(hidden_units=(4,), **kwargs)
        self.schedule = schedule


class Closed(PPOAgent):
    def __init__(self, width=4):
        super().__init__(hidden_units=(width,))


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: Scheduled(lambda step: 0.1), r"arguments that could not be saved: \['schedule'\]"),
        (lambda: Closed(5), r"A Closed cannot be made from what was saved: .*unexpected keyword argument 'actor'"),
    ],
)
def test_one_that_cannot_be_made_again_says_so_and_the_advice_works(make, why, tmp_path):
    agent = saved(make(), tmp_path)
    agent.learn(play_window(agent, 0))
    CheckpointRegistry(str(tmp_path)).save(agent, EvalMetrics(2.0, {}, 1), agent.get_hyperparams())
    with pytest.raises(CheckpointError, match=rf"{why}.*CheckpointRegistry\(run_dir\)\.load_best\(agent\)"):
        load_agent(tmp_path, custom_objects={"Scheduled": Scheduled, "Closed": Closed})
    again = make()
    again.bind(CARTPOLE, DISCRETE)
    CheckpointRegistry(str(tmp_path)).load_best(again)
    for observation in np.random.default_rng(0).normal(size=(10, 4)).astype(np.float32):
        assert again.act_greedy(observation) == agent.act_greedy(observation)


def squared(model, episode_data, returns):
    return keras.ops.mean(keras.ops.square(model(episode_data.observations)))


def test_a_loss_of_ones_own_is_asked_for(tmp_path, caplog):
    agent = saved(TFAgent(actor(2), keras.optimizers.Adam(), HyperparamSet({}, 0), squared), tmp_path)
    window = play_window(agent, 0)
    loaded = load_agent(tmp_path, custom_objects={"squared": squared})
    assert not caplog.records
    assert loaded.learn(window)["loss"] == pytest.approx(agent.learn(window)["loss"], rel=1e-6)
    load_agent(tmp_path)
    assert "custom_objects={'squared': ...} it acts as it did, but learns by the loss of a TFAgent" in caplog.text
