"""Load the agents of some folders and print how they play, as JSON: in a process that made none of them."""

import json
import sys

import numpy as np
from echo_env import SPACES, EchoEnv

from tensor_optix import evaluate, load_agent


def played(agent, name):
    """Return an agent's return, its first greedy actions and their dtypes."""
    env = EchoEnv(SPACES[name])
    result = evaluate(agent, env, num_episodes=3, seed=5)
    observation, _ = env.reset(seed=6)
    actions = []
    for _ in range(20):
        actions.append(np.asarray(agent.act_greedy(observation)))
        observation, *_ = env.step(agent.act_greedy(observation))
    return [result.mean, [action.tolist() for action in actions], actions[0].dtype.name]


if __name__ == "__main__":
    print(json.dumps({name: played(load_agent(folder), name) for name, folder in json.loads(sys.argv[1]).items()}))
