"""Print how the hyperparameter optimizers do on a simulated learning curve, through the real loop.

Run ``python benchmarks/tuning_simulation.py --seeds 50``; ``--first-seed`` keeps seeds that choices were made on
apart from those that are reported.
"""

import argparse
import logging
import time

import numpy as np

from tensor_optix.core.types import ParamSpec
from tensor_optix.optimizers import BackoffOptimizer, PBTOptimizer
from tensor_optix.testing.tuning_figures import count_found, count_four_found, neutral_moves, score_loss

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--first-seed", type=int, default=1000)
    parser.add_argument("--only", choices=sorted(MAKERS))
    parser.add_argument("--brief", action="store_true", help="only what has a figure to reach")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    for name, make in MAKERS.items():
        if arguments.only in (None, name):
            started = time.perf_counter()
            required(name, make, seeds)
            if not arguments.brief:
                beyond(name, make, seeds)
            print(f"{name}: {time.perf_counter() - started:.0f} s", flush=True)


def required(name, make, seeds) -> None:
    for best in (0.05, 0.3, 0.8):
        say(name, f"optimum {best}, 300 windows", f"{count_found(make, {'a': best}, seeds, 300)} of {len(seeds)}")
    say(name, "four parameters, 1,000 windows", f"{count_four_found(make, seeds)} of {len(seeds)}")
    for start in (0.1, 0.3):
        moves = neutral_moves(make, seeds, start=start)
        error = moves.std(ddof=1) / np.sqrt(len(moves))
        text = f"median distance {np.median(np.abs(moves)):.3f}, mean {moves.mean():+.3f} +- {error:.3f} decades"
        say(name, f"neutral from {start}, 200 windows", f"{text}, up {np.sum(moves > 0)}, down {np.sum(moves < 0)}")
    losses = [100.0 * score_loss(make, best, seeds) for best in (0.05, 0.3, 0.8)]
    say(name, "score loss at the optimum", ", ".join(f"{loss:.2f} %" for loss in losses) + " of the range")


def beyond(name, make, seeds) -> None:
    for best in (0.02, 0.1, 0.5):
        say(name, f"optimum {best}, 300 windows", f"{count_found(make, {'a': best}, seeds, 300)} of {len(seeds)}")
    for what, change in UNSEEN.items():
        found = [count_found(make, {"a": best}, seeds, 300, **change) for best in (0.02, 0.1, 0.5)]
        say(name, f"{what}, optima 0.02, 0.1, 0.5", f"{found} of {len(seeds)}")
    for what, spec, best in (
        ("linear (0, 1)", ParamSpec(0.0, 1.0), 0.3),
        ("discount (0.9, 0.999)", ParamSpec(0.9, 0.999, "one_minus_log"), 0.98),
        ("whole numbers (1, 100)", ParamSpec(1, 100, "log", integer=True), 12),
        ("five decades (1e-6, 1e-1)", ParamSpec(1e-6, 1e-1, "log"), 3e-4),
    ):
        found = count_found(make, {"a": best}, seeds, 300, spec=spec)
        say(name, f"{what}, optimum {best}", f"{found} of {len(seeds)}")


def say(name: str, what: str, figure: str) -> None:
    print(f"| {name} | {what} | {figure} |", flush=True)


if __name__ == "__main__":
    main()
