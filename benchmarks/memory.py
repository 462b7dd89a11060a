"""What memory costs: PPO on one shared cell of 64, beside PPO without it and beside SB3-Contrib's RecurrentPPO.

Whole runs on CartPole with 8 environments, alternated, each in a fresh process; compiling counted, imports not. The
same windows (256 steps), epochs (10), heads (64) and hyperparameters; ours takes sequences of 32 steps, 8 to a
minibatch, the peer whole episodes, as many steps to a minibatch. Without memory a minibatch is 64 steps, our default.
Every run is one JSON line, appended as it ends; what is written is not run again.

    python benchmarks/memory.py --repeats 5
    python benchmarks/memory.py --only-table
"""

import argparse
import datetime
import json
import platform
import statistics
from pathlib import Path

import throughput
from throughput import ratio_of, run_arm, runs_of
from throughput_workloads import PPO_CARTPOLE

RESULTS = Path(__file__).parent / "results" / "memory.jsonl"
throughput.PACKAGES["contrib"] = (["torch==2.13.0"], ["stable-baselines3==2.9.2", "sb3-contrib>=2.9,<3"])
throughput.ARMS["contrib"] = ("throughput_peers.py", "contrib", "1")

PLAIN = {
    **PPO_CARTPOLE,
    **{"learning_rate": 3e-4, "gamma": 0.99, "gae_lambda": 0.95, "hidden": [64, 64]},
    **{"num_envs": 8, "window_size": 256, "batch_size": 64, "num_epochs": 10},
}
MEMORY = {**PLAIN, "hidden": [64], "batch_size": 256, "memory_units": 64}
ARMS = {
    "without": ("ours", PLAIN),
    "gru": ("ours", {**MEMORY, "memory": "gru"}),
    "lstm": ("ours", {**MEMORY, "memory": "lstm"}),
    "RecurrentPPO": ("contrib", {**MEMORY, "memory": "lstm"}),
}
GOALS = [("gru", "without", 0.5), ("lstm", "without", None), ("lstm", "RecurrentPPO", 2.0)]
"""An arm, what it is compared with, and how many times as fast it is meant to be."""


def table(runs):
    """Print steps per second, and ratios of runs made in turn."""
    for arm in ARMS:
        speeds = [run["steps_per_second"] for run in runs_of(runs, arm).values()]
        if speeds:
            print(f"{arm:13} {statistics.median(speeds):>9,.0f} env steps/s ({len(speeds)} runs)")
    for arm, other, goal in GOALS:
        median, (low, high), pairs = ratio_of(runs, arm, other)
        verdict = "" if goal is None else f", goal {goal:g}: {'met' if median >= goal else 'MISSED'}"
        print(f"{arm} / {other}: {median:.2f} times (95 % interval {low:.2f} to {high:.2f}, {pairs} pairs){verdict}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--env-steps", type=int, default=PPO_CARTPOLE["env_steps"])
    parser.add_argument("--only-table", action="store_true", help="run nothing")
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    print(f"{datetime.date.today()}, {platform.system()} {platform.machine()}")
    lines = arguments.output.read_text(encoding="utf-8").splitlines() if arguments.output.exists() else []
    runs = [json.loads(line) for line in lines]
    runs = [run for run in runs if run["env_steps_asked"] == arguments.env_steps]
    for repeat in [] if arguments.only_table else range(arguments.repeats):
        for arm in [arm for arm in arguments.arms if repeat not in runs_of(runs, arm)]:
            runner, workload = ARMS[arm]
            asked = {**workload, "env_steps": arguments.env_steps}
            outcome = {**run_arm(runner, asked), "arm": arm, "repeat": repeat, "env_steps_asked": arguments.env_steps}
            runs.append(outcome)
            with arguments.output.open("a", encoding="utf-8") as file:
                file.write(json.dumps({**outcome, "date": str(datetime.date.today())}) + "\n")
            print(f"{repeat} {arm:13} {outcome['steps_per_second']:>9,.0f} env steps/s", flush=True)
    table(runs)


if __name__ == "__main__":
    main()
