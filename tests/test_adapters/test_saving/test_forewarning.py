"""What cannot be loaded later is said before the first step, and the advice works; what is shared loads shared."""

import logging

import gymnasium as gym
import keras
import numpy as np
import pytest
from agent_makers import CARTPOLE, play_window
from keras import layers

from tensor_optix import BatchPipeline, RLOptimizer
from tensor_optix.adapters.tensorflow.loading import load_agent
from tensor_optix.adapters.tensorflow.tf_agent import TFAgent
from tensor_optix.algorithms.dqn import DQNAgent
from tensor_optix.algorithms.ppo import PPOAgent
from tensor_optix.algorithms.sac import SACAgent
from tensor_optix.core.checkpoint_registry import CheckpointRegistry
from tensor_optix.core.types import EvalMetrics, HyperparamSet
from tensor_optix.exceptions import CheckpointError

DISCRETE, BOX = gym.spaces.Discrete(2), gym.spaces.Box(-1.0, 1.0, (1,))


def bound(agent, action_space=DISCRETE):
    agent.bind(CARTPOLE, action_space, seed=0)
    return agent


def saved(agent, folder):
    CheckpointRegistry(str(folder)).save(agent, EvalMetrics(1.0, {}, 0), agent.get_hyperparams())
    return agent


def assert_same_acts(agent, other):
    for observation in np.random.default_rng(0).normal(size=(10, 4)).astype(np.float32):
        np.testing.assert_array_equal(agent.act_greedy(observation), other.act_greedy(observation))


def policy(*inner, outputs=2, cls=keras.Sequential):
    return cls([keras.Input((4,)), *inner, layers.Dense(outputs)])


def tf_agent(model):
    return TFAgent(model, keras.optimizers.Adam(), HyperparamSet({}, 0))


def one_graph():
    inputs = keras.Input((4,))
    hidden = layers.Dense(8, "tanh")(inputs)
    return PPOAgent(keras.Model(inputs, layers.Dense(2)(hidden)), keras.Model(inputs, layers.Dense(1)(hidden)))


def one_trunk():
    trunk = keras.Sequential([keras.Input((4,)), layers.Dense(8, "tanh"), layers.Dense(3)], name="trunk")
    return PPOAgent(policy(trunk), policy(trunk, layers.Dense(3), outputs=1))


def one_layer_in_models_without_inputs():
    hidden = layers.Dense(8, "tanh")
    return PPOAgent(keras.Sequential([hidden, layers.Dense(2)]), keras.Sequential([hidden, layers.Dense(1)]))


def critic_on_the_actor():
    actor = policy(layers.Dense(8, "tanh"))
    inputs = keras.Input((4,))
    return PPOAgent(actor, keras.Model(inputs, layers.Dense(1)(actor(inputs))))


def one_encoder():
    inputs, action, encoder = keras.Input((4,)), keras.Input((1,)), layers.Dense(8, "tanh")
    value = layers.Dense(1)(layers.Concatenate()([encoder(inputs), action]))
    actor, critic = keras.Model(inputs, layers.Dense(2)(encoder(inputs))), keras.Model([inputs, action], value)
    return SACAgent(actor, critic, buffer_size=64, batch_size=8, learning_starts=8)


def one_branch_twice():
    trunk = layers.Dense(3)
    inputs = keras.Input((4,))
    return DQNAgent(keras.Model(inputs, layers.Add()([policy(trunk)(inputs), policy(trunk)(inputs)])), buffer_size=64)


SHARING = [
    *(one_graph, one_trunk, one_layer_in_models_without_inputs, critic_on_the_actor, one_encoder, one_branch_twice)
]


def variables_of(agent):
    return [v for model in (agent.model, getattr(agent, "critic", None)) if model for v in model.variables]


@pytest.mark.parametrize("make", SHARING)
def test_shared_layers_load_shared_and_live_on(make, tmp_path):
    agent = bound(make(), BOX if make is one_encoder else DISCRETE)
    assert not agent.caveats()
    loaded = load_agent(saved(agent, tmp_path) and tmp_path)
    sharing = [[[id(v) for v in variables_of(a)].index(id(v)) for v in variables_of(a)] for a in (agent, loaded)]
    assert sharing[0] == sharing[1]
    assert len(set(sharing[0])) < len(sharing[0]) or make is one_branch_twice
    assert_same_acts(agent, loaded)
    assert len(agent.optimizer.variables) == len(loaded.optimizer.variables)
    if make is one_trunk:
        window = play_window(agent, 0)
        assert agent.learn(window)["loss"] == pytest.approx(loaded.learn(window)["loss"], rel=1e-5)
        assert_same_acts(agent, loaded)


class Doubling(layers.Layer):
    def call(self, x):
        return 2.0 * x


class Own(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.head = layers.Dense(2)

    def call(self, x):
        return self.head(x)


class OwnGraph(keras.Sequential):
    pass


class MyPPO(PPOAgent):
    pass


def squash(x):
    return keras.ops.tanh(x)


def own_loss(model, episode_data, returns):
    return keras.ops.mean(model(episode_data.observations))


def spread(shape, dtype=None):
    return keras.random.normal(shape, seed=1)


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (lambda: tf_agent(policy(Doubling())), ["Doubling"]),
        (lambda: PPOAgent(policy(layers.Dense(3, activation=squash))), ["squash"]),
        (lambda: PPOAgent(policy(layers.Lambda(squash))), ["Lambda", "squash"]),
        (lambda: tf_agent(Own()), ["Own"]),
        (lambda: DQNAgent(policy(layers.Dense(3), cls=OwnGraph), buffer_size=10), ["OwnGraph"]),
        (lambda: MyPPO(policy(Doubling(), layers.Dense(3, activation=squash))), ["MyPPO", "Doubling", "squash"]),
        (lambda: TFAgent(policy(), keras.optimizers.Adam(), HyperparamSet({}, 0), own_loss), ["own_loss"]),
    ],
)
def test_what_load_agent_will_ask_for_is_said_and_is_enough(make, names, tmp_path):
    agent = saved(bound(make()), tmp_path)
    (caveat,) = agent.caveats()
    known = {**globals(), "keras": keras}
    objects = eval(caveat.partition("custom_objects=")[2].removesuffix(")"), known)
    assert set(objects) == set(names)
    loaded = load_agent(tmp_path, custom_objects=objects)
    assert type(loaded) is type(agent)
    assert_same_acts(agent, loaded)


class Silent(Own):
    def get_config(self):
        raise KeyError("units")


class Shy(layers.Layer):
    def __init__(self, units):
        super().__init__()
        self.inner = layers.Dense(units)

    def call(self, x):
        return self.inner(x)


class Holding(Own):
    """Saves what it shares with another one inside its own arguments."""

    def __init__(self, trunk, size, **kwargs):
        super().__init__(**kwargs)
        self.trunk, self.size, self.head = trunk, size, layers.Dense(size)

    def call(self, x):
        return self.head(self.trunk(x))

    def get_config(self):
        return {**super().get_config(), "trunk": keras.saving.serialize_keras_object(self.trunk), "size": self.size}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "trunk": keras.saving.deserialize_keras_object(config["trunk"])})


def sharing_out_of_sight():
    trunk = layers.Dense(3)
    return PPOAgent(Holding(trunk, 2), Holding(trunk, 1))


class Picky(PPOAgent):
    def __init__(self, width):
        super().__init__(hidden_units=(width,))


class Scheduled(PPOAgent):
    def __init__(self, schedule, **kwargs):
        super().__init__(hidden_units=(4,), **kwargs)


LAMBDA = layers.Lambda(lambda x: 2.0 * x, name="twice")


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: tf_agent(policy(LAMBDA)), "the code of the Lambda layer 'twice' is no part of what is saved"),
        (
            lambda: PPOAgent(policy(layers.Dense(3, activation=lambda x: x, name="odd"))),
            "the code of the lambda that is the activation of layer 'odd' is no part of what is saved",
        ),
        (lambda: tf_agent(Silent()), r"Silent gives no configuration: define get_config\(\)"),
        (lambda: PPOAgent(policy(Shy(3))), "Shy"),
        (sharing_out_of_sight, "What model and critic share would come back as several"),
        (
            lambda: Picky(4),
            r"Picky.__init__ .*argument 'actor', which PPOAgent takes; let it take",
        ),
        (lambda: Scheduled(max), r"the arguments \['schedule'\] of Scheduled cannot be saved"),
    ],
)
def test_what_load_agent_will_not_be_able_to_make_is_said_and_the_way_round_works(make, why, tmp_path):
    agent = bound(make())
    (caveat,) = agent.caveats()
    assert caveat.startswith("load_agent will not be able to make this agent: ")
    with pytest.raises(CheckpointError, match=why):
        raise CheckpointError(caveat)
    assert caveat.endswith("bind it, and call CheckpointRegistry(run_dir).load_best(agent).")
    agent.model.set_weights([np.random.default_rng(1).normal(size=w.shape) for w in agent.model.get_weights()])
    agent.refresh()
    saved(agent, tmp_path)
    again = bound(make())
    CheckpointRegistry(str(tmp_path)).load_best(again)
    assert_same_acts(agent, again)


@pytest.mark.parametrize("custom_objects", [None, {"Lambda": layers.Lambda}])
@pytest.mark.parametrize("make", [lambda: policy(LAMBDA), lambda: policy(layers.Dense(3, activation=lambda x: x))])
def test_loading_a_lambda_gives_advice_that_works(make, custom_objects, tmp_path):
    saved(bound(tf_agent(make())), tmp_path)
    with pytest.raises(CheckpointError, match=r"code of a lambda is never run.*load_best\(agent\)"):
        load_agent(tmp_path, custom_objects=custom_objects)


def test_a_run_says_it_before_its_first_step_and_in_its_result(tmp_path, caplog):
    class Silence(gym.Env):
        observation_space, action_space = CARTPOLE, DISCRETE

        def reset(self, *, seed=None, options=None):
            return np.zeros(4, np.float32), {}

        def step(self, action):
            logging.getLogger("env").warning("stepped")
            return np.zeros(4, np.float32), 1.0, False, True, {}

    agent = PPOAgent(policy(Doubling()), hidden_units=(4,), batch_size=8)
    run = RLOptimizer(
        agent,
        BatchPipeline(Silence(), window_size=8),
        checkpoint_dir=str(tmp_path),
        max_episodes=1,
        report_episodes=0,
        seed=0,
    )
    result = run.run()
    advice = "load_agent(run_dir, custom_objects={'Doubling': Doubling})"
    said = [record.getMessage() for record in caplog.records]
    assert next(i for i, text in enumerate(said) if advice in text) < said.index("stepped")
    assert any(advice in note for note in result.notes)
    assert isinstance(load_agent(run.run_dir, custom_objects={"Doubling": Doubling}), PPOAgent)
