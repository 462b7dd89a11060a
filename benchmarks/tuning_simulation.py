"""Print how the hyperparameter optimizers do on a simulated learning curve, through the real loop.

Run ``python benchmarks/tuning_simulation.py --seeds 50``; ``--first-seed`` keeps seeds that choices were made on
apart from those that are reported. ``--write`` keeps every figure, with seeds, date and versions, in
``benchmarks/results/tuning_simulation.json``, after each one: a run that is cut short leaves what it had.
"""

import argparse
import datetime
import functools
import json
import logging
import platform
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
from harness.tuning_figures import count_found, count_four_found, neutral_moves, score_loss

from tensor_optix.core.search_space import ParamSpec
from tensor_optix.optimizers import BackoffOptimizer, PBTOptimizer

MAKERS = {
    "Backoff": lambda bounds, seed: BackoffOptimizer(bounds, seed=seed),
    "PBT": lambda bounds, seed: PBTOptimizer(bounds, seed=seed),
}
UNSEEN = {
    "noise x 0.3": {"noise": 0.03},
    "noise x 3": {"noise": 0.3},
    "no drift": {"drift": 0.0},
    "drift x 4": {"drift": 0.01},
}
RESULTS = Path(__file__).with_name("results") / "tuning_simulation.json"


class Figures:
    """Prints figures as they come, and keeps them in a file where one is given."""

    def __init__(self, seeds, path=None) -> None:
        self._path = path
        self._record = {
            "date": str(datetime.date.today()),
            "seeds": [seeds[0], seeds[-1]],
            "versions": {
                "python": platform.python_version(),
                **{name: version(name) for name in ("tensor-optix", "numpy", "scipy")},
            },
            "is_complete": False,
            "figures": [],
        }

    def say(self, name, what, figure, **values) -> None:
        print(f"| {name} | {what} | {figure} |", flush=True)
        self._record["figures"].append({"optimizer": name, "what": what, "figure": figure, **values})
        self._save()

    def complete(self) -> None:
        self._record["is_complete"] = True
        self._save()

    def _save(self) -> None:
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.write_text(json.dumps(self._record, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--first-seed", type=int, default=1000)
    parser.add_argument("--only", choices=sorted(MAKERS))
    parser.add_argument("--brief", action="store_true", help="only what has a figure to reach")
    parser.add_argument("--write", action="store_true", help=f"keep the figures in {RESULTS.name}")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    figures = Figures(seeds, RESULTS if arguments.write else None)
    for part in (required,) if arguments.brief else (required, beyond):
        for name, make in MAKERS.items():
            if arguments.only in (None, name):
                started = time.perf_counter()
                part(functools.partial(figures.say, name), make, seeds)
                print(f"{name}, {part.__name__}: {time.perf_counter() - started:.0f} s", flush=True)
    figures.complete()


def required(say, make, seeds) -> None:
    for best in (0.05, 0.3, 0.8):
        say_found(say, f"optimum {best}, 300 windows", count_found(make, {"a": best}, seeds, 300), seeds)
    say_found(say, "four parameters, 1,000 windows", count_four_found(make, seeds), seeds)
    for start in (0.1, 0.3):
        moves = neutral_moves(make, seeds, start=start)
        error = moves.std(ddof=1) / np.sqrt(len(moves))
        text = f"median distance {np.median(np.abs(moves)):.3f}, mean {moves.mean():+.3f} +- {error:.3f} decades"
        text += f", up {np.sum(moves > 0)}, down {np.sum(moves < 0)}"
        say(f"neutral from {start}, 200 windows", text, moves_decades=[round(float(move), 4) for move in moves])
    losses = [100.0 * score_loss(make, best, seeds) for best in (0.05, 0.3, 0.8)]
    text = ", ".join(f"{loss:.2f} %" for loss in losses) + " of the range"
    say("score loss at the optimum 0.05, 0.3, 0.8", text, loss_percent=[round(loss, 4) for loss in losses])


def beyond(say, make, seeds) -> None:
    for best in (0.02, 0.1, 0.5):
        say_found(say, f"optimum {best}, 300 windows", count_found(make, {"a": best}, seeds, 300), seeds)
    for what, change in UNSEEN.items():
        found = [count_found(make, {"a": best}, seeds, 300, **change) for best in (0.02, 0.1, 0.5)]
        say(f"{what}, optima 0.02, 0.1, 0.5", f"{found} of {len(seeds)}", found=found)
    for what, spec, best in (
        ("linear (0, 1)", ParamSpec(0.0, 1.0), 0.3),
        ("discount (0.9, 0.999)", ParamSpec(0.9, 0.999, "one_minus_log"), 0.98),
        ("whole numbers (1, 100)", ParamSpec(1, 100, "log", integer=True), 12),
        ("five decades (1e-6, 1e-1)", ParamSpec(1e-6, 1e-1, "log"), 3e-4),
    ):
        say_found(say, f"{what}, optimum {best}", count_found(make, {"a": best}, seeds, 300, spec=spec), seeds)


def say_found(say, what, found, seeds) -> None:
    say(what, f"{found} of {len(seeds)}", found=found)


if __name__ == "__main__":
    main()
