"""evaluate() changes nothing in what it evaluates, whatever the agent and wherever it is played."""

import itertools

import gymnasium as gym
import keras
import numpy as np
import pytest
import tensorflow as tf
from four_agents import CHOICES, SMALL, assert_same_state, env_of, fresh_agent, greedy_score

from tensor_optix import BatchPipeline, DQNAgent, HyperparamSet, PPOAgent, SACAgent, TFAgent, evaluate
from tensor_optix.exceptions import IncompatibleModelError, TensorOptixError, UnsupportedSpaceError

KINDS = {"policy_gradient": TFAgent, "ppo": PPOAgent, "dqn": DQNAgent, "sac": SACAgent}


def everything(agent):
    return agent.get_state("all"), agent._spaces, agent.version, agent._num_policies


def assert_untouched(agent, before):
    state, *others = before
    assert_same_state(state, agent.get_state("all"))
    assert tuple(others) == (agent._spaces, agent.version, agent._num_policies)


def taught(agent, algorithm, num_envs=1, windows=2):
    pipeline = BatchPipeline(env_of(algorithm, num_envs), agent, window_size=40, seed=2)
    for window in itertools.islice(pipeline.episodes(), windows):
        agent.learn(window)
    return agent


class Wider(gym.ObservationWrapper):
    def __init__(self, env):
        super().__init__(env)
        self.observation_space = gym.spaces.Box(-np.inf, np.inf, env.observation_space.shape, np.float64)

    def observation(self, observation):
        return observation.astype(np.float64)


@pytest.mark.parametrize("algorithm", SMALL)
@pytest.mark.parametrize("windows", [0, 2])
def test_a_bound_agent_stays_bit_for_bit(algorithm, windows):
    agent = taught(fresh_agent(algorithm), algorithm, windows=windows)
    before = everything(agent)
    results = {}
    for num_envs, wrap, greedy in itertools.product((1, 3), (lambda env: env, Wider), (True, False)):
        played = [evaluate(agent, env_of(algorithm, num_envs, wrap), 6, seed=4, greedy=greedy) for _ in range(2)]
        np.testing.assert_array_equal(played[0].returns, played[1].returns)
        assert_untouched(agent, before)
        results.setdefault((num_envs, greedy), []).append(played[0].returns)
    for narrow, wide in results.values():
        np.testing.assert_array_equal(narrow, wide)
    for env in ("Acrobot-v1", "MountainCarContinuous-v0"):
        with pytest.raises(UnsupportedSpaceError, match="The agent was made for"):
            evaluate(agent, env, 1)
        assert_untouched(agent, before)


@pytest.mark.parametrize("algorithm", SMALL)
def test_it_goes_on_as_if_nobody_had_looked(algorithm):
    lives = []
    for is_watched in (False, True):
        agent = taught(fresh_agent(algorithm), algorithm)
        if is_watched:
            evaluate(agent, env_of(algorithm), 3, greedy=False)
        taught(agent, algorithm)
        lives.append(agent.get_state("all"))
    assert_same_state(*lives, but=("architecture",))


@pytest.mark.parametrize("algorithm", SMALL)
def test_an_agent_that_was_never_bound_stays_so(algorithm):
    env = env_of(algorithm)
    size, outputs = env.observation_space.shape[0], {"sac": 2}.get(algorithm, 2)
    model = keras.Sequential([keras.Input((size,)), keras.layers.Dense(outputs)])
    own = KINDS[algorithm](model, optimizer=keras.optimizers.Adam(1e-3), hyperparams=HyperparamSet({}, 0))
    weights = model.get_weights()
    first = evaluate(own, env, 5, seed=1)
    np.testing.assert_array_equal(first.returns, evaluate(own, env_of(algorithm), 5, seed=1).returns)
    assert own._sampler is None
    assert not own.optimizer.built
    for earlier, now in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(earlier, now)
    with pytest.raises((IncompatibleModelError, UnsupportedSpaceError)):
        evaluate(own, "Acrobot-v1", 1)
    assert own._sampler is None

    if algorithm != "policy_gradient":
        empty = KINDS[algorithm](hidden_units=(8,))
        evaluate(empty, env, 2)
        assert empty.model is None


def test_weights_that_were_just_set_are_what_is_played():
    teacher = taught(fresh_agent("dqn"), "dqn", windows=15)
    pupil = fresh_agent("dqn", seed=8)
    pupil.model.set_weights(teacher.model.get_weights())
    assert greedy_score(pupil, "dqn") == greedy_score(teacher, "dqn")


def test_what_a_subclass_overrides_is_what_is_played():
    class Stubborn(PPOAgent):
        asked = 0

        def act_greedy(self, observation):
            self.asked += 1
            return 1

    agent = Stubborn(hidden_units=(4,), jit_compile=False)
    env = env_of("ppo")
    agent.bind(env.observation_space, env.action_space, seed=0)
    always = evaluate(lambda observation: 1, env_of("ppo"), 6)
    np.testing.assert_array_equal(evaluate(agent, env_of("ppo"), 6).returns, always.returns)
    assert agent.asked == 0


def test_random_layers_move_on_in_the_copy_alone():
    class Noise(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.seeds = keras.random.SeedGenerator(1)

        def call(self, x):
            return x + keras.random.normal(keras.ops.shape(x), seed=self.seeds)

    model = keras.Sequential([keras.Input((2,)), Noise(), keras.layers.Dense(2)])
    agent = TFAgent(model, keras.optimizers.Adam(), HyperparamSet({}, 0))
    env = env_of("policy_gradient")
    agent.bind(env.observation_space, env.action_space, seed=0)
    before = everything(agent)
    evaluate(agent, env, 3)
    evaluate(agent, env, 3, greedy=False)
    assert_untouched(agent, before)


@pytest.mark.parametrize("algorithm", ["ppo", "sac", "policy_gradient"])
def test_actions_mean_what_they_meant_and_stay_inside_both_spaces(algorithm):
    learned, here = gym.spaces.Box(-2.0, 2.0, (2,)), gym.spaces.Box(-3.0, 0.5, (2,), np.float64)
    seen = gym.spaces.Box(-1.0, 1.0, (2,))
    outputs = 4 if algorithm == "sac" else 2
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(outputs, kernel_initializer="ones")])
    agent = KINDS[algorithm](model, optimizer=keras.optimizers.Adam(1e-3), hyperparams=HyperparamSet({}, 0))
    agent.bind(seen, learned, seed=0)
    copied = agent.acting_copy(seen, here, seed=1)
    for observation in (np.full(2, -0.1, np.float32), np.full(2, 0.1, np.float32), np.full(2, 1.0, np.float32)):
        at_home, away = agent.act_greedy(observation), copied.act_greedy(observation)
        assert away.dtype == np.float64
        np.testing.assert_allclose(away, np.clip(at_home, -2.0, 0.5), rtol=1e-6)
        assert here.contains(copied.act(observation))
    with pytest.raises(UnsupportedSpaceError, match="no action is within the bounds of both"):
        agent.acting_copy(seen, gym.spaces.Box(5.0, 6.0, (2,)), seed=1)


def test_an_agent_that_only_saw_observations_is_evaluated_too():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    agent = TFAgent(model, keras.optimizers.Adam(), HyperparamSet({}, 0))
    agent.act(np.zeros(2, np.float32))
    before = everything(agent)
    env = env_of("policy_gradient")
    evaluate(agent, env, 2)
    assert_untouched(agent, before)
    with pytest.raises(UnsupportedSpaceError, match="took its 2 outputs for the logits of 2 actions"):
        evaluate(agent, env_of("sac", wrap=lambda e: gym.wrappers.TransformObservation(e, _twice, _two(e))), 1)
    with pytest.raises(TensorOptixError):
        evaluate(agent, "Acrobot-v1", 1)
    assert_untouched(agent, before)
    window = next(BatchPipeline(env, agent, window_size=30, seed=0).episodes())
    agent.learn(window)
    learned = agent.get_state("all")
    agent.bind(env.observation_space, CHOICES, seed=4)
    assert_same_state(learned, agent.get_state("all"), but=("seed", "noise", "generator", "architecture"))
    assert agent.act(env.observation_space.sample()) in (1, 2)


def _twice(observation):
    return np.repeat(observation, 2)


def _two(env):
    return gym.spaces.Box(-1.0, 1.0, (2,))


class Wandering:
    """Noise with a memory, as a function of nothing."""

    def __init__(self):
        self.rng = np.random.default_rng(5)

    def __call__(self):
        return self.rng.random()


class OwnWays(TFAgent):
    """Explores by generators, seeds and counters that it keeps here and there."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.rng = np.random.default_rng(0)
        self.seeds = {"coin": [keras.random.SeedGenerator(3)]}
        self.places = (tf.random.Generator.from_seed(2), Wandering())
        self.count = keras.Variable(0.0)
        self.network = keras.layers.Dense(2)
        self.same_rng = self.rng

    def act(self, observation):
        self.count.assign_add(1.0)
        coins = [self.rng.random(), float(keras.random.uniform((), seed=self.seeds["coin"][0])), self.places[1]()]
        return 1 + int(sum(coins) + float(self.places[0].uniform(())) + self.same_rng.random() > 2.5)


def test_what_acting_moves_in_a_subclass_moves_in_the_copy_alone():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    agent = OwnWays(model, keras.optimizers.Adam(), HyperparamSet({}, 0))
    env = env_of("policy_gradient")
    agent.bind(env.observation_space, env.action_space, seed=0)
    before = everything(agent)
    returns = evaluate(agent, env, 3, greedy=False).returns
    assert_untouched(agent, before)
    np.testing.assert_array_equal(evaluate(agent, env, 3, greedy=False).returns, returns)
    twin = agent.acting_copy(env.observation_space, env.action_space, seed=1)
    assert twin.same_rng is twin.rng is not agent.rng
    assert twin.network is agent.network
