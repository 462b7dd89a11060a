"""An environment of your own, and a wrapper that changes its reward.

A robot walks a corridor to its charger. Each step drains the battery, the more the faster it goes.
"""

import gymnasium as gym
import numpy as np
from gymnasium.utils.env_checker import check_env

from tensor_optix import RLOptimizer, evaluate, make_agent, make_pipeline


class Corridor(gym.Env):
    """Walk to the charger at 1; the reward comes there, and only there."""

    observation_space = gym.spaces.Box(-1.0, 1.0, (2,), np.float32)  # place, battery
    action_space = gym.spaces.Box(-1.0, 1.0, (1,), np.float32)  # speed

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)  # makes self.np_random, the only source of chance
        self.place, self.battery = self.np_random.uniform(-1.0, 0.0), 1.0
        return self.seen(), {}

    def step(self, action):
        speed = float(action[0])
        self.place = float(np.clip(self.place + 0.1 * speed, -1.0, 1.0))
        drained = 0.01 + 0.025 * speed**2
        self.battery -= drained
        arrived, is_empty = self.place >= 0.95, self.battery <= 0.0
        info = {"is_success": arrived, "drained": drained}
        return self.seen(), float(arrived), arrived or is_empty, False, info  # what cuts an episode is a TimeLimit

    def seen(self):
        return np.array([self.place, max(self.battery, -1.0)], np.float32)


class Thrifty(gym.Wrapper):
    """A reward for what was asked for: arrive, and save the battery; with a hint of the way there."""

    def step(self, action):
        before = self.env.unwrapped.place
        observation, reward, terminated, truncated, info = self.env.step(action)
        reward += 0.5 * (self.env.unwrapped.place - before) - info["drained"]
        return observation, reward, terminated, truncated, info


def make_env():
    return gym.wrappers.TimeLimit(Thrifty(Corridor()), max_episode_steps=100)


def main():
    check_env(Corridor(), skip_render_check=True)
    agent = make_agent(make_env, "ppo", seed=0)
    pipeline = make_pipeline(make_env, agent)
    result = RLOptimizer(agent, pipeline, seed=0, max_env_steps=100_000).run()
    print(result)
    print("In the plain corridor:", evaluate(agent, lambda: gym.wrappers.TimeLimit(Corridor(), 100)))


if __name__ == "__main__":
    main()
