"""Every space that an environment may show: served, or an error whose advice works."""

from collections import OrderedDict

import gymnasium as gym
import keras
import numpy as np
import pytest
from agent_makers import save
from gymnasium import spaces

from tensor_optix import BatchPipeline, DQNAgent, HyperparamSet, PPOAgent, SACAgent, TFAgent, load_agent
from tensor_optix.exceptions import IncompatibleModelError, UnsupportedSpaceError
from tensor_optix.presets import make_agent, make_pipeline

BOX = spaces.Box(-1.0, 1.0, (2,))
ACTIONS = {"sac": spaces.Box(-1.0, 1.0, (1,))}
REPLAY = {"batch_size": 8, "learning_starts": 8, "buffer_size": 100, "hidden_units": (8,)}
SETTINGS = {
    "ppo": {"batch_size": 8, "num_epochs": 1, "jit_compile": False, "hidden_units": (8,)},
    "dqn": REPLAY,
    "sac": REPLAY,
    "policy_gradient": {"hidden_units": (8,)},
}
EASY = {
    "slash": spaces.Dict({"a/b": BOX, "c": BOX}),
    "nested": spaces.Dict(
        {"a": spaces.Dict({"x": BOX, "y": spaces.Discrete(3)}), "b": spaces.Tuple([BOX, spaces.MultiBinary(2)])}
    ),
}
OTHERS = {
    "names that clash": (spaces.Dict({"a": spaces.Dict({"b": BOX}), "a.b": BOX, "a/b": BOX}), "dqn"),
    "odd keys": (spaces.Dict({"größe x": BOX, "": BOX, "action": BOX, "action_": BOX}), "sac"),
    "keys that are numbers": (spaces.Dict(OrderedDict([(2, BOX), (1, BOX)])), "sac"),
    "a tuple of one part": (spaces.Tuple([BOX]), "ppo"),
    "a dict of one part": (spaces.Dict({"x": BOX}), "dqn"),
    "one part, deep down": (spaces.Tuple([spaces.Dict({"a": spaces.Tuple([BOX])})]), "policy_gradient"),
    "tuples in tuples": (spaces.Tuple([spaces.Tuple([BOX]), spaces.Dict({"k": BOX})]), "sac"),
    "a number": (spaces.Box(-1.0, 1.0, ()), "ppo"),
    "nothing": (spaces.Box(-1.0, 1.0, (0,)), "ppo"),
    "nothing, for a replay": (spaces.Box(0, 255, (0, 3), np.uint8), "sac"),
    "nothing, for a baseline": (spaces.Box(-1.0, 1.0, (0,)), "policy_gradient"),
    "a part of nothing": (spaces.Dict({"a": spaces.Box(-1.0, 1.0, (0,)), "b": BOX}), "ppo"),
    "choices below 0": (spaces.Discrete(4, start=-2), "dqn"),
    "choices of bytes": (spaces.Discrete(4, start=3, dtype=np.int8), "ppo"),
    "choices far away": (spaces.Discrete(4, start=1_000_000), "policy_gradient"),
    "several choices": (spaces.MultiDiscrete(np.array([[2, 3], [3, 4]]), start=np.array([[-5, 0], [7, 1]])), "dqn"),
    "bits": (spaces.MultiBinary([2, 2]), "sac"),
    "integers": (spaces.Box(-5, 5, (3,), np.int16), "dqn"),
    "wide floats": (spaces.Box(-np.inf, np.inf, (2, 3, 2), np.float64), "ppo"),
    "an image beside numbers": (spaces.Dict({"im": spaces.Box(0, 255, (2, 20, 20), np.uint8), "v": BOX}), "dqn"),
}
QUICK = {"nested": tuple(SETTINGS), "slash": ("ppo",)}
"""Algorithms of which a kind of space is tried each time; the others' are slow together."""
ALIKE = ("keys that are numbers", "choices of bytes", "one part, deep down", "integers")
"""Others that differ little from one that is tried each time."""
CASES = [
    pytest.param(space, algorithm, marks=() if algorithm in QUICK.get(name, ("ppo",)) else pytest.mark.slow)
    for name, space in EASY.items()
    for algorithm in SETTINGS
] + [pytest.param(*case, marks=[pytest.mark.slow] * (name in ALIKE)) for name, case in OTHERS.items()]
NAMES = [f"{name}, {algorithm}" for name in EASY for algorithm in SETTINGS] + list(OTHERS)


class ShowAll(gym.Env):
    """Shows anything that its observation space holds."""

    def __init__(self, observation_space, action_space=None):
        self.observation_space, self.action_space = observation_space, action_space or spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed is not None:
            self.observation_space.seed(seed)
        self._time = 0
        return self.observation_space.sample(), {}

    def step(self, action):
        assert self.action_space.contains(action)
        self._time += 1
        return self.observation_space.sample(), float(self.np_random.random()), False, self._time == 7, {}


@pytest.mark.parametrize(("space", "algorithm"), CASES, ids=NAMES)
def test_default_networks_serve_it(space, algorithm, tmp_path):
    def make_env():
        return ShowAll(space, ACTIONS.get(algorithm))

    agent = make_agent(make_env, algorithm, seed=0, **SETTINGS[algorithm])
    window = next(iter(make_pipeline(make_env, agent, num_envs=2, window_size=12, seed=0).episodes()))
    assert np.isfinite(agent.learn(window)["loss"])
    save(agent, tmp_path, by_state=True)
    loaded = load_agent(tmp_path)
    observation, _ = make_env().reset(seed=3)
    for act in (agent.act_greedy, agent.policy().act):
        assert make_env().action_space.contains(act(observation))
    np.testing.assert_array_equal(loaded.act_greedy(observation), agent.act_greedy(observation))


@pytest.mark.parametrize("name", ["slash", "nested", "a tuple of one part"])
def test_the_exported_policy_takes_observations_as_they_come(name):
    space = EASY.get(name) or OTHERS[name][0]
    agent = make_agent(ShowAll(space), "dqn", seed=0, **REPLAY)
    observation, _ = ShowAll(space).reset(seed=3)
    batch = keras.tree.map_structure(lambda part: np.asarray(part)[None], observation)
    assert int(agent.policy_model()(batch)[0]) == agent.act_greedy(observation)


# ---------------------------------------------------------------- models of your own

MISSION = spaces.Dict({"place": BOX, "mission": spaces.Text(9), "way": spaces.Discrete(3)})
HYPERPARAMS = HyperparamSet({"learning_rate": 1e-3}, 0)


def learned(model, space, kind=TFAgent, **settings):
    """Return an agent that has learned from one window of what ``space`` holds, and an observation."""
    env = ShowAll(space, ACTIONS["sac"] if kind is SACAgent else None)
    agent = kind(model, optimizer=keras.optimizers.Adam(1e-3), hyperparams=HYPERPARAMS, **settings)
    pipeline = BatchPipeline(env, agent, window_size=12, seed=0)
    agent.bind(pipeline.observation_space, pipeline.action_space, seed=0)
    assert np.isfinite(agent.learn(next(iter(pipeline.episodes())))["loss"])
    return agent, env.reset(seed=3)[0]


def joined(*inputs):
    return keras.layers.Dense(2)(keras.layers.Concatenate()([keras.layers.Flatten()(x) for x in inputs]))


def test_a_model_nested_as_the_observations_are():
    x, b = keras.Input((2,)), keras.Input((2,))
    model = keras.Model({"a": {"x": x}, "b": (b,)}, joined(x, b))
    space = spaces.Dict({"a": spaces.Dict({"x": BOX}), "b": spaces.Tuple([BOX])})
    agent, observation = learned(model, space)
    expected = model({"a": {"x": observation["a"]["x"][None]}, "b": (observation["b"][0][None],)})
    assert agent.act_greedy(observation) == int(np.argmax(expected))


@pytest.mark.parametrize("kind", [TFAgent, DQNAgent, PPOAgent])
def test_a_flat_model_finds_nested_parts_by_their_names(kind):
    x, b = keras.Input((2,), name="a.x"), keras.Input((2,), name="c.d")
    model = keras.Model([b, x], joined(b, x))
    space = spaces.Dict({"a": spaces.Dict({"x": BOX, "y": BOX}), "c/d": BOX})
    agent, observation = learned(model, space, kind, **({"learning_starts": 8} if kind is DQNAgent else {}))
    if kind is not PPOAgent:
        expected = model([observation["c/d"][None], observation["a"]["x"][None]])
        assert agent.act_greedy(observation) == int(np.argmax(expected))


@pytest.mark.parametrize("space", [spaces.Tuple([BOX]), spaces.Dict({"only": BOX})])
def test_a_plain_model_takes_the_only_part(space):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    agent, observation = learned(model, space)
    part = observation[0] if isinstance(observation, tuple) else observation["only"]
    assert agent.act_greedy(observation) == int(np.argmax(model(part[None])))


def test_a_flat_model_takes_the_parts_of_nested_tuples_in_order():
    inputs = [keras.Input((2,)), keras.Input((3,))]
    space = spaces.Tuple([spaces.Tuple([BOX]), spaces.Box(-1.0, 1.0, (3,))])
    agent, observation = learned(keras.Model(inputs, joined(*inputs)), space)
    expected = agent.model([observation[0][0][None], observation[1][None]])
    assert agent.act_greedy(observation) == int(np.argmax(expected))


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.head = keras.layers.Dense(2)

    def call(self, x):
        return self.head(keras.ops.concatenate([x["a"]["x"], x["b"][0]], axis=-1))


def test_a_subclassed_model_gets_observations_nested_as_they_are():
    space = spaces.Dict({"a": spaces.Dict({"x": BOX}), "b": spaces.Tuple([BOX])})
    agent, observation = learned(Subclassed(), space)
    assert agent.act_greedy(observation) in (0, 1)


def test_critics_that_are_made_see_what_the_actor_sees():
    place = keras.Input((2,), name="place")
    actor = keras.Model({"place": place}, keras.layers.Dense(2)(place))
    space = spaces.Dict({**MISSION.spaces, "action": BOX})
    agent, _ = learned(actor, space, SACAgent, learning_starts=8, batch_size=4)
    assert sorted(agent.critic.input) == ["action_", "place"]


def test_a_critic_finds_its_parts_too():
    x, action = keras.Input((2,), name="a.x"), keras.Input((1,), name="action_")
    critic = keras.Model([x, action], keras.layers.Dense(1)(keras.layers.Concatenate()([x, action])))
    y = keras.Input((2,), name="a.x")
    actor = keras.Model([y], keras.layers.Dense(2)(y))
    space = spaces.Dict({"a": spaces.Dict({"x": BOX}), "action": BOX})
    agent, observation = learned(actor, space, SACAgent, critic=critic, learning_starts=8, batch_size=4)
    assert agent.act_greedy(observation).shape == (1,)


@pytest.mark.parametrize("kind", [TFAgent, DQNAgent, PPOAgent])
def test_parts_without_a_shape_do_not_matter_to_a_model_that_does_not_take_them(kind):
    place = keras.Input((2,), name="place")
    model = keras.Model({"place": place}, keras.layers.Dense(2)(place))
    settings = {"learning_starts": 8} if kind is DQNAgent else {}
    agent, observation = learned(model, MISSION, kind, **settings)
    assert agent.act_greedy(observation) in (0, 1)


def test_a_model_that_takes_other_parts_is_told_so():
    model = keras.Model(inputs := [keras.Input((2,), name="a"), keras.Input((2,), name="z")], joined(*inputs))
    agent = TFAgent(model, keras.optimizers.Adam(), HYPERPARAMS)
    with pytest.raises(IncompatibleModelError, match=r"parts \['a', 'z'\], but received the keys \['a', 'b'\]"):
        agent.bind(spaces.Dict({"a": BOX, "b": BOX}), spaces.Discrete(2))
    with pytest.raises(IncompatibleModelError, match=r"received a tuple with the parts \['0', '1\.x', '1\.y'\]"):
        agent.bind(spaces.Tuple([BOX, spaces.Dict({"x": BOX, "y": BOX})]), spaces.Discrete(2))


# ---------------------------------------------------------------- errors, and what they advise

SEQUENCE, GRAPH = spaces.Sequence(spaces.Discrete(3)), spaces.Graph(BOX, None)
ONE_OF = spaces.OneOf([spaces.Discrete(2), spaces.Box(-1.0, 1.0, (2,))])
MANY = spaces.Discrete(10**7)


def flattened(env):
    return gym.wrappers.FlattenObservation(env)


def boxed(function):
    def wrap(env):
        return gym.wrappers.TransformObservation(env, lambda o: function(o).astype(np.float32), BOX)

    return wrap


def without(env):
    return gym.wrappers.FilterObservation(env, ["place", "way"])


@pytest.mark.parametrize(
    ("space", "advice", "remedy"),
    [
        (spaces.Text(4), r"gymnasium\.wrappers\.FlattenObservation", flattened),
        (ONE_OF, r"gymnasium\.wrappers\.FlattenObservation", flattened),
        (MISSION, r"the part 'mission' of .*wrappers\.FlattenObservation", flattened),
        (MISSION, r"leave the part out with .*FilterObservation\(env, \['place', 'way'\]\)", without),
        (SEQUENCE, r"wrappers\.TransformObservation with a function", boxed(lambda o: np.resize(len(o), 2))),
        (GRAPH, r"wrappers\.TransformObservation with a function", boxed(lambda o: o.nodes.mean(0))),
        (MANY, r"an embedding of 10,000,000 values from 0 on.*TransformObs", boxed(lambda o: np.array([o, o]) / 1e7)),
        (spaces.Discrete(3, start=2**40), r"100,000 values within 8,388,608 of 0", boxed(lambda o: np.array([o, 0]))),
        (spaces.Tuple([SEQUENCE]), "the part '0' of", boxed(lambda o: np.resize(len(o[0]), 2))),
    ],
)
def test_what_is_advised_works(space, advice, remedy):
    with pytest.raises(UnsupportedSpaceError, match=advice):
        make_agent(ShowAll(space), "policy_gradient")
    env = remedy(ShowAll(space))
    agent = make_agent(env, "policy_gradient", hidden_units=(8,), seed=0)
    window = next(iter(make_pipeline(env, agent, window_size=12, seed=0).episodes()))
    assert np.isfinite(agent.learn(window)["loss"])


def test_a_model_of_your_own_for_many_choices_is_advised_too():
    with pytest.raises(UnsupportedSpaceError, match="or build a Keras model that takes them"):
        make_agent(ShowAll(MANY), "dqn")
    model = keras.Sequential([keras.Input((1,)), keras.layers.Rescaling(1e-7), keras.layers.Dense(2)])
    agent, observation = learned(model, MANY)
    assert agent.act_greedy(observation) in (0, 1)


@pytest.mark.parametrize("space", [spaces.Dict({}), spaces.Tuple([])])
def test_no_parts_at_all(space):
    with pytest.raises(UnsupportedSpaceError, match="it is empty"):
        make_agent(ShowAll(space), "policy_gradient")


@pytest.mark.parametrize("space", [spaces.Text(3), spaces.Dict({"a": spaces.Text(3)}), spaces.Tuple([BOX, GRAPH])])
def test_a_model_of_your_own_cannot_take_what_has_no_shape(space):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    with pytest.raises(UnsupportedSpaceError, match=r"must have a fixed shape\. .* gymnasium\.wrappers\."):
        TFAgent(model, keras.optimizers.Adam(), HYPERPARAMS).bind(space, spaces.Discrete(2))


def test_a_vector_environment_of_texts_says_what_to_do():
    def make_env():
        return ShowAll(MISSION)

    place = keras.Input((2,), name="place")
    agent = TFAgent(keras.Model({"place": place}, keras.layers.Dense(2)(place)), keras.optimizers.Adam(), HYPERPARAMS)
    pipeline = BatchPipeline(lambda: gym.vector.SyncVectorEnv([make_env] * 2), agent, window_size=12, seed=0)
    with pytest.raises(UnsupportedSpaceError, match=r"gymnasium\.wrappers\.FilterObservation"):
        next(iter(pipeline.episodes()))
    pipeline = BatchPipeline(
        lambda: gym.vector.SyncVectorEnv([lambda: without(make_env())] * 2), agent, window_size=12, seed=0
    )
    agent.bind(pipeline.observation_space, pipeline.action_space)
    assert np.isfinite(agent.learn(next(iter(pipeline.episodes())))["loss"])
