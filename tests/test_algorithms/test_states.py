"""``set_state(get_state())`` restores acting and learning bit for bit, in every state that an agent can be in."""

import copy
import itertools

import gymnasium as gym
import numpy as np
import pytest
from four_agents import SMALL, assert_same_state, env_of, fresh_agent

from tensor_optix import BatchPipeline, HyperparamSet, load_agent
from tensor_optix.exceptions import NonFiniteError

NUMBERS = gym.spaces.Box(np.array([-2.0, 0.0], np.float32), np.array([2.0, 5.0], np.float32))

KINDS = {**{name: (name, {}) for name in SMALL}, "dqn at once": ("dqn", {"epsilon_decay_steps": 0})}


def windows(agent, env, num, seed=2):
    return itertools.islice(BatchPipeline(env, agent, window_size=30, seed=seed).episodes(), num)


def teach(agent, env, num, seed=2):
    for window in windows(agent, env, num, seed):
        agent.learn(window)


def diverge(agent, env):
    (window,) = windows(agent, env, 1)
    window.rewards[:] = 1e38
    for _ in range(3):
        try:
            agent.learn(copy.deepcopy(window))
        except NonFiniteError:
            agent.on_divergence()


def rebind(agent, env):
    teach(agent, env, 2)
    spaces = (
        getattr(env, "single_observation_space", env.observation_space),
        getattr(env, "single_action_space", env.action_space),
    )
    agent.bind(*spaces, seed=77)


def set_hyperparams(agent, env):
    params = agent.get_hyperparams().params
    params |= {"epsilon_start": 0.3, "epsilon_end": 0.2} if "epsilon_start" in params else {}
    agent.set_hyperparams(HyperparamSet({**params, "learning_rate": 1e-4}, 1))


def change_world(agent, env):
    teach(agent, env, 2)
    agent.on_world_change()


MOMENTS = {
    "freshly bound": lambda agent, env: None,
    "after acting": lambda agent, env: list(windows(agent, env, 1)),
    "after one window": lambda agent, env: teach(agent, env, 1),
    "after many": lambda agent, env: teach(agent, env, 5),
    "after a world change": change_world,
    "after a world change of a fresh one": lambda agent, env: agent.on_world_change(),
    "after divergence": diverge,
    "after binding again": rebind,
    "after new hyperparameters": set_hyperparams,
}


def life_of(agent, env_maker):
    """Everything that can be seen of an agent: what it does, greedily and not, what it learns, what it becomes."""
    observations = np.random.default_rng(3).normal(size=(5, *env_maker().reset()[0].shape[-1:])).astype(np.float32)
    seen = [agent.act_greedy(o) for o in observations] + [agent.act(o) for o in observations]
    learned = []
    for window in windows(agent, env_maker(), 2, seed=9):
        seen.append(window.actions)
        try:
            learned.append(agent.learn(window))
        except NonFiniteError as error:
            learned.append(str(error))
    return [np.asarray(x).tolist() for x in seen], learned, agent.get_state("all")


QUICK = "ppo"
CASES = [
    pytest.param(kind, moment, marks=() if kind == QUICK or (number + place) % 3 == 0 else pytest.mark.slow)
    for place, kind in enumerate(KINDS)
    for number, moment in enumerate(MOMENTS)
]
"""Every moment of one that keeps much beside its weights, every third of the others; the rest are slow."""


@pytest.mark.parametrize(("kind", "moment"), CASES)
def test_a_state_given_back_changes_nothing(kind, moment):
    """Given back after a life, it is as if that had never been."""
    algorithm, changes = KINDS[kind]
    num_envs = 1 + 2 * (len(moment) % 2)

    def env():
        return env_of(algorithm, num_envs)

    agent = fresh_agent(algorithm, **changes)
    MOMENTS[moment](agent, env())
    state = copy.deepcopy(agent.get_state("all"))
    first = life_of(agent, env)
    agent.set_state(state)
    again = life_of(agent, env)
    assert first[:2] == again[:2]
    assert_same_state(first[2], again[2], but=("version",))


@pytest.mark.parametrize("algorithm", ["ppo", "policy_gradient"])
def test_the_first_spread_comes_back_to_the_last_bit(algorithm, tmp_path):
    from harness.small_envs import IdentityEnv

    from tensor_optix import make_agent

    agent = make_agent(IdentityEnv(NUMBERS), algorithm, hidden_units=(4,), seed=1)
    state, observation = agent.get_state(), np.ones(2, np.float32)
    first = [agent.act(observation) for _ in range(5)]
    agent.set_state(state)
    np.testing.assert_array_equal([agent.act(observation) for _ in range(5)], first)
    agent.set_state(state)
    agent.save_weights(str(tmp_path / "weights"))
    np.testing.assert_array_equal([load_agent(tmp_path / "weights").act(observation)], first[:1])


@pytest.mark.parametrize("algorithm", SMALL)
def test_a_policy_state_leaves_exploration_as_it_is(algorithm):
    agent, env = fresh_agent(algorithm), env_of(algorithm)
    teach(agent, env, 3)
    set_hyperparams(agent, env)
    before = agent.get_state("all")
    agent.set_state(agent.get_state("policy"))
    assert_same_state(before, agent.get_state("all"))
    assert agent.get_state("all").meta.get("epsilon") == before.meta.get("epsilon")


def test_a_first_window_that_diverges_leaves_the_normaliser_as_it_was():
    agent = fresh_agent("ppo")
    before = agent.get_state("policy")
    (window,) = windows(agent, env_of("ppo"), 1)
    agent.set_hyperparams(HyperparamSet({"learning_rate": 1e30, "max_grad_norm": None}, 0))
    with pytest.raises(NonFiniteError):
        agent.learn(window)
    assert_same_state(before, agent.get_state("policy"), but=("version",))
