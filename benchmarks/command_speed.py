"""How long `tensor-optix train CartPole-v1` takes from its start to its result, before a change and after it, in turn.

`BEFORE` is a checkout of the state to compare with (`git worktree add ../before COMMIT`). Each pair runs the command
once in either checkout, each in a fresh process, in an order that alternates; what either keeps between runs (compiled
programs) is warm: the first pair is not counted. Wall time tells what a user waits, on a machine with nothing else to
do; seconds of the processor tell the same where others work, too. Both are reported as the median of the ratios after /
before with a 95 % bootstrap interval. Both sides end with the same figures, to the bit: their histories are compared.

    python benchmarks/command_speed.py ../before --pairs 20 --json benchmarks/results/command_speed.json
"""

import argparse
import datetime
import json
import os
import platform
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
from speed_pairs import commit_of, interval, usage_of

HERE = Path(__file__).parent.parent
COMMAND = ["-c", "from tensor_optix.cli.main import main; main()", "train"]


def run(checkout, arguments, folder):
    """Return wall and CPU seconds of one fresh process, and the history that it wrote."""
    environment = {**os.environ, "PYTHONPATH": str(checkout), "XDG_CACHE_HOME": str(folder / "cache")}
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
    runs = folder / f"runs-{checkout.name}-{time.time_ns()}"
    began = time.perf_counter()
    typed = [*COMMAND, *arguments, "--quiet", "--checkpoint-dir", str(runs)]
    usage = usage_of(typed, checkout, environment, good_exits=(0, 3))
    wall = time.perf_counter() - began
    return (wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024), (
        runs / "run-0001/history.jsonl"
    ).read_bytes()


def compare(before, arguments, num_pairs):
    """Run the pairs and return the figures."""
    pairs, same = [], True
    with tempfile.TemporaryDirectory() as folder:
        for number in range(num_pairs + 1):
            order = (before, HERE) if number % 2 == 0 else (HERE, before)
            done = {checkout: run(checkout, arguments, Path(folder)) for checkout in order}
            same = same and done[before][1] == done[HERE][1]
            if number:
                pairs.append([done[before][0], done[HERE][0]])
                print(f"pair {number}: before {pairs[-1][0]}, after {pairs[-1][1]}", flush=True)
    measured = np.array(pairs)
    figures = {"pairs": pairs, "same_history": same}
    for name, column in (("wall_seconds", 0), ("cpu_seconds", 1), ("peak_mib", 2)):
        ratios = measured[:, 1, column] / measured[:, 0, column]
        medians = np.median(measured[:, :, column], axis=0)
        figures[name] = {
            "median_ratio": float(np.median(ratios)),
            "interval": interval(ratios),
            "medians": list(medians),
        }
        low, high = figures[name]["interval"]
        print(
            f"{name:13} {np.median(ratios):.3f} [{low:.3f}, {high:.3f}], medians {medians[0]:.2f} and {medians[1]:.2f}"
        )
    print(f"same history: {same}")
    return figures


def main():
    """Compare the two checkouts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=lambda text: Path(text).resolve(), help="a checkout to compare with")
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--arguments", nargs=argparse.REMAINDER, default=["CartPole-v1", "--seed", "0"])
    parser.add_argument("--json", type=Path, help="file for the figures")
    given = parser.parse_args()
    figures = {
        "date": datetime.date.today().isoformat(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
        "versions": {name: version(name) for name in ("tensorflow", "keras", "numpy")},
        "commits": {name: commit_of(path) for name, path in (("before", given.before), ("after", HERE))},
        "load_before": os.getloadavg(),
    }
    print(figures, flush=True)
    figures |= compare(given.before, given.arguments, given.pairs)
    figures["load_after"] = os.getloadavg()
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
