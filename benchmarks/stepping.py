"""What a step costs beyond the environment and the agent.

Runs the same environment, with an agent that does next to nothing, through ``BatchPipeline`` and
through the barest loop that could be written by hand, in turn, and prints the difference.

    python benchmarks/stepping.py --steps 40000 --repeats 7
"""

import argparse
import statistics
import time

import gymnasium as gym
import numpy as np

from tensor_optix.pipeline.batch_pipeline import BatchPipeline


class Cheap:
    """Acts in a fraction of a microsecond."""

    def __init__(self, num_envs):
        self.actions = np.zeros(num_envs, np.int64)

    def act(self, observation):
        return 0

    def act_batch(self, observations):
        return self.actions


class TinyEnv(gym.Env):
    """Steps in a fraction of a microsecond; episodes of 100 steps."""

    observation_space = gym.spaces.Box(-1, 1, (4,), np.float32)
    action_space = gym.spaces.Discrete(2)
    observation = np.zeros(4, np.float32)
    t = 0

    def reset(self, *, seed=None, options=None):
        self.t = 0
        return self.observation, {}

    def step(self, action):
        self.t += 1
        return self.observation, 1.0, self.t == 100, False, {}


def bare_single(env, agent, num_steps):
    observation, _ = env.reset(seed=0)
    act, step = agent.act, env.step
    started = time.process_time()
    for _ in range(num_steps):
        observation, _, terminated, truncated, _ = step(act(observation))
        if terminated or truncated:
            observation, _ = env.reset()
    return time.process_time() - started


def bare_vector(env, agent, num_steps):
    observation, _ = env.reset(seed=0)
    act, step = agent.act_batch, env.step
    started = time.process_time()
    for _ in range(num_steps):
        observation = step(act(observation))[0]
    return time.process_time() - started


def through_pipeline(env, agent, num_steps, window_size):
    pipeline = BatchPipeline(env, agent, window_size, seed=0, barrier_interval_steps=None)
    windows = pipeline.episodes()
    next(windows)
    started = time.process_time()
    for _ in range(num_steps // window_size):
        next(windows)
    return time.process_time() - started


def measure(name, make_env, window_size, num_steps, repeats):
    bare_times, pipeline_times = [], []
    for _ in range(repeats):
        env = make_env()
        vector = isinstance(env, gym.vector.VectorEnv)
        agent = Cheap(env.num_envs if vector else 1)
        steps = num_steps // window_size * window_size
        bare_times.append((bare_vector if vector else bare_single)(env, agent, steps) / steps)
        pipeline_times.append(through_pipeline(make_env(), agent, steps, window_size) / steps)
    bare, ours = (1e6 * statistics.median(times) for times in (bare_times, pipeline_times))
    overhead = 1e6 * statistics.median(b - a for a, b in zip(bare_times, pipeline_times, strict=True))
    print(f"{name:<34} {window_size:>6} {bare:>9.2f} {ours:>9.2f} {overhead:>9.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=40_000)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    print(f"{'CPU us per step, median':<34} {'window':>6} {'bare':>9} {'pipeline':>9} {'overhead':>9}")
    for window_size in (200, 2048, 1):
        measure("tiny env", TinyEnv, window_size, options.steps, options.repeats)
    measure("CartPole-v1", lambda: gym.make("CartPole-v1"), 200, options.steps, options.repeats)
    for mode in gym.vector.AutoresetMode:
        if mode is gym.vector.AutoresetMode.DISABLED:
            continue  # the bare loop would have to reset by mask itself
        make_env = lambda mode=mode: gym.vector.SyncVectorEnv([TinyEnv] * 8, autoreset_mode=mode)  # noqa: E731
        measure(f"8 tiny envs, {mode.value}", make_env, 32, options.steps // 8, options.repeats)
    make_env = lambda: gym.make_vec("CartPole-v1", 8, "vector_entry_point")  # noqa: E731
    measure("8 CartPoles, native vector env", make_env, 32, options.steps // 8, options.repeats)


if __name__ == "__main__":
    main()
