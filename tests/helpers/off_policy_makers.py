"""Windows and checks that the tests of DQN and SAC share."""

import gymnasium as gym
import numpy as np

from tensor_optix.core.types import EpisodeData

VECTOR = gym.spaces.Box(-5.0, 5.0, (4,), np.float32)


def play(agent, number, length=40, num_envs=None, reward=None):
    """A window of random observations on which the agent acts."""
    rng = np.random.default_rng([5, number])
    shape = (length,) if num_envs is None else (length, num_envs)
    observations = rng.normal(size=(length + 1, *shape[1:], 4)).astype(np.float32)
    act = agent.act if num_envs is None else agent.act_batch
    actions = np.stack([np.asarray(act(observation)) for observation in observations[:-1]])
    return EpisodeData(
        observations=observations[:-1],
        actions=actions,
        rewards=rng.normal(size=shape) if reward is None else reward(observations[:-1], actions),
        terminated=rng.random(shape) < 0.1,
        truncated=rng.random(shape) < 0.05,
        infos=[],
        episode_id=number,
        next_observations=observations[1:],
    )


def assert_same_arrays(left, right, *, but=()):
    assert left.arrays.keys() == right.arrays.keys()
    for name, array in left.arrays.items():
        if not name.startswith(tuple(but)) or not but:
            np.testing.assert_array_equal(array, right.arrays[name], err_msg=name)


def play_on(agent, first, last, **how):
    """Act and learn window after window; what the agent said and what it became."""
    said = [agent.learn(play(agent, number, **how)) for number in range(first, last)]
    return said, agent.get_state("all")
