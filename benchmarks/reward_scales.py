"""Whether a constant added to all rewards, or another unit of them, changes what is learned where it should not.

The tasks ask for the action that belongs to a state, and an episode has a fixed length that cannot be seen: one step,
or 20 that end by truncation or by termination. There neither a constant nor a factor changes which policy is best. Each
agent learns for so many env steps with its defaults, on small networks; told is the share of states that its greedy
policy answers right, over the seeds.

    python benchmarks/reward_scales.py
    python benchmarks/reward_scales.py --agents sac --kinds truncated --seeds 3
"""

import argparse
import datetime
import importlib.metadata
import itertools
import json
import os
from pathlib import Path

import gymnasium as gym
import keras
import numpy as np
from harness.small_envs import AnswerEnv

from tensor_optix import BatchPipeline, HyperparamSet, TFAgent
from tensor_optix.presets import make_agent

AGENTS = ("tf_agent", "ppo", "dqn", "sac")
KINDS = {"one step": (1, True), "truncated": (20, False), "terminated": (20, True)}
"""Steps of an episode, and whether it ends by termination."""

OFFSETS = (0.0, 10.0, -10.0, 100.0, -100.0)
SCALES = (1e-3, 1e4)
"""A wrong answer is worth the offset, a right one the scale more."""

BUDGETS = {"tf_agent": (200, 8_000), "ppo": (512, 10_240), "dqn": (128, 3_072), "sac": (16, 1_504)}
"""Env steps of a window, all environments together, and of all windows."""

TOLERANCE = 0.05


def cases_of(offsets=OFFSETS, scales=SCALES):
    """Return pairs of an offset and a scale, one of which is the usual one."""
    return [*((offset, 1.0) for offset in offsets), *((0.0, scale) for scale in scales)]


def agent_for(name, env, seed):
    """Return an agent with its defaults, on small networks."""
    if name != "tf_agent":
        return make_agent(env, name, seed=seed, hidden_units=(64, 64))
    keras.utils.set_random_seed(seed)
    (size,) = env.observation_space.shape
    head = keras.layers.Dense(int(env.action_space.n))
    layers = [keras.Input((size,)), keras.layers.Dense(32, activation="tanh"), head]
    return TFAgent(keras.Sequential(layers), keras.optimizers.Adam(3e-3), HyperparamSet({}, episode_id=0))


def share_right(name, kind, offset, scale, num_envs, seed, env_steps=None):
    """Return the share of states that an agent answers right after so many env steps."""
    length, terminates = KINDS[kind]

    def make():
        return AnswerEnv(length, terminates=terminates, offset=offset, scale=scale, is_box=name == "sac")

    window_steps, budget = BUDGETS[name]
    agent = agent_for(name, make(), seed)
    source = make() if num_envs == 1 else gym.vector.SyncVectorEnv([make] * num_envs)
    pipeline = BatchPipeline(source, agent, window_size=max(1, window_steps // num_envs), seed=seed)
    asked = make()
    agent.bind(asked.observation_space, asked.action_space, num_envs=num_envs, seed=seed)
    pipeline.setup()
    for window in itertools.islice(pipeline.episodes(), (env_steps or budget) // window_steps):
        agent.learn(window)
    pipeline.teardown()
    return asked.share_right(agent.act_greedy)


def in_turn(agents, kinds, cases, num_envs, num_seeds):
    """Print a line for each case and return all shares, by case."""
    found = {}
    print(f"{'agent':9} {'episodes':10} {'envs':>4} {'offset':>7} {'scale':>7}  share right (mean), of each seed")
    for name, kind, envs, (offset, scale) in itertools.product(agents, kinds, num_envs, cases):
        shares = [share_right(name, kind, offset, scale, envs, seed) for seed in range(num_seeds)]
        found[f"{name}, {kind}, {envs} envs, offset {offset:g}, scale {scale:g}"] = shares
        each = " ".join(f"{share:.2f}" for share in shares)
        print(f"{name:9} {kind:10} {envs:4} {offset:7g} {scale:7g}  {np.mean(shares):.3f}: {each}", flush=True)
    return found


def main():
    """Make the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", nargs="+", choices=AGENTS, default=AGENTS)
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--num-envs", nargs="+", type=int, default=[1, 4])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--offsets", nargs="*", type=float, default=OFFSETS, help="at scale 1")
    parser.add_argument("--scales", nargs="*", type=float, default=SCALES, help="at offset 0")
    parser.add_argument("--json", type=Path, help="file for the figures")
    given = parser.parse_args()
    cases = cases_of(given.offsets, given.scales)
    versions = {name: importlib.metadata.version(name) for name in ("tensorflow", "keras", "gymnasium")}
    told = {"date": f"{datetime.date.today()}", "versions": versions, "cores": os.cpu_count(), "seeds": given.seeds}
    print(" ".join(f"{name}: {value}" for name, value in told.items()))
    shares = in_turn(given.agents, given.kinds, cases, given.num_envs, given.seeds)
    if given.json:
        given.json.write_text(json.dumps({**told, "shares": shares}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
