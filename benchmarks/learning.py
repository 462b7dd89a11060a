"""What the algorithms learn, with their one set of defaults, in a given number of environment steps.

Each run is a process of its own: `make_agent`, `make_pipeline` and `RLOptimizer` as a user has them,
ended by itself or by its budget (training and evaluation together). The agent it leaves then plays
100 greedy episodes that the run never saw. One JSON line a run, appended as it ends, so that an
interrupted benchmark goes on where it was; then a table of medians. HalfCheetah, Hopper and
InvertedPendulum need MuJoCo, which is put into `benchmarks/.venvs/mujoco` where it is missing.

    python benchmarks/learning.py --tasks CartPole-v1:ppo Acrobot-v1:ppo --seeds 5
    python benchmarks/learning.py --only-table
"""

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from extra_packages import provide

RESULTS = Path(__file__).parent / "results" / "learning.jsonl"
CATCH = "Catch"
TWIN_ROWS = "TwinRows"
MEMORY_ENVS = {"CartPolePositions": "PositionsOnly", "BriefCatch": "BriefCatchEnv", "TMaze": "TMaze"}
"""Classes of `harness/memory_envs.py`, by name here. Behind an algorithm, "+gru" is what it remembers by."""
UNMASKED = " unmasked"
"""Behind the name of an environment whose masks are left unread."""

GOALS = {
    ("CartPole-v1", "ppo"): (100_000, 495.0),
    ("CartPole-v1", "dqn"): (100_000, 475.0),
    ("Acrobot-v1", "ppo"): (300_000, -85.0),
    ("LunarLander-v3", "ppo"): (1_000_000, 230.0),
    ("Pendulum-v1", "sac"): (20_000, -180.0),
    ("Pendulum-v1", "ppo"): (400_000, -200.0),
    ("HalfCheetah-v5", "ppo"): (1_000_000, 2_000.0),
    (CATCH, "ppo"): (60_000, 0.95),
    ("Taxi-v4", "ppo"): (150_000, 7.5),
    ("Taxi-v4", "dqn"): (150_000, 7.5),
    (TWIN_ROWS, "ppo"): (100_000, 1.0),
    ("CartPolePositions", "ppo+gru"): (300_000, 475.0),
    ("BriefCatch", "ppo+gru"): (200_000, 0.9),
    ("TMaze", "ppo+gru"): (300_000, 0.95),
}
"""Environment steps at most, and the return to reach, by environment and algorithm."""

OTHERS = {
    ("MountainCarContinuous-v0", "ppo"): (300_000, None),
    ("LunarLanderContinuous-v3", "ppo"): (500_000, None),
    ("InvertedPendulum-v5", "ppo"): (200_000, None),
    ("Hopper-v5", "ppo"): (500_000, None),
    (f"Taxi-v4{UNMASKED}", "ppo"): (150_000, None),
    (f"Taxi-v4{UNMASKED}", "dqn"): (150_000, None),
    ("CartPolePositions", "ppo"): (300_000, None),
    ("BriefCatch", "ppo"): (200_000, None),
    ("TMaze", "ppo"): (300_000, None),
}
"""More of them, which no default was chosen by; they have no goal. Run with `--tasks`, or `--others`."""

TASKS = {**GOALS, **OTHERS}


def source_of(env_id):
    """Return what `make_pipeline` takes: an id, or a maker of an environment of our own."""
    if env_id in MEMORY_ENVS:
        from harness import memory_envs

        return getattr(memory_envs, MEMORY_ENVS[env_id])
    if env_id == TWIN_ROWS:
        from harness.board_game import TwinRows

        return TwinRows
    if env_id != CATCH:
        return env_id.removesuffix(UNMASKED)
    from harness.small_envs import CatchEnv

    return CatchEnv


def run(env_id, algorithm, seed, env_steps, num_episodes):
    """Train once and return the outcome."""
    from tensor_optix import RLOptimizer, evaluate
    from tensor_optix.presets import make_agent, make_pipeline

    if env_id in ("HalfCheetah-v5", "Hopper-v5", "InvertedPendulum-v5"):
        provide("mujoco")
    started = time.perf_counter()
    masks = None if env_id.endswith(UNMASKED) else "auto"
    name, _, memory = algorithm.partition("+")
    pipeline = make_pipeline(source_of(env_id), algorithm=name, action_mask=masks)
    agent = make_agent(source_of(env_id), name, seed=seed, memory=memory or None)
    with tempfile.TemporaryDirectory() as folder:
        optimizer = RLOptimizer(
            agent, pipeline, checkpoint_dir=folder, seed=seed, max_env_steps=env_steps, report_episodes=0
        )
        result = optimizer.run()
    seconds = time.perf_counter() - started
    source = source_of(env_id)
    played = source() if callable(source) else source
    checked = evaluate(agent, played, num_episodes, seed=1_000_000 + seed, action_mask=masks)
    return {
        "env": env_id,
        "algorithm": algorithm,
        "seed": seed,
        "reason": result.reason,
        "training_steps": result.env_steps["training"],
        "evaluation_steps": result.env_steps["evaluation"] + result.env_steps["diagnosis"],
        "seconds": round(seconds, 1),
        "mean": checked.mean,
        "interval": checked.interval,
        "date": str(datetime.date.today()),
        "versions": {name: importlib.metadata.version(name) for name in ("tensorflow", "keras", "gymnasium")},
    }


def done_before(path):
    """Return the outcomes in the file."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def in_a_process(env_id, algorithm, seed, env_steps, num_episodes):
    """Return the outcome of a run in a fresh process, or how it failed."""
    arguments = ["--worker", env_id, algorithm, str(seed), str(env_steps), str(num_episodes)]
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run([sys.executable, __file__, *arguments], capture_output=True, text=True, env=quiet)
    if done.returncode:
        return {"env": env_id, "algorithm": algorithm, "seed": seed, "error": done.stderr.strip()[-1000:]}
    return json.loads(done.stdout.splitlines()[-1])


def table(outcomes):
    """Print one line a task: the median of all seeds against the goal."""
    print(f"\n{'environment':16} {'algorithm':9} {'seeds':>5} {'steps':>10} {'median':>9} {'goal':>7}  each")
    for (env_id, algorithm), (_, goal) in TASKS.items():
        runs = [o for o in outcomes if (o["env"], o["algorithm"]) == (env_id, algorithm) and "mean" in o]
        if runs:
            means = [o["mean"] for o in runs]
            steps = statistics.median(o["training_steps"] + o["evaluation_steps"] for o in runs)
            each = " ".join(f"{mean:.4g}" for mean in means)
            median = statistics.median(means)
            verdict = "" if goal is None else "met: " if median >= goal else "MISSED: "
            told = f"{env_id:16} {algorithm:9} {len(runs):>5} {steps:>10,.0f} {median:>9.4g} {goal or '-':>7}"
            print(f"{told}  {verdict}{each}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=[f"{env}:{algorithm}" for env, algorithm in GOALS])
    parser.add_argument("--others", action="store_true", help="instead: tasks that have no goal")
    parser.add_argument("--seeds", type=int, default=5, help="how many")
    parser.add_argument("--env-steps", type=int, help="budget; default: that of the goal")
    parser.add_argument("--episodes", type=int, default=100, help="greedy episodes to check with")
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--only-table", action="store_true", help="run nothing")
    parser.add_argument("--worker", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        env_id, algorithm, *numbers = arguments.worker
        print(json.dumps(run(env_id, algorithm, *map(int, numbers))))
        return
    if arguments.others:
        arguments.tasks = [f"{env}:{algorithm}" for env, algorithm in OTHERS]
    outcomes = done_before(arguments.output)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    known = {(o["env"], o["algorithm"], o["seed"]) for o in outcomes if "mean" in o}
    for seed in [] if arguments.only_table else range(arguments.seeds):
        for task in arguments.tasks:
            env_id, _, algorithm = task.partition(":")
            if (env_id, algorithm, seed) in known:
                continue
            budget = arguments.env_steps or TASKS[env_id, algorithm][0]
            outcome = in_a_process(env_id, algorithm, seed, budget, arguments.episodes)
            outcomes.append({**outcome, "machine": f"{platform.machine()}, {os.cpu_count()} cores"})
            with arguments.output.open("a", encoding="utf-8") as file:
                file.write(json.dumps(outcomes[-1]) + "\n")
            print(json.dumps(outcome), flush=True)
    table(outcomes)


if __name__ == "__main__":
    main()
