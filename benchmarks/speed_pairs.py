"""Whether a change made runs slower: user CPU seconds of whole processes, before and after in turn.

`BEFORE` is a checkout of the state to compare with (`git worktree add ../before COMMIT`). Each pair runs a workload
once in either checkout, each in a fresh process with this interpreter, in an order that alternates. A workload does the
same work on both sides, so seconds of the processor tell the cost, whatever else the machine does. The ratio after /
before is reported as the median over the pairs with a 95 % bootstrap interval; a loss is what lies above 1.

    python benchmarks/speed_pairs.py ../before --pairs 20 --json benchmarks/results/speed_pairs.json
"""

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
from throughput_workloads import WORKLOADS as THROUGHPUT

HERE = Path(__file__).parent.parent
WORKLOADS = {
    "quick_start": ["benchmarks/quick_start.py", "CartPole-v1", "--seed", "0", "--max-windows", "200"],
    "ppo": ["benchmarks/throughput_ours.py", json.dumps(THROUGHPUT["ppo"]), "parity", "1"],
    "dqn": ["benchmarks/throughput_ours.py", json.dumps(THROUGHPUT["dqn"]), "parity", "1"],
    "import": ["-c", "import tensor_optix"],
    "import_agents": ["-c", "from tensor_optix import BatchPipeline, RLOptimizer, TFAgent"],
}


def user_seconds(checkout, workload):
    """Return the user CPU seconds of one fresh process, its children included."""
    environment = {**os.environ, "PYTHONPATH": str(checkout), "TF_CPP_MIN_LOG_LEVEL": "3"}
    return usage_of(WORKLOADS[workload], checkout, environment).ru_utime


def usage_of(arguments, checkout, environment, good_exits=(0,)):
    """Return what a fresh process of Python used, its children included; end where it fails."""
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=checkout,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) not in good_exits:
        sys.exit(f"{' '.join(arguments)} failed in {checkout}:\n{errors.decode()[-3000:]}")
    return usage


def interval(ratios, seed=0):
    """Return the 95 % bootstrap interval of the median."""
    drawn = np.random.default_rng(seed).choice(ratios, (10_000, len(ratios)))
    return [float(bound) for bound in np.quantile(np.median(drawn, axis=1), (0.025, 0.975))]


def compare(before, workload, num_pairs):
    """Run the pairs of one workload and return its figures."""
    pairs = []
    for number in range(num_pairs):
        order = (before, HERE) if number % 2 == 0 else (HERE, before)
        seconds = {checkout: user_seconds(checkout, workload) for checkout in order}
        pairs.append((seconds[before], seconds[HERE]))
    ratios = np.array([after / old for old, after in pairs])
    low, high = interval(ratios)
    print(f"{workload:14} {np.median(ratios):.3f} [{low:.3f}, {high:.3f}] of {num_pairs} pairs", flush=True)
    return {"pairs": pairs, "median_ratio": float(np.median(ratios)), "interval": [low, high]}


def main():
    """Compare all workloads, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "before", type=lambda text: Path(text).resolve(), help="a checkout of the state to compare with"
    )
    parser.add_argument("--workloads", nargs="*", choices=list(WORKLOADS), default=list(WORKLOADS))
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--json", type=Path, help="file for the figures, written after each workload")
    given = parser.parse_args()
    commits = {name: commit_of(path) for name, path in (("before", given.before), ("after", HERE))}
    figures = {
        "date": f"{datetime.date.today()}",
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "versions": {name: version(name) for name in ("tensorflow", "keras", "gymnasium", "numpy")},
        "commits": commits,
        "workloads": {},
    }
    for workload in given.workloads:
        figures["workloads"][workload] = compare(given.before, workload, given.pairs)
        if given.json:
            given.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def commit_of(checkout):
    """Return the commit that a checkout stands at."""
    told = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=checkout, capture_output=True, text=True, check=True
    )
    return told.stdout.strip()


if __name__ == "__main__":
    main()
