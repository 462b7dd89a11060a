"""Log training curves of Stable-Baselines3, which no rule here was made with, in the form of `judgement_curves.py`.

    benchmarks/.venvs/sb3/bin/python benchmarks/judgement_sb3.py --out curves    # one file a run
    python benchmarks/judgement_curves.py --out curves --pack                    # joins them

Needs `stable-baselines3` beside NumPy and Gymnasium, as in `benchmarks/.venvs/sb3`, which `throughput.py` makes.
A window is one rollout of all environments. The settings are SB3's defaults but for what `RUNS` names.
"""

import argparse
import time
from pathlib import Path

import gymnasium as gym
import numpy as np
from judgement_curves import save
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv

ALGORITHMS = {"ppo": PPO, "a2c": A2C}
RUNS = {
    # environment, algorithm: (seeds, env steps, environments at once, settings)
    ("Acrobot-v1", "ppo"): (5, 150_000, 8, {"n_steps": 128, "batch_size": 256, "learning_rate": 1e-3}),
    ("CartPole-v1", "ppo"): (5, 150_000, 8, {"n_steps": 32, "batch_size": 256, "learning_rate": 1e-3}),
    ("Acrobot-v1", "a2c"): (5, 150_000, 8, {"n_steps": 16}),
    ("Pendulum-v1", "ppo"): (5, 300_000, 4, {"n_steps": 512, "batch_size": 256, "gamma": 0.9, "learning_rate": 1e-3}),
}


class Returns(BaseCallback):
    """Keeps the returns of the episodes that ended in each rollout."""

    def __init__(self):
        super().__init__()
        self.counts, self.returns = [], []
        self._of_rollout = []

    def _on_step(self):
        self._of_rollout += [info["episode"]["r"] for info in self.locals["infos"] if "episode" in info]
        return True

    def _on_rollout_end(self):
        self.counts.append(len(self._of_rollout))
        self.returns += self._of_rollout
        self._of_rollout = []


def name_of(env_id):
    return f"{env_id.split('-')[0]}-sb3"


def maker(env_id):
    return lambda: gym.wrappers.RecordEpisodeStatistics(gym.make(env_id))


def first_returns(model, env, min_episodes=20):
    """Return what the untrained policy earns, acting as it does in training."""
    returns, observations = [], env.reset()
    while len(returns) < min_episodes:
        observations, _, _, infos = env.step(model.predict(observations)[0])
        returns += [float(info["episode"]["r"]) for info in infos if "episode" in info]
    return np.asarray(returns, dtype=np.float32)


def run(env_id, algorithm, seed, steps, num_envs, settings):
    """Train from start to end and return the record."""
    started = time.perf_counter()
    env = DummyVecEnv([maker(env_id)] * num_envs)
    model = ALGORITHMS[algorithm]("MlpPolicy", env, seed=seed, device="cpu", **settings)
    initial = first_returns(model, DummyVecEnv([maker(env_id)] * num_envs))
    kept = Returns()
    model.learn(steps, callback=kept)
    name = name_of(env_id)
    meta = {"name": f"{name}-{algorithm}-good-{seed}", "kind": "good", "env": name, "twist": None}
    meta |= {"algorithm": algorithm, "seed": seed, "steps": steps, "num_envs": num_envs, "settings": settings}
    return {
        "meta": {**meta, "seconds": round(time.perf_counter() - started, 1)},
        "window_steps": num_envs * model.n_steps,
        "counts": np.array(kept.counts, dtype=np.int32),
        "returns": np.asarray(kept.returns, dtype=np.float32),
        "initial": initial,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for seed in range(max(count for count, *_ in RUNS.values())):
        for (env_id, algorithm), (count, *rest) in RUNS.items():
            path = arguments.out / f"{name_of(env_id)}-{algorithm}-good-{seed}.npz"
            if seed >= count or path.exists():
                continue
            record = run(env_id, algorithm, seed, *rest)
            save(record, path)
            parts = [float(part.mean()) for part in np.array_split(record["returns"], 6)]
            print(record["meta"]["name"], record["meta"]["seconds"], record["initial"].mean(), parts, flush=True)


if __name__ == "__main__":
    main()
