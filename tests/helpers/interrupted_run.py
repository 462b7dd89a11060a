"""A run that waits for Ctrl-C; run by a test in a session of its own. Arguments: kind of environment, folder."""

import contextlib
import sys

import gymnasium as gym
from resume_fakes import LinearAgent, MeanReturn

from tensor_optix import BatchPipeline, LoopCallback, RLOptimizer
from tensor_optix.pipeline.stepping import env_guard


class Say(LoopCallback):
    def on_episode_end(self, episode_id, metrics):
        if episode_id == 5:
            print("GO", flush=True)


def vector():
    return gym.vector.AsyncVectorEnv([lambda: gym.make("CartPole-v1")] * 2)


def main(kind, folder):
    if kind == "unshielded":
        env_guard.withhold_interrupts_from = lambda env: None
    env = {"single": lambda: gym.make("CartPole-v1"), "made": vector}.get(kind) or vector()
    agent = LinearAgent()
    pipeline = BatchPipeline(env, agent, 50)
    optimizer = RLOptimizer(
        agent, pipeline, MeanReturn(), checkpoint_dir=folder, max_env_steps=10**8, seed=0, callbacks=[Say()]
    )
    result = optimizer.run()
    print(result.reason, result.is_interrupted, None if result.report is None else result.report.num_episodes)
    print(result.champion is not None, result.explanation, result.notes)
    if not callable(env):
        with contextlib.suppress(Exception):  # its processes may have ended
            env.close(terminate=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
