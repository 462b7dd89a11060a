"""Pixels and a convolutional network: catch a falling ball."""

import gymnasium as gym
import keras
import numpy as np

from tensor_optix import BatchPipeline, PPOAgent, RLOptimizer

SIZE = 8


class Catch(gym.Env):
    """A ball falls through a picture of 8 x 8 pixels; a paddle at the bottom moves left, stays or moves right."""

    observation_space = gym.spaces.Box(0, 255, (SIZE, SIZE, 1), np.uint8)
    action_space = gym.spaces.Discrete(3)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.ball, self.paddle = [0, int(self.np_random.integers(SIZE))], SIZE // 2
        return self.picture(), {}

    def step(self, action):
        self.paddle = int(np.clip(self.paddle + int(action) - 1, 0, SIZE - 1))
        self.ball[0] += 1
        is_down = self.ball[0] == SIZE - 1
        caught = abs(self.ball[1] - self.paddle) <= 1
        return self.picture(), (1.0 if caught else -1.0) if is_down else 0.0, is_down, False, {}

    def picture(self):
        pixels = np.zeros((SIZE, SIZE, 1), np.uint8)
        pixels[*self.ball] = 255
        pixels[-1, max(0, self.paddle - 1) : self.paddle + 2] = 128
        return pixels


def network(num_outputs):
    """Bytes reach the model as bytes: the first layer brings them to 0 to 1."""
    return keras.Sequential([
        keras.Input((SIZE, SIZE, 1)),
        keras.layers.Rescaling(1 / 255),
        keras.layers.Conv2D(16, 3, activation="relu"),
        keras.layers.Flatten(),
        keras.layers.Dense(64, activation="relu"),
        keras.layers.Dense(num_outputs),
    ])  # fmt: skip


def main():
    keras.utils.set_random_seed(0)  # the weights are drawn here, not by the run
    agent = PPOAgent(actor=network(3), critic=network(1))
    pipeline = BatchPipeline(lambda: gym.vector.SyncVectorEnv([Catch] * 8), agent, window_size=128)
    print(RLOptimizer(agent, pipeline, seed=0, max_env_steps=60_000).run())


if __name__ == "__main__":
    main()
