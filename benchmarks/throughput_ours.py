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
import tensorflow as tf

from tensor_optix import BatchPipeline, HyperparamSet, RLOptimizer
from tensor_optix.algorithms.dqn import SETTINGS as DQN_SETTINGS
from tensor_optix.algorithms.dqn import DQNAgent
from tensor_optix.algorithms.ppo import SETTINGS as PPO_SETTINGS
from tensor_optix.algorithms.ppo import PPOAgent
from tensor_optix.algorithms.sac import SETTINGS as SAC_SETTINGS
from tensor_optix.algorithms.sac import SACAgent
from tensor_optix.presets import make_agent, make_pipeline


def network(num_inputs, num_outputs, hidden, activation="tanh"):
    """Return a model as a user would write it."""
    layers = [keras.layers.Dense(units, activation=activation) for units in hidden]
    return keras.Sequential([keras.Input((num_inputs,)), *layers, keras.layers.Dense(num_outputs)])


def network_that_remembers(num_inputs, num_outputs, hidden, kind, units):
    """Return a model of logits and values on one cell, as a user would write it."""
    seen = keras.Input((num_inputs,))
    states = [keras.Input((units,)) for _ in range(2 if kind == "lstm" else 1)]
    cell = keras.layers.LSTMCell(units) if kind == "lstm" else keras.layers.GRUCell(units)
    found, after = cell(seen, states)
    outputs = []
    for size in (num_outputs, 1):
        x = found
        for width in hidden:
            x = keras.layers.Dense(width, activation="tanh")(x)
        outputs.append(keras.layers.Dense(size)(x))
    return keras.Model([seen, *states], [*outputs, *keras.tree.flatten(after)])


def models_of(workload):
    """Return actor and critic; one model of both where there is memory."""
    if "memory" in workload:
        return network_that_remembers(4, 2, workload["hidden"], workload["memory"], workload["memory_units"]), None
    return network(4, 2, workload["hidden"]), network(4, 1, workload["hidden"])


def run_ppo(workload):
    """Train with the user's models and optimizer; KL control, normalisation and evaluation are off."""
    params = {name: workload[name] for name in PPO_SETTINGS if name in workload}
    agent = PPOAgent(
        *models_of(workload),
        keras.optimizers.Adam(workload["learning_rate"], epsilon=1e-5),
        HyperparamSet({**params, "kl_target": None}, episode_id=0),
        batch_size=workload["batch_size"],
        normalize_observations=False,
        scale_rewards=False,
    )
    return train(agent, workload)


def run_dqn(workload):
    """Train as in SB3: one target network chooses and rates, one-step returns, no evaluation."""
    params = {name: workload[name] for name in DQN_SETTINGS if name in workload}
    agent = DQNAgent(
        network(4, 2, workload["hidden"], "relu"),
        keras.optimizers.Adam(workload["learning_rate"]),
        HyperparamSet(params, episode_id=0),
        double=False,
        num_steps=1,
        **{name: workload[name] for name in ("batch_size", "buffer_size", "learning_starts")},
    )
    return train(agent, workload, gym.make(workload["env"]))


def run_sac(workload):
    """Train with the user's actor and critic, strictly alternating with the environment."""
    params = {name: workload[name] for name in SAC_SETTINGS if name in workload}
    observation, action = keras.Input((3,)), keras.Input((1,))
    critic = network(4, 1, workload["hidden"], "relu")
    agent = SACAgent(
        network(3, 2, workload["hidden"], "relu"),
        keras.Model([observation, action], critic(keras.layers.Concatenate()([observation, action]))),
        keras.optimizers.Adam(workload["learning_rate"]),
        HyperparamSet(params, episode_id=0),
        **{name: workload[name] for name in ("batch_size", "buffer_size", "learning_starts")},
    )
    return train(agent, workload, gym.make(workload["env"]))


def train(agent, workload, env=None):
    """Step and learn without a loop around it; return gradient steps and seconds by use."""
    env = env or gym.make_vec(workload["env"], num_envs=workload["num_envs"], vectorization_mode="sync")
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
    workload, arm, threads = json.loads(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    if threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
    started = time.perf_counter()
    in_parity = {"ppo": run_ppo, "dqn": run_dqn, "sac": run_sac}[workload["algorithm"]]
    outcome = run_with_defaults(workload) if arm == "defaults" else in_parity(workload)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({**outcome, "seconds": seconds, "peak_mb": peak}))


if __name__ == "__main__":
    main()
