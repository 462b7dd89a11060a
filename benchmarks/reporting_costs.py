"""What progress and loggers cost a Quick Start, in user CPU seconds of pairs.

Each pair runs the Quick Start once without any callback and once with those that are named, each in a fresh process, in
an order that alternates; the panel is drawn to a terminal of 80 columns. User CPU seconds of `run()`
are compared, so compiling counts and imports do not: the median over the pairs of with / without - 1, with a 95 %
bootstrap interval. Beside it, free of noise: the share of a run's CPU seconds that the callbacks' hooks and the
panel's thread took themselves. A run is the same with and without them, which is checked.

    python benchmarks/reporting_costs.py --pairs 20 --json benchmarks/results/reporting_costs.json
"""

import argparse
import datetime
import importlib.util
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np

CALLBACKS = ["progress", "csv", "monitor", "tensorboard"]
"""All that needs no store of another library; TensorBoard where it is installed."""


class Clocked:
    """Adds up the CPU seconds that functions take, each in its own thread."""

    def __init__(self):
        self.seconds = 0.0

    def wrapped(self, function):
        def call(*arguments, **named):
            began = time.thread_time()
            try:
                return function(*arguments, **named)
            finally:
                self.seconds += time.thread_time() - began

        return call


def worker(names, windows):
    """Run the Quick Start with these callbacks, and print what it took."""
    import io

    import tensorflow as tf
    from quick_start import build
    from rich.console import Console

    from tensor_optix.core.callbacks import HOOKS
    from tensor_optix.reporting.named_callbacks import callback_named
    from tensor_optix.reporting.progress import panel

    clock = Clocked()
    terminal = Console(file=io.StringIO(), force_terminal=True, width=80)
    panel.TerminalPanel._drawing = clock.wrapped(panel.TerminalPanel._drawing)
    callbacks = [callback_named(name, **({"console": terminal} if name == "progress" else {})) for name in names]
    for callback in callbacks:
        for hook in HOOKS:
            setattr(callback, hook, clock.wrapped(getattr(callback, hook)))
    tf.keras.utils.set_random_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        optimizer, _ = build("CartPole-v1", folder, max_episodes=windows, seed=0, callbacks=callbacks)
        before = resource.getrusage(resource.RUSAGE_SELF)
        result = optimizer.run()
        after = resource.getrusage(resource.RUSAGE_SELF)
    user = after.ru_utime - before.ru_utime
    score = [score for score in result.history["score"] if score is not None]
    told = {"user": user, "own": clock.seconds, "wall": result.seconds, "scores": float(np.sum(score))}
    told["all"] = user + after.ru_stime - before.ru_stime
    print(json.dumps(told))


def measured(names, windows):
    """Return what a fresh process tells of one run."""
    command = [sys.executable, __file__, "--windows", str(windows), "--worker", ",".join(names)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(done.stderr[-3000:])
    return json.loads(done.stdout.splitlines()[-1])


def interval(values, seed=0):
    """Return the 95 % bootstrap interval of the median."""
    drawn = np.random.default_rng(seed).choice(values, (10_000, len(values)))
    return [float(bound) for bound in np.quantile(np.median(drawn, axis=1), (0.025, 0.975))]


def main():
    """Run the pairs, and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument(
        "--windows",
        type=int,
        default=600,
        help="windows of 200 steps: as many as the Quick Start on CartPole takes until it is trained",
    )
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker is not None:
        worker([name for name in given.worker.split(",") if name], given.windows)
        return
    names = [name for name in CALLBACKS if name != "tensorboard" or importlib.util.find_spec("tensorboard")]
    pairs = []
    for number in range(given.pairs):
        order = [[], names] if number % 2 == 0 else [names, []]
        runs = {bool(chosen): measured(chosen, given.windows) for chosen in order}
        if runs[True]["scores"] != runs[False]["scores"]:
            sys.exit("the runs differ: a callback changed the run, or the machine computes differently each time")
        pairs.append(runs)
        print(f"pair {number}: {runs[True]['user'] / runs[False]['user'] - 1:+.2%}", flush=True)
    losses = np.array([runs[True]["user"] / runs[False]["user"] - 1.0 for runs in pairs])
    shares = np.array([runs[True]["own"] / runs[True]["all"] for runs in pairs])
    figures = {
        "date": f"{datetime.date.today()}",
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "versions": {name: version(name) for name in ("tensorflow", "keras", "gymnasium", "numpy", "rich")},
        "callbacks": names,
        "windows": given.windows,
        "user_seconds": [[runs[False]["user"], runs[True]["user"]] for runs in pairs],
        "median_loss": float(np.median(losses)),
        "interval": interval(losses),
        "own_share": {"median": float(np.median(shares)), "most": float(np.max(shares))},
    }
    low, high = figures["interval"]
    print(f"{', '.join(names)}: {np.median(losses):+.2%} [{low:+.2%}, {high:+.2%}] of {len(pairs)} pairs")
    print(f"of a run's CPU seconds, hooks and panel took {np.median(shares):.2%}, at most {np.max(shares):.2%}")
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
