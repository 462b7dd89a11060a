"""One Quick Start in a process of its own: the worker of the two benchmarks beside it.

Runs with tensor-optix 0.1.0 and with this one. The clock starts after the imports; building the
model and compiling count. The last line of the output is a JSON object.

    python benchmarks/quick_start.py CartPole-v1 --seed 0 --max-windows 200
"""

import argparse
import json
import platform
import tempfile
import time

import gymnasium as gym
import keras
import numpy as np
import tensorflow as tf

import tensor_optix
from tensor_optix import BatchPipeline, HyperparamSet, RLOptimizer, TFAgent

LAYER_SIZES = {"CartPole-v1": (4, 2), "Acrobot-v1": (6, 3)}
"""Inputs and outputs of the model: with the environment, all that is ever changed."""

WINDOW_SIZE = 200


def build(env_id, checkpoint_dir, **arguments):
    """Return the optimizer of the Quick Start, and its agent."""
    num_inputs, num_outputs = LAYER_SIZES[env_id]
    model = tf.keras.Sequential([
        tf.keras.layers.Input(shape=(num_inputs,)),
        tf.keras.layers.Dense(64, activation="relu"),
        tf.keras.layers.Dense(64, activation="relu"),
        tf.keras.layers.Dense(num_outputs),
    ])  # fmt: skip
    agent = TFAgent(
        model=model,
        optimizer=tf.keras.optimizers.Adam(learning_rate=3e-4),
        hyperparams=HyperparamSet(params={"learning_rate": 3e-4, "gamma": 0.99}, episode_id=0),
    )
    pipeline = BatchPipeline(env=gym.make(env_id), agent=agent, window_size=WINDOW_SIZE)
    return RLOptimizer(agent=agent, pipeline=pipeline, checkpoint_dir=checkpoint_dir, **arguments), agent


def run(env_id, seed, max_windows=None, max_env_steps=None, check_episodes=0):
    """Return what one run took and reached."""
    tf.keras.utils.set_random_seed(seed)  # the first weights
    arguments = {"max_episodes": max_windows}
    is_first_release = not hasattr(tensor_optix, "RunResult")
    if not is_first_release:
        arguments |= {"seed": seed, "max_env_steps": max_env_steps}
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        optimizer, agent = build(env_id, folder, **arguments)
        result = optimizer.run()
        outcome = {"seed": seed, "seconds": time.perf_counter() - start}
    if is_first_release:
        return outcome | {"env_steps": max_windows * WINDOW_SIZE, "versions": versions()}
    outcome |= {
        "env_steps": result.env_steps["training"],
        "env_steps_by_use": dict(result.env_steps),
        "reason": result.reason,
        "explanation": result.explanation,
        "reported_mean": result.confirmed_mean,
        "reported_interval": result.confirmed_interval,
    }
    if check_episodes:
        checked = tensor_optix.evaluate(agent, gym.make(env_id), check_episodes, seed=1_000_000 + seed)
        outcome |= {"checked_mean": checked.mean, "checked_interval": checked.interval}
    return outcome | {"versions": versions()}


def versions():
    """Return the versions that the figures depend on."""
    modules = {"tensorflow": tf, "keras": keras, "gymnasium": gym, "numpy": np}
    found = {"python": platform.python_version(), "tensor-optix": getattr(tensor_optix, "__version__", "0.1.0")}
    return found | {name: module.__version__ for name, module in modules.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("env_id", choices=sorted(LAYER_SIZES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--max-windows", type=int)
    parser.add_argument("--max-env-steps", type=int)
    parser.add_argument("--check-episodes", type=int, default=0, help="fresh greedy episodes, after the run")
    print(json.dumps(run(**vars(parser.parse_args()))))


if __name__ == "__main__":
    main()
