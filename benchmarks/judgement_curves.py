"""Log real training curves, from the untrained policy to long after learning has ended.

    python benchmarks/judgement_curves.py --out curves             # all runs not yet there, one file each
    python benchmarks/judgement_curves.py --out curves --shard 0/2 # every second one, for two processes
    python benchmarks/judgement_curves.py --out curves --pack      # joins them in benchmarks/results/curves/

No run is stopped early and nothing is evaluated: the windows are those that a loop would see, and what is kept of each
is the returns of the episodes that ended in it. The runs called bad never learn: a learning rate that is far too small
or too large, or an environment in which there is nothing to learn.
"""

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np

RESULTS = Path(__file__).with_name("results") / "curves"

SMALL_DQN = {"hidden_units": (64,), "train_frequency": 4, "learning_rate": 1e-3}
QUICK = {"num_epochs": 2}
SLOW, FAST = {"learning_rate": 1e-8, **QUICK}, {"learning_rate": 1.0, **QUICK}

GOOD = {
    # environment, algorithm: (seeds, env steps, environments at once, window of each, settings)
    ("Identity", "dqn"): (8, 50_000, 1, 100, SMALL_DQN),
    ("Identity", "ppo"): (8, 60_000, 8, 16, {}),
    ("CliffWalking", "dqn"): (8, 60_000, 1, 200, SMALL_DQN),
    ("CliffWalking", "ppo"): (8, 160_000, 8, 32, {"learning_rate": 1e-3}),
    ("FrozenLake", "dqn"): (8, 100_000, 1, 200, SMALL_DQN),
    ("FrozenLake", "ppo"): (8, 120_000, 8, 32, {"learning_rate": 1e-3}),
    ("Catch", "dqn"): (8, 80_000, 1, 200, SMALL_DQN),
    ("Catch", "ppo"): (8, 70_000, 8, 32, {}),
    ("Blackjack", "dqn"): (8, 60_000, 1, 128, SMALL_DQN),
    ("Blackjack", "ppo"): (8, 60_000, 8, 16, {}),
    ("Acrobot", "dqn"): (8, 100_000, 1, 200, SMALL_DQN),
    ("Acrobot", "ppo"): (8, 120_000, 8, 64, {}),
    ("MountainCarContinuous", "ppo"): (8, 120_000, 8, 64, {"gamma": 0.999}),
    ("CartPole", "ppo"): (8, 80_000, 8, 32, {}),
    ("CartPole", "policy_gradient"): (3, 80_000, 1, 200, {}),
    ("Pendulum", "ppo"): (6, 300_000, 8, 100, {"gamma": 0.9, "learning_rate": 1e-3}),
    ("Pendulum", "policy_gradient"): (3, 120_000, 4, 100, {"gamma": 0.9, "learning_rate": 1e-3}),
    ("LunarLander", "ppo"): (3, 250_000, 8, 64, {"learning_rate": 1e-3, "gamma": 0.999}),
    ("InvertedPendulum", "ppo"): (8, 200_000, 8, 32, {}),
    ("InvertedPendulum", "sac"): (4, 80_000, 1, 200, {"hidden_units": (64, 64)}),
    ("Reacher", "ppo"): (8, 300_000, 8, 50, {}),
    ("LunarLanderContinuous", "ppo"): (8, 600_000, 8, 64, {"gamma": 0.999}),
    ("Obstacles", "ppo"): (8, 200_000, 8, 32, {}),
    ("Obstacles", "dqn"): (8, 200_000, 1, 200, SMALL_DQN),
    ("Breakout", "ppo"): (8, 300_000, 8, 32, {}),
    ("Taxi", "ppo"): (8, 300_000, 8, 50, {"learning_rate": 1e-3}),
    ("Taxi", "dqn"): (8, 150_000, 1, 200, SMALL_DQN),
    ("InvertedDoublePendulum", "ppo"): (8, 400_000, 8, 32, {}),
    ("Swimmer", "ppo"): (8, 300_000, 8, 50, {}),
    ("Pusher", "ppo"): (8, 700_000, 8, 50, {}),
    ("EmptyRoom", "ppo"): (8, 150_000, 8, 32, {}),
    ("EmptyRoom", "dqn"): (8, 80_000, 1, 200, SMALL_DQN),
    ("LavaGap", "ppo"): (8, 200_000, 8, 32, {}),
    ("DistShift", "ppo"): (8, 200_000, 8, 32, {}),
    ("FrozenMap", "dqn"): (8, 100_000, 1, 200, SMALL_DQN),
}
"""Runs that can learn."""

BAD = {
    # environment, twist, algorithm, what is wrong: (runs, env steps, environments at once, window of each, settings)
    ("CartPole", "random reward", "dqn", "noise"): (14, 40_000, 1, 100, SMALL_DQN),
    ("CartPole", "shuffled actions", "dqn", "no-control"): (14, 40_000, 1, 100, SMALL_DQN),
    ("CartPole", None, "ppo", "too-fast"): (6, 40_000, 8, 16, FAST),
    ("CartPole", None, "ppo", "too-slow"): (6, 50_000, 8, 16, SLOW),
    ("Catch", "shuffled actions", "dqn", "no-control"): (14, 40_000, 1, 100, SMALL_DQN),
    ("Catch", None, "ppo", "too-slow"): (6, 50_000, 8, 16, SLOW),
    ("Blackjack", "shuffled actions", "dqn", "no-control"): (14, 30_000, 1, 64, SMALL_DQN),
    ("Identity", "random reward", "dqn", "noise"): (14, 40_000, 1, 100, SMALL_DQN),
    ("Identity", None, "ppo", "too-slow"): (6, 40_000, 8, 16, SLOW),
    ("FrozenLake", "shuffled actions", "dqn", "no-control"): (8, 40_000, 1, 100, SMALL_DQN),
    ("Pendulum", "shuffled actions", "ppo", "no-control"): (4, 150_000, 8, 125, QUICK),
    ("LunarLander", "shuffled actions", "ppo", "no-control"): (2, 100_000, 8, 64, QUICK),
    ("InvertedPendulum", "random reward", "ppo", "noise"): (4, 60_000, 8, 16, QUICK),
    ("Reacher", "shuffled actions", "ppo", "no-control"): (4, 100_000, 8, 25, QUICK),
    ("Obstacles", "shuffled actions", "ppo", "no-control"): (4, 40_000, 8, 16, QUICK),
    ("Breakout", "shuffled actions", "dqn", "no-control"): (4, 40_000, 1, 100, SMALL_DQN),
}
"""Runs that never learn."""


def tasks():
    """Return every run as a dict, in an order in which any beginning holds some of everything."""
    good = [
        _task("good", env, None, algorithm, seed, *rest)
        for seed in range(8)
        for (env, algorithm), (count, *rest) in GOOD.items()
        if seed < count
    ]
    bad = [
        _task(flaw, env, twist, algorithm, 100 + seed, *rest)
        for seed in range(14)
        for (env, twist, algorithm, flaw), (count, *rest) in BAD.items()
        if seed < count
    ]
    half = len(good) // 2
    return [*good[:half], *bad, *good[half:]]


def _task(kind, env, twist, algorithm, seed, steps, num_envs, window, settings):
    name = f"{env}-{algorithm}-{kind}-{seed}".replace(" ", "_")
    return {
        "name": name,
        "kind": kind,
        "env": env,
        "twist": twist,
        "algorithm": algorithm,
        "seed": seed,
        "steps": steps,
        "num_envs": num_envs,
        "window": window,
        "settings": settings,
    }


def run(task):
    """Train from start to end and return the record."""
    import keras
    from judgement_envs import make_env

    from tensor_optix.presets import make_agent, make_pipeline

    keras.backend.clear_session()
    started = time.perf_counter()

    def make():
        return make_env(task["env"], task["twist"])

    agent = make_agent(make, task["algorithm"], seed=task["seed"], **task["settings"])
    shape = {"num_envs": task["num_envs"], "window_size": task["window"]}
    initial = first_returns(make_pipeline(make, agent, seed=10_000 + task["seed"], **shape))
    pipeline = make_pipeline(make, agent, seed=task["seed"], **shape)
    agent.bind(pipeline.observation_space, pipeline.action_space, num_envs=task["num_envs"], seed=task["seed"])
    counts, returns, steps = [], [], 0
    for window in pipeline.episodes():
        steps += window.env_steps
        counts.append(len(window.completed_returns))
        returns.append(np.asarray(window.completed_returns, dtype=np.float32))
        if steps >= task["steps"]:
            break
        agent.learn(window)
    pipeline.teardown()
    return {
        "meta": {**task, "seconds": round(time.perf_counter() - started, 1)},
        "window_steps": steps // len(counts),
        "counts": np.array(counts, dtype=np.int32),
        "returns": np.concatenate(returns),
        "initial": initial,
    }


def first_returns(pipeline, min_episodes=20, max_steps=4_000):
    """Return what the untrained policy earns, acting as it does in training."""
    returns, steps = [], 0
    for window in pipeline.episodes():
        returns.extend(window.completed_returns)
        steps += window.env_steps
        if len(returns) >= min_episodes or (returns and steps >= max_steps):
            break
    pipeline.teardown()
    return np.asarray(returns, dtype=np.float32)


def save(record, path):
    """Write a record whole or not at all."""
    arrays = {key: value for key, value in record.items() if key != "meta"}
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez_compressed(file, meta=json.dumps(record["meta"]), **arrays)
    os.replace(part, path)


def load(path):
    """Return the records of a file, single or packed."""
    with np.load(path) as stored:
        if "meta" in stored.files:
            return [{"meta": json.loads(str(stored["meta"])), **{k: stored[k] for k in KEPT}}]
        names = json.loads(str(stored["names"]))
        return [{"meta": meta, **{key: stored[f"{i}_{key}"] for key in KEPT}} for i, meta in enumerate(names)]


KEPT = ("window_steps", "counts", "returns", "initial")


def pack(folder):
    """Join the runs of each environment in one file."""
    by_env = {}
    for path in sorted(folder.glob("*.npz")):
        for record in load(path):
            by_env.setdefault(record["meta"]["env"], []).append(record)
    RESULTS.mkdir(parents=True, exist_ok=True)
    for env, records in by_env.items():
        arrays = {f"{i}_{key}": record[key] for i, record in enumerate(records) for key in KEPT}
        np.savez_compressed(RESULTS / f"{env}.npz", names=json.dumps([r["meta"] for r in records]), **arrays)
        print(f"{env}: {len(records)} runs, {(RESULTS / f'{env}.npz').stat().st_size / 1000:.0f} kB")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--shard", default="0/1", help="i/n: only every n-th run")
    parser.add_argument("--limit", type=int, default=10_000, help="runs of this call at most")
    parser.add_argument("--only", default="", help="only runs whose name holds this")
    parser.add_argument("--pack", action="store_true")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.pack:
        pack(arguments.out)
        return
    shard, num_shards = map(int, arguments.shard.split("/"))
    missing = [task for task in tasks()[shard::num_shards] if arguments.only in task["name"]]
    missing = [task for task in missing if not (arguments.out / f"{task['name']}.npz").exists()]
    for task in missing[: arguments.limit]:
        path = arguments.out / f"{task['name']}.npz"
        record = run(task)
        save(record, path)
        parts = [float(part.mean()) for part in np.array_split(record["returns"], 6) if part.size]
        print(
            f"{task['name']}: {record['meta']['seconds']} s, {len(record['returns'])} episodes, "
            f"initial {record['initial'].mean():.4g}, sixths {', '.join(f'{p:.4g}' for p in parts)}",
            flush=True,
        )


if __name__ == "__main__":
    main()
