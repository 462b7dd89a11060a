"""Only what is allowed: Taxi tells in each step's info what would do nothing, and a mask of one's own rules out more.

python examples/action_masks.py
"""

import gymnasium as gym
import numpy as np

from tensor_optix import BatchPipeline, RLOptimizer, evaluate, make_agent

SOUTH, NORTH, PICK_UP = 0, 1, 4


def never_back(observation, info):
    """Return what Taxi tells is allowed, without turning around where anything else is left to do."""
    mask = np.array(info["action_mask"], bool)
    last = info.get("last_action")
    if last in (SOUTH, NORTH) and mask.sum() > 1:
        mask[NORTH if last == SOUTH else SOUTH] = False
    return mask


class TellsLastAction(gym.Wrapper):
    def step(self, action):
        observation, reward, terminated, truncated, info = self.env.step(action)
        return observation, reward, terminated, truncated, {**info, "last_action": int(action)}


def counts_illegal(env, act, num_steps=500):
    """Return how often an action was taken that Taxi's mask rules out."""
    count, (observation, info) = 0, env.reset(seed=0)
    for _ in range(num_steps):
        action = act(observation, info)
        count += not info["action_mask"][action]
        observation, _, terminated, truncated, info = env.step(action)
        if terminated or truncated:
            observation, info = env.reset()
    return count


def main():
    # Found by itself: nothing to be said.
    agent = make_agent("Taxi-v4", "ppo", seed=0)
    pipeline = BatchPipeline(lambda: gym.make_vec("Taxi-v4", 8, vectorization_mode="sync"), agent, 256)
    result = RLOptimizer(agent, pipeline, max_env_steps=60_000, seed=0, checkpoint_dir="taxi").run()
    print(result)
    print("greedy, of what is allowed:", evaluate(agent, "Taxi-v4", 20))

    # By hand, with the mask beside the observation.
    policy = agent.policy()
    masked = counts_illegal(gym.make("Taxi-v4"), lambda o, info: policy.act(o, action_mask=info["action_mask"]))
    print(f"not allowed, with masks: {masked} of 500;", end=" ")
    print(f"without: {counts_illegal(gym.make('Taxi-v4'), lambda o, info: policy.act(o))} of 500")

    # A mask of one's own: a callable of one environment's observation and info.
    other = make_agent("Taxi-v4", "ppo", seed=0)
    pipeline = BatchPipeline(lambda: TellsLastAction(gym.make("Taxi-v4")), other, 512, action_mask=never_back)
    print(RLOptimizer(other, pipeline, max_env_steps=20_000, seed=0, checkpoint_dir="straight").run())


if __name__ == "__main__":
    main()
