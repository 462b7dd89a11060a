"""How fast whole training runs are, beside Stable-Baselines3 and SBX.

Makes an environment for each library under `benchmarks/.venvs`, then alternates whole runs of the
same algorithm, networks, hyperparameters and number of gradient steps, each in a fresh process.
Env steps per second are over the whole run, compiling counted, imports not. In the parity arm our
KL control, normalisation and evaluation are off; the arm "defaults" has all our defaults on, the
loop around it included. TensorFlow has one thread to an operation, as `docs/algorithms.md` advises
for networks of this size; the arm "ours-all" (only where asked for) leaves it all cores. SB3 runs
with one and with two torch threads in the first alternations, the pilot, and then only with the
number that was faster there (`--pilot 0`: with both throughout).

Every run is written down as it ends, and what is written is not run again: an interrupted benchmark
goes on where it was, and `--minutes` makes a slice of it that ends before so much time is over.

    python benchmarks/throughput.py --workloads dqn --minutes 9
    python benchmarks/throughput.py --only-table
    python benchmarks/throughput.py --scaling --arms ours sb3-2 --repeats 2   # by environments and width
    python benchmarks/throughput.py --long --arms ours --repeats 1            # memory over a million steps
"""

import argparse
import datetime
import itertools
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import time
import venv
from pathlib import Path

import numpy as np
from scipy import stats
from throughput_workloads import GOALS, LONG, SCALING, WORKLOADS, num_gradient_steps

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "throughput.jsonl"
PACKAGES = {
    # torch first and alone: its CPU build must not be replaced by one that brings CUDA.
    "sb3": (["torch==2.13.0"], ["stable-baselines3==2.9.2"]),
    "sbx": (["torch==2.13.0"], ["sbx-rl"]),
}
ARMS = {
    "ours": ("throughput_ours.py", "parity", "1"),
    "ours-all": ("throughput_ours.py", "parity", "0"),
    "defaults": ("throughput_ours.py", "defaults", "1"),
    "sb3-1": ("throughput_peers.py", "sb3", "1"),
    "sb3-2": ("throughput_peers.py", "sb3", "2"),
    "sbx": ("throughput_peers.py", "sbx", "0"),
}
SB3 = ("sb3-1", "sb3-2")
"""Stable-Baselines3 with one and with two torch threads."""

FIRST_RUN_SECONDS = 150.0
"""What a run is thought to take before one was made."""

FLOOR = "floor"
NO_PEER = {("dqn", "sbx")}
"""What is not compared."""


def python_of(library):
    """Return the interpreter of an environment that holds the library, made where missing."""
    folder = HERE / ".venvs" / library
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not (folder / "done").exists():
        print(f"Installing {library} into {folder.relative_to(HERE.parent)} ...", flush=True)
        venv.create(folder, with_pip=True, clear=True)
        for packages in PACKAGES[library]:
            subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
        (folder / "done").touch()
    return str(python)


def run_arm(arm, workload):
    """Return the outcome of one whole run in a fresh process."""
    script, *arguments = ARMS[arm]
    library = arguments[0]
    python = python_of(library) if library in PACKAGES else sys.executable
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    if library in PACKAGES:
        environment.pop("PYTHONPATH", None)
    command = [python, str(HERE / script), json.dumps(workload), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(f"{arm} failed:\n{done.stderr[-3000:]}")
    outcome = json.loads(done.stdout.splitlines()[-1])
    return {**outcome, "arm": arm, "steps_per_second": outcome["env_steps"] / outcome["seconds"]}


def matrix_rate():
    """Return this machine's rate of float32 matrix products in FLOP/s: the best of several."""
    a = np.ones((1024, 1024), np.float32)
    best = math.inf
    for _ in range(20):
        started = time.perf_counter()
        a @ a
        best = min(best, time.perf_counter() - started)
    return 2 * 1024**3 / best


def stepping_seconds(workload):
    """Return how long the environments alone take for all steps, with actions drawn beforehand."""
    import gymnasium as gym

    env = gym.make_vec(workload["env"], num_envs=workload["num_envs"], vectorization_mode="sync")
    env.reset(seed=0)
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(workload["env_steps"] // workload["num_envs"])]
    started = time.perf_counter()
    for action in actions:
        env.step(action)
    seconds = time.perf_counter() - started
    env.close()
    return seconds


def arithmetic_seconds(workload, rate):
    """Return how long the products of the networks' updates take at the machine's rate."""
    if "train_frequency" in workload:
        return off_policy_arithmetic_seconds(workload, rate)
    sizes = [4, *workload["hidden"]]
    weights = 2 * sum(a * b for a, b in itertools.pairwise(sizes)) + 3 * sizes[-1]
    # Forward, and the gradients of inputs and weights: three products of two operations each.
    updates = 6 * weights * workload["batch_size"] * num_gradient_steps(workload)
    return (updates + 2 * weights * workload["env_steps"]) / rate


def off_policy_arithmetic_seconds(workload, rate):
    """Return the same for DQN and SAC, by the passes through one network of about equal size.

    A pass forward is one product per layer, a pass back one for the inputs and one for the weights.
    DQN: target and online forward, online back. SAC: the actor twice and six critics forward; back
    through two critics whole, two for their inputs alone, and the actor.
    """
    sizes = [4, *workload["hidden"], 1]
    weights = sum(a * b for a, b in itertools.pairwise(sizes))
    passes = {"dqn": 2 + 2, "sac": (2 + 6) + (2 * 2 + 2 + 2)}[workload["algorithm"]]
    updates = 2 * weights * passes * workload["batch_size"] * num_gradient_steps(workload)
    return (updates + 2 * weights * workload["env_steps"]) / rate


def floor_seconds(workload):
    """Return the seconds of arithmetic and of stepping that no library can do without on this machine."""
    return [arithmetic_seconds(workload, matrix_rate()), stepping_seconds(workload)]


def ratio_of(runs, arm, other):
    """Return the median of paired ratios, a 95 % interval of their geometric mean, and how many pairs."""
    ours, theirs = (runs_of(runs, name) for name in (arm, other))
    both = sorted(ours.keys() & theirs.keys())
    logs = [math.log(ours[i]["steps_per_second"] / theirs[i]["steps_per_second"]) for i in both]
    if len(logs) < 2:
        return math.exp(statistics.median(logs)) if logs else math.nan, (math.nan, math.nan), len(logs)
    half = stats.sem(logs) * stats.t.ppf(0.975, len(logs) - 1)
    centre = statistics.fmean(logs)
    return math.exp(statistics.median(logs)), (math.exp(centre - half), math.exp(centre + half)), len(logs)


def runs_of(runs, arm):
    """Return the arm's runs by the number of their alternation."""
    return {run["repeat"]: run for run in runs if run["arm"] == arm}


def better_of(runs, num_pilots=None):
    """Return the faster of SB3's numbers of threads, by the median of the alternations that have both."""
    by_arm = {arm: runs_of(runs, arm) for arm in SB3}
    both = sorted(set.intersection(*(set(own) for own in by_arm.values())))[:num_pilots]
    if not both:
        return next((arm for arm in SB3 if by_arm[arm]), None)
    return max(SB3, key=lambda arm: statistics.median(by_arm[arm][i]["steps_per_second"] for i in both))


def report(name, workload, runs):
    """Print the figures of one workload for a reader; the floor is the lowest that was measured beside its runs."""
    measured = [run["floor_seconds"] for run in runs if run["arm"] == FLOOR]
    floor = min(measured or [floor_seconds(workload)], key=sum)
    floor_rate = workload["env_steps"] / sum(floor)
    print(f"\n{name}: {workload['env']}, {workload['env_steps']:,} env steps, {num_gradient_steps(workload):,} updates")
    print(f"  floor {floor_rate:>9,.0f} env steps/s: {floor[0]:.2f} s of arithmetic, {floor[1]:.2f} s of stepping")
    ran = [arm for arm in ARMS if runs_of(runs, arm)]
    for arm in ran:
        own = runs_of(runs, arm).values()
        speed = statistics.median(run["steps_per_second"] for run in own)
        peak = max(run["peak_mb"] for run in own)
        told = f"{speed:>9,.0f} env steps/s, {floor_rate / speed:4.1f} times the floor, peak {peak:,.0f} MB"
        print(f"  {arm:9} {told} ({len(own)} runs)")
    peers = {"sb3": better_of(runs), "sbx": "sbx" if "sbx" in ran else None}
    for library, arm in peers.items():
        for ours in [ours for ours in ("ours", "ours-all", "defaults") if ours in ran and arm]:
            median, (low, high), pairs = ratio_of(runs, ours, arm)
            goal = GOALS.get(name, {}).get(library) if ours != "defaults" else None
            verdict = "" if goal is None else f", goal {goal:g}: {'met' if median >= goal else 'MISSED'}"
            print(
                f"  {ours} / {arm}: {median:.2f} times (95 % interval {low:.2f} to {high:.2f}, {pairs} pairs){verdict}"
            )


def alternate(name, workload, arguments, known, append):
    """Run what is not yet known of a workload, one alternation after another; False where time ran out."""
    runs = [run for run in known if run["workload"] == name and run["env_steps_asked"] == workload["env_steps"]]
    for repeat in range(arguments.repeats):
        arms = list(arguments.arms)
        if 0 < arguments.pilot <= repeat and set(SB3) <= set(arms):
            better = better_of(runs, arguments.pilot)
            arms = [arm for arm in arms if arm not in SB3 or arm == better]
        for arm in [arm for arm in arms if repeat not in runs_of(runs, arm)]:
            taken = [run["process_seconds"] for run in runs if run["arm"] == arm]
            expected = statistics.median(taken) if taken else FIRST_RUN_SECONDS
            if arguments.minutes and time.perf_counter() + expected > arguments.started + 60 * arguments.minutes:
                print(f"{name}: out of time before {arm} of alternation {repeat}; start again to go on")
                return runs, False
            began = time.perf_counter()
            outcome = run_arm(arm, workload)
            told = {"workload": name, "repeat": repeat, "env_steps_asked": workload["env_steps"], **outcome}
            runs.append({**told, "process_seconds": time.perf_counter() - began, "date": str(datetime.date.today())})
            append(runs[-1])
            print(f"{name} {repeat} {arm:9} {outcome['steps_per_second']:>9,.0f} env steps/s", flush=True)
    return runs, True


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workloads", nargs="+", choices=sorted(WORKLOADS), default=sorted(WORKLOADS))
    parser.add_argument("--arms", nargs="+", choices=sorted(ARMS), default=[arm for arm in ARMS if arm != "ours-all"])
    parser.add_argument("--repeats", type=int, default=5, help="alternations")
    parser.add_argument("--env-steps", type=int, help="instead of the workload's own")
    parser.add_argument("--pilot", type=int, default=2, help="alternations in which SB3 runs with 1 and 2 threads")
    parser.add_argument("--minutes", type=float, help="start no run that would probably end later than this")
    parser.add_argument("--scaling", action="store_true", help="instead: how speed grows with environments and width")
    parser.add_argument("--long", action="store_true", help="instead: a million steps, for their memory")
    parser.add_argument("--only-table", action="store_true", help="run nothing")
    parser.add_argument("--output", type=Path, default=RESULTS, help="file of one JSON line a run")
    arguments = parser.parse_args()
    arguments.started = time.perf_counter()
    print(f"{datetime.date.today()}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores")
    chosen = {name: WORKLOADS[name] for name in arguments.workloads}
    chosen = SCALING if arguments.scaling else LONG if arguments.long else chosen
    lines = arguments.output.read_text(encoding="utf-8").splitlines() if arguments.output.exists() else []
    known = [json.loads(line) for line in lines]
    arguments.output.parent.mkdir(parents=True, exist_ok=True)

    def append(run):
        with arguments.output.open("a", encoding="utf-8") as file:
            file.write(json.dumps(run) + "\n")

    if arguments.only_table:
        arguments.arms = []
    asked = list(arguments.arms)
    for name, own in chosen.items():
        arguments.arms = [arm for arm in asked if (name, arm) not in NO_PEER]
        workload = {**own, **({"env_steps": arguments.env_steps} if arguments.env_steps else {})}
        runs, finished = alternate(name, workload, arguments, known, append)
        if arguments.arms:
            floor = {"floor_seconds": floor_seconds(workload), "date": str(datetime.date.today())}
            runs.append({"workload": name, "arm": FLOOR, "env_steps_asked": workload["env_steps"], **floor})
            append(runs[-1])
        if runs:
            report(name, workload, runs)
        if not finished:
            break


if __name__ == "__main__":
    main()
