"""What `throughput.py` runs: plain data, so that the environment of every library can read it."""

PPO_CARTPOLE = {
    "algorithm": "ppo",
    "env": "CartPole-v1",
    "env_steps": 100_000,
    "hidden": [64, 64],
    "learning_rate": 1e-3,
    "gamma": 0.98,
    "gae_lambda": 0.8,
    "clip_ratio": 0.2,
    "value_coef": 0.5,
    "entropy_coef": 0.0,
    "max_grad_norm": 0.5,
}

WORKLOADS = {
    "ppo": {**PPO_CARTPOLE, "num_envs": 8, "window_size": 32, "batch_size": 256, "num_epochs": 20},
    "ppo-sb3-defaults": {
        **PPO_CARTPOLE,
        "learning_rate": 3e-4,
        "gamma": 0.99,
        "gae_lambda": 0.95,
        "num_envs": 1,
        "window_size": 2048,
        "batch_size": 64,
        "num_epochs": 10,
    },
}

WORKLOADS["dqn"] = {
    "algorithm": "dqn",
    "env": "CartPole-v1",
    "env_steps": 50_000,
    "num_envs": 1,
    "window_size": 256,
    "hidden": [256, 256],
    "learning_rate": 2.3e-3,
    "gamma": 0.99,
    "batch_size": 64,
    "buffer_size": 100_000,
    "learning_starts": 1_000,
    "train_frequency": 256,
    "gradient_steps": 128,
    "target_update_interval": 256,
    "max_grad_norm": 10.0,
    "epsilon_end": 0.04,
    "epsilon_decay_steps": 8_000,
}
WORKLOADS["sac"] = {
    "algorithm": "sac",
    "env": "Pendulum-v1",
    "env_steps": 10_000,
    "num_envs": 1,
    "window_size": 1,
    "hidden": [256, 256],
    "learning_rate": 1e-3,
    "gamma": 0.99,
    "tau": 0.005,
    "batch_size": 256,
    "buffer_size": 1_000_000,
    "learning_starts": 100,
    "train_frequency": 1,
    "gradient_steps": 1,
}

SCALING = {
    **{f"num-envs-{n}": {"num_envs": n, "window_size": 2048 // n} for n in (1, 8, 64, 256)},
    **{f"width-{units}": {"hidden": [units, units], "window_size": 2048 // 8} for units in (256, 1024)},
}
SCALING = {name: {**WORKLOADS["ppo"], "env_steps": 40_000, "num_epochs": 10, **own} for name, own in SCALING.items()}
"""How speed grows: windows of 2,048 env steps, 10 epochs of 256; width 64 is that of `num-envs-8`."""

LONG = {"million": {**WORKLOADS["ppo"], "env_steps": 1_000_000}}
"""Whether memory grows."""

GOALS = {
    "ppo": {"sb3": 4.0, "sbx": 2.2},
    "ppo-sb3-defaults": {"sb3": 10.0},
    "dqn": {"sb3": 3.5},
    "sac": {"sb3": 1.6, "sbx": 1.1},
}
"""How many times faster than each library we mean to be, compile time counted."""


def num_gradient_steps(workload):
    """Return how many gradient steps the workload takes."""
    if "train_frequency" in workload:
        rounds = (workload["env_steps"] - workload["learning_starts"]) // workload["train_frequency"]
        return rounds * workload["gradient_steps"]
    per_window = workload["num_envs"] * workload["window_size"]
    windows = -(-workload["env_steps"] // per_window)
    return windows * workload["num_epochs"] * per_window // workload["batch_size"]
