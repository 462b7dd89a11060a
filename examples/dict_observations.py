"""An observation of several parts, and a network with an input for each, named as the part is."""

import gymnasium as gym
import keras
import numpy as np

from tensor_optix import BatchPipeline, PPOAgent, RLOptimizer


class Delivery(gym.Env):
    """Bring a parcel to one of four doors: where you are is a number, which door is a label."""

    observation_space = gym.spaces.Dict({
        "place": gym.spaces.Box(-1.0, 1.0, (1,), np.float32),
        "door": gym.spaces.Discrete(4),
    })  # fmt: skip
    action_space = gym.spaces.Discrete(3)  # left, right, ring
    doors = np.linspace(-0.9, 0.9, 4)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place, self.door = self.np_random.uniform(-1.0, 1.0), int(self.np_random.integers(4))
        return self.seen(), {}

    def step(self, action):
        before = abs(self.place - self.doors[self.door])
        self.place = float(np.clip(self.place + (-0.2, 0.2, 0.0)[action], -1.0, 1.0))
        distance, rings = abs(self.place - self.doors[self.door]), action == 2
        reward = before - distance - 0.05
        if rings:
            reward += 1.0 if distance < 0.15 else -1.0
        return self.seen(), reward, rings, False, {}

    def seen(self):
        return {"place": np.array([self.place], np.float32), "door": self.door}


def network(num_outputs):
    """A Discrete part arrives as its number; an Embedding makes a vector of it."""
    place, door = keras.Input((1,), name="place"), keras.Input((1,), name="door", dtype="int32")
    hidden = keras.layers.Concatenate()([place, keras.layers.Flatten()(keras.layers.Embedding(4, 8)(door))])
    hidden = keras.layers.Dense(64, activation="tanh")(hidden)
    hidden = keras.layers.Dense(64, activation="tanh")(hidden)
    return keras.Model({"place": place, "door": door}, keras.layers.Dense(num_outputs)(hidden))


def make_env():
    return gym.wrappers.TimeLimit(Delivery(), max_episode_steps=30)


def main():
    keras.utils.set_random_seed(0)
    agent = PPOAgent(actor=network(3), critic=network(1))
    pipeline = BatchPipeline(lambda: gym.vector.SyncVectorEnv([make_env] * 8), agent, window_size=128)
    print(RLOptimizer(agent, pipeline, seed=0, max_env_steps=100_000).run())


if __name__ == "__main__":
    main()
