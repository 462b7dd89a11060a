"""One timed run of Stable-Baselines3, SB3-Contrib or SBX, in a fresh process: prints one JSON line.

See `throughput.py` and `memory.py`.
"""

import json
import resource
import sys
import time


def make_model(library, workload):
    """Return the peer's model of the workload, its environments made by its own helper."""
    from stable_baselines3.common.env_util import make_vec_env

    env = make_vec_env(workload["env"], n_envs=workload["num_envs"], seed=0)
    return {"ppo": make_ppo, "dqn": make_dqn, "sac": make_sac}[workload["algorithm"]](library, workload, env)


def make_ppo(library, workload, env):
    more = {}
    if library == "contrib":
        import sb3_contrib
        import torch

        kind, activation = sb3_contrib.RecurrentPPO, torch.nn.Tanh
        more = {
            "lstm_hidden_size": workload["memory_units"],
            "n_lstm_layers": 1,
            "shared_lstm": True,
            "enable_critic_lstm": False,
        }
    elif library == "sbx":
        import flax.linen as nn
        import sbx

        kind, activation = sbx.PPO, nn.tanh
    else:
        import stable_baselines3
        import torch

        kind, activation = stable_baselines3.PPO, torch.nn.Tanh
    return kind(
        "MlpLstmPolicy" if library == "contrib" else "MlpPolicy",
        env,
        learning_rate=workload["learning_rate"],
        n_steps=workload["window_size"],
        batch_size=workload["batch_size"],
        n_epochs=workload["num_epochs"],
        gamma=workload["gamma"],
        gae_lambda=workload["gae_lambda"],
        clip_range=workload["clip_ratio"],
        ent_coef=workload["entropy_coef"],
        vf_coef=workload["value_coef"],
        max_grad_norm=workload["max_grad_norm"],
        policy_kwargs={"net_arch": workload["hidden"], "activation_fn": activation, **more},
        seed=0,
        **({"device": "cpu"} if library != "sbx" else {}),
    )


def make_dqn(library, workload, env):
    from stable_baselines3 import DQN

    return DQN(
        "MlpPolicy",
        env,
        target_update_interval=workload["target_update_interval"],
        exploration_fraction=workload["epsilon_decay_steps"] / workload["env_steps"],
        exploration_final_eps=workload["epsilon_end"],
        max_grad_norm=workload["max_grad_norm"],
        device="cpu",
        **off_policy(workload),
    )


def make_sac(library, workload, env):
    if library == "sbx":
        from sbx import SAC

        return SAC("MlpPolicy", env, tau=workload["tau"], **off_policy(workload))
    from stable_baselines3 import SAC

    return SAC("MlpPolicy", env, tau=workload["tau"], device="cpu", **off_policy(workload))


def off_policy(workload):
    """Return what DQN and SAC are both told."""
    names = ("learning_rate", "gamma", "batch_size", "buffer_size", "learning_starts", "gradient_steps")
    shared = {name: workload[name] for name in names}
    return {
        **shared,
        "train_freq": workload["train_frequency"],
        "policy_kwargs": {"net_arch": workload["hidden"]},
        "seed": 0,
    }


def main():
    workload, library, threads = json.loads(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    if library != "sbx":
        import stable_baselines3  # noqa: F401 - imports are not timed
        import torch

        torch.set_num_threads(threads)
    else:
        import sbx  # noqa: F401
    started = time.perf_counter()
    model = make_model(library, workload)
    model.learn(workload["env_steps"])
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"env_steps": model.num_timesteps, "seconds": seconds, "peak_mb": peak}))


if __name__ == "__main__":
    main()
