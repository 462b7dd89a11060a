"""What becomes of runs whose saved state someone changed and sealed again: refused before a step, or gone on with.

Something somewhere in a checkpoint is changed (a number, a text, a list, an array's values, shape or type), and every
checksum is made anew, so that it is right. The run is then resumed, by each algorithm, tuned or not:

    python benchmarks/crafted_runs.py --cases 100 --output benchmarks/results/crafted_runs.json
    python benchmarks/crafted_runs.py --algorithms sac --tuners pbt --seed 7
"""

import argparse
import json
import os
import resource
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from durability_runs import ALGORITHMS, TUNERS, about, make_run
from harness import crafted_states

from tensor_optix import LoopCallback
from tensor_optix.core.loop import run_checkpoint
from tensor_optix.exceptions import StopRun, TensorOptixError
from tensor_optix.pipeline.stepping.env_guard import EnvGuard

RUN = "run-0001"
MAX_SECONDS, MAX_MEGABYTES = 60.0, 1000.0


class StopsAfter(LoopCallback):
    def __init__(self, windows):
        self.windows = windows

    def on_episode_end(self, episode_id, metrics):
        if episode_id + 1 >= self.windows:
            raise StopRun


class Steps:
    """Counts the steps of all environments: what is refused before the first one lost nothing."""

    def __init__(self):
        self.count, inner = 0, EnvGuard.step

        def step(guard, action):
            self.count += 1
            return inner(guard, action)

        EnvGuard.step = step


def resumed(case, folder, steps):
    """Resume one run; say in a word what came of it, and in a sentence why."""
    steps.count, begin = 0, time.monotonic()
    try:
        result = make_run(case, folder, 1, 1)[2].run(resume=True)
        found, why = ("went on", "") if result.reason != "error" else ("ended in an error", result.explanation)
    except TensorOptixError as error:
        found, why = "refused" if not steps.count else "LATE", f"{type(error).__name__}: {error}"
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        found, why = "NOT OURS", f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"
    return {"found": found, "why": why.replace(str(folder), "...")[:400], "seconds": time.monotonic() - begin}


def measure(case, args, folder, steps):
    """Change what one algorithm saved in ``args.cases`` ways; return how each ended."""
    source = folder / "source"
    shutil.rmtree(source, ignore_errors=True)
    make_run(case, source, 7, 3, StopsAfter(18))[2].run()
    rng, rows = np.random.default_rng([args.seed, *map(ord, f"{case['algorithm']} {case['tuner']}")]), []
    for number in range(args.cases):
        here = folder / "changed"
        shutil.rmtree(here, ignore_errors=True)
        shutil.copytree(source, here)
        what = crafted_states.change_checkpoint(lambda n: int(rng.integers(n)), here / RUN / "checkpoint", args.which)
        if args.only not in (None, number):
            continue
        row = {"what": what, **resumed(case, here, steps)}
        is_bad = row["found"] in ("NOT OURS", "LATE") or row["seconds"] > MAX_SECONDS
        is_bad |= row["found"] == "went on" and ("not finite: nan" in what or (" model." in what and "not fin" in what))
        rows.append(row | {"not_as_promised": is_bad})
        if is_bad or args.verbose:
            print(json.dumps({**case, "number": number, **row}), file=sys.stderr, flush=True)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--algorithms", nargs="+", choices=ALGORITHMS, default=ALGORITHMS)
    parser.add_argument("--tuners", nargs="+", choices=list(TUNERS), default=["none", "pbt"])
    parser.add_argument("--num-envs", type=int, default=1)
    parser.add_argument("--cases", type=int, default=100, help="per algorithm and tuner")
    parser.add_argument("--seed", type=int, default=0, help="of what is changed")
    parser.add_argument("--which", nargs="+", choices=crafted_states.WHICH, default=crafted_states.WHICH)
    parser.add_argument("--only", type=int, help="the number of one case")
    parser.add_argument("--traced", action="store_true", help="trace TensorFlow's functions: slow, as in earnest")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    import tensorflow as tf

    tf.config.run_functions_eagerly(not args.traced)
    run_checkpoint.SAVE_INTERVAL_SECONDS, run_checkpoint.MAX_COST = 0.0, float("inf")
    steps, report = Steps(), {"about": about(), "options": {"cases": args.cases, "seed": args.seed}}
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for algorithm in args.algorithms:
            for tuner in args.tuners:
                case = {"algorithm": algorithm, "num_envs": args.num_envs, "tuner": tuner, "env_steps": 2400}
                rows = measure(case, args, Path(folder), steps)
                report[f"{algorithm}, {tuner}"] = {
                    "cases": len(rows),
                    "found": dict(Counter(row["found"] for row in rows)),
                    "most_seconds": round(max(row["seconds"] for row in rows), 1),
                    "not_as_promised": [row for row in rows if row["not_as_promised"]],
                }
                print(json.dumps({f"{algorithm}, {tuner}": report[f"{algorithm}, {tuner}"]["found"]}), flush=True)
    report["megabytes"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    report["seconds"] = round(time.monotonic() - begin)
    if args.output:
        args.output.write_text(json.dumps(report, indent=1) + "\n")
    failures = {name: part["not_as_promised"] for name, part in report.items() if "," in name}
    if any(failures.values()):
        raise SystemExit(f"Not as promised: {sum(map(len, failures.values()))} cases.")


if __name__ == "__main__":
    main()
