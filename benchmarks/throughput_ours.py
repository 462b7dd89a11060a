"""One timed run of ours, in a fresh process: prints one JSON line. See `throughput.py`."""

import json
import os
import resource
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import gymnasium as gym
import keras

from tensor_optix import BatchPipeline, HyperparamSet, RLOptimizer
from tensor_optix.algorithms.ppo import SETTINGS as PPO_SETTINGS
from tensor_optix.algorithms.ppo import PPOAgent
from tensor_optix.presets import make_agent, make_pipeline


def network(num_inputs, num_outputs, hidden):
    """Return a model as a user would write it."""
    layers = [keras.layers.Dense(units, activation="tanh") for units in hidden]
    return keras.Sequential([keras.Input((num_inputs,)), *layers, keras.layers.Dense(num_outputs)])


def run_ppo(workload):
    """Train with the user's models and optimizer; KL control, normalisation and evaluation are off."""
    params = {name: workload[name] for name in PPO_SETTINGS if name in workload}
    agent = PPOAgent(
        network(4, 2, workload["hidden"]),
        network(4, 1, workload["hidden"]),
        keras.optimizers.Adam(workload["learning_rate"], epsilon=1e-5),
        HyperparamSet({**params, "kl_target": None}, episode_id=0),
        batch_size=workload["batch_size"],
        normalize_observations=False,
        scale_rewards=False,
    )
    return train(agent, workload)


def train(agent, workload):
    """Step and learn without a loop around it; return gradient steps and seconds by use."""
    env = gym.make_vec(workload["env"], num_envs=workload["num_envs"], vectorization_mode="sync")
    pipeline = BatchPipeline(env, agent, workload["window_size"], seed=0, barrier_interval_steps=None)
    agent.bind(pipeline.observation_space, pipeline.action_space, num_envs=pipeline.num_envs, seed=0)
    env_steps, gradient_steps, learning, first = 0, 0, 0.0, None
    for window in pipeline.episodes():
        started = time.perf_counter()
        gradient_steps += agent.learn(window)["num_gradient_steps"]
        taken = time.perf_counter() - started
        first = taken if first is None else first
        learning += taken
        env_steps += window.env_steps
        if env_steps >= workload["env_steps"]:
            return {
                "env_steps": env_steps,
                "gradient_steps": gradient_steps,
                "learning_seconds": learning,
                "first_learn_seconds": first,
            }
    raise RuntimeError("the pipeline ended")


def run_with_defaults(workload):
    """Train as the front door does: all defaults, champions, greedy evaluation and saving."""
    pipeline = make_pipeline(workload["env"], algorithm=workload["algorithm"])
    agent = make_agent(workload["env"], workload["algorithm"], seed=0)
    with tempfile.TemporaryDirectory() as folder:
        budget = workload["env_steps"]
        optimizer = RLOptimizer(agent, pipeline, checkpoint_dir=folder, seed=0, max_env_steps=budget, report_episodes=0)
        result = optimizer.run()
    return {"env_steps": sum(result.env_steps.values()), "gradient_steps": None, "reason": result.reason}


def main():
    workload, arm = json.loads(sys.argv[1]), sys.argv[2]
    started = time.perf_counter()
    outcome = run_with_defaults(workload) if arm == "defaults" else {"ppo": run_ppo}[workload["algorithm"]](workload)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({**outcome, "seconds": seconds, "peak_mb": peak}))


if __name__ == "__main__":
    main()
