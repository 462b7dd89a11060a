"""A policy that remembers: CartPole whose velocities are hidden, with a Keras model that carries its own state.

The model takes `[observation, *states]` and gives `[output(s), *new states]`: any cells, any number of states.
`make_agent(env, "ppo", memory="gru")` builds one that is like this one.
"""

import argparse

import gymnasium as gym
import keras
import numpy as np

from tensor_optix import BatchPipeline, PPOAgent, RLOptimizer, evaluate


class PositionsOnly(gym.ObservationWrapper):
    """Shows the cart's place and the pole's angle, so that how fast they change must be remembered."""

    def __init__(self, env):
        super().__init__(env)
        self.observation_space = gym.spaces.Box(-5.0, 5.0, (2,), np.float32)

    def observation(self, observation):
        return observation[::2]


def make_env():
    return PositionsOnly(gym.make("CartPole-v1"))


def make_model(units=64):
    seen, state = keras.Input((2,)), keras.Input((units,))
    x = keras.layers.Dense(64, activation="tanh")(seen)
    x, new_state = keras.layers.GRUCell(units)(x, state)
    logits = keras.layers.Dense(2)(keras.layers.Dense(64, activation="tanh")(x))
    value = keras.layers.Dense(1)(keras.layers.Dense(64, activation="tanh")(x))
    return keras.Model([seen, state], [logits, value, new_state])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--max-env-steps", type=int, default=150_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    agent = PPOAgent(make_model())
    pipeline = BatchPipeline(lambda: gym.vector.SyncVectorEnv([make_env] * 8), agent, window_size=256)
    result = RLOptimizer(agent, pipeline, seed=arguments.seed, max_env_steps=arguments.max_env_steps).run()
    print(f"Reached {result.confirmed_mean} in {result.env_steps['training']:,} steps")

    # The agent knows where its own episodes begin. Whoever acts with a policy elsewhere keeps the states.
    print("Greedy episodes:", evaluate(agent, make_env, num_episodes=10))
    policy, env, total, over = agent.policy(), make_env(), 0.0, False
    states = policy.initial_states(1)
    observation, _ = env.reset(seed=1)
    while not over:
        action, states = policy.act(observation, greedy=True, states=states)
        observation, reward, terminated, truncated, _ = env.step(action)
        total, over = total + reward, terminated or truncated
    print("An episode by hand:", total)


if __name__ == "__main__":
    main()
