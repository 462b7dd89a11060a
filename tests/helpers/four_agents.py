"""One small agent of each kind, an environment that it masters in seconds, and what tests ask of both."""

import gymnasium as gym
import numpy as np
from harness.small_envs import IdentityEnv

from tensor_optix import BatchPipeline, RLOptimizer, evaluate, make_agent

CHOICES = gym.spaces.Discrete(2, start=1)
NUMBERS = gym.spaces.Box(-2.0, 2.0, (1,), np.float32)
LEARNING = {"learning_rate": 1e-2, "gamma": 0.5, "hidden_units": (16,)}
REPLAY = {**LEARNING, "buffer_size": 4000, "learning_starts": 60, "batch_size": 32}

SMALL = {
    "policy_gradient": (CHOICES, {"hidden_units": (8,), "learning_rate": 5e-2, "entropy_coef": 0.0, "kl_target": 1.0}),
    "ppo": (CHOICES, {"hidden_units": (8,), "batch_size": 32, "jit_compile": False, "learning_rate": 2e-2}),
    "dqn": (
        CHOICES,
        {"epsilon_decay_steps": 300, **REPLAY},
    ),
    "sac": (NUMBERS, {"initial_alpha": 0.05, **REPLAY}),
}
"""Of each algorithm the action space and the overrides of ``make_agent``."""

LENGTH = 10
"""Steps of an episode, which is also what a perfect one is worth."""


def env_of(algorithm, num_envs=1, wrap=lambda env: env):
    def one():
        return wrap(IdentityEnv(SMALL[algorithm][0], LENGTH))

    return one() if num_envs == 1 else gym.vector.SyncVectorEnv([one] * num_envs)


def fresh_agent(algorithm, seed=3, **changes):
    return make_agent(env_of(algorithm), algorithm, seed=seed, **{**SMALL[algorithm][1], **changes})


def run(agent, env, folder, *, seed, windows=1, window_size=60):
    """Train for some windows; the agent is then what the last one made, whatever the champion is."""
    pipeline = BatchPipeline(env, window_size=window_size)
    optimizer = RLOptimizer(
        agent, pipeline, checkpoint_dir=str(folder), seed=seed, max_episodes=windows, report_episodes=0
    )
    return optimizer.run()


def greedy_score(agent, algorithm, num_envs=1):
    return evaluate(agent, env_of(algorithm, num_envs), 20, seed=5).mean


def assert_same_state(left, right, *, but=()):
    """Bit for bit, apart from the arrays and entries named."""
    assert left.arrays.keys() == right.arrays.keys()
    for name, array in left.arrays.items():
        np.testing.assert_array_equal(array, right.arrays[name], err_msg=name)
    assert _without(left.meta, but) == _without(right.meta, but)


def _without(meta, names):
    if not isinstance(meta, dict):
        return meta
    return {key: _without(value, names) for key, value in meta.items() if key not in names}
