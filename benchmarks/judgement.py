"""How often the judgement is wrong: every stopping rule on the same real curves, and the watchdog on steady series.

    python benchmarks/judgement.py                        # all, into benchmarks/results/judgement.json
    python benchmarks/judgement.py --parts stopping       # stopping, watchdog, causes, coverage

Curves are made by `judgement_curves.py` and split by environment: constants were chosen on TUNING, figures are read off
REPORTED, whose curves were logged after all constants but two; `judgement_blind.py` has the figures of before. Curves
of OTHER_LIBRARY are made by `judgement_sb3.py`. Definitions: `judgement_truth.py`. Causes and coverage are counted from
what `judgement_causes.py` and `judgement_coverage.py` wrote.
"""

import argparse
import datetime
import json
import platform
import time
from pathlib import Path

import gymnasium
import numpy as np
import scipy
from judgement_coverage import read, summary
from judgement_curves import RESULTS as CURVES
from judgement_curves import load
from judgement_rules import OTHER_RULES, STALLED, TRAINED, detector_alone, looks_of, replay_loop
from judgement_truth import Run
from judgement_watchdog import delay_ratios, frozen_shares, invariance, steady_shares

import tensor_optix
from tensor_optix.monitoring import PlateauDetector

RESULTS = Path(__file__).with_name("results")
TUNING = (
    *("Acrobot", "Blackjack", "Breakout", "CartPole", "Catch", "CliffWalking", "FrozenLake", "Identity", "LunarLander"),
    *("InvertedPendulum", "LunarLanderContinuous", "MountainCarContinuous", "Obstacles", "Pendulum", "Reacher", "Taxi"),
)
REPORTED = ("DistShift", "EmptyRoom", "FrozenMap", "InvertedDoublePendulum", "LavaGap", "Pusher", "Swimmer")
OTHER_LIBRARY = ("Acrobot-sb3", "CartPole-sb3", "Pendulum-sb3")
OURS, LOOP = "PlateauDetector says PLATEAU", "the loop is DORMANT"
BOOTSTRAPS = 2_000


def load_runs(folder=CURVES):
    """Return all logged runs."""
    paths = sorted(path for path in folder.glob("*.npz") if path.stem != "frozen")
    return [Run.of(record) for path in paths for record in load(path)]


def stops_of(run, merge=1):
    """Return ``{rule: (env step, verdict), or None}``."""
    steps, scores = looks_of(run, merge)
    events = replay_loop(run, merge)
    stops = {OURS: detector_alone(steps, scores), LOOP: events.get("dormant")}
    stops.update({name: rule(steps, scores) for name, rule in OTHER_RULES.items()})
    if run.has_learned:
        stops["oracle (knows the whole curve)"] = (run.t95, TRAINED)
    return stops


def outcome(run, stop):
    """Return what one rule did on one run that learned."""
    if stop is None or stop[1] == STALLED:
        below, wasted = -np.inf, np.inf
    else:
        below, wasted = run.shortfall(stop[0]), (stop[0] - run.t95) / run.t95
    return {
        "false_10": below > 0.10,
        "false_5": below > 0.05,
        "wasted": wasted,
        "missed": (stop is None) if run.is_flat else None,
    }


def figures(outcomes):
    missed = [o["missed"] for o in outcomes if o["missed"] is not None]
    return {
        "false_10": float(np.mean([o["false_10"] for o in outcomes])),
        "false_5": float(np.mean([o["false_5"] for o in outcomes])),
        "wasted": float(np.median([o["wasted"] for o in outcomes])),
        "missed": float(np.mean(missed)) if missed else float("nan"),
    }


def per_env(found):
    """Sort ``(run, outcome)`` into ``{environment: [outcome]}``."""
    sorted_outcomes = {}
    for run, what in found:
        sorted_outcomes.setdefault(run.meta["env"], []).append(what)
    return sorted_outcomes


def with_intervals(by_env, rng):
    """Return each figure as ``[estimate, low, high]``: 95 % bootstrap over the runs of each environment."""
    estimate = figures([o for outcomes in by_env.values() for o in outcomes])
    draws = [
        figures([outcomes[i] for outcomes in by_env.values() for i in rng.integers(len(outcomes), size=len(outcomes))])
        for _ in range(BOOTSTRAPS)
    ]
    bounds = {}
    for name, value in estimate.items():
        values = np.sort([draw[name] for draw in draws])
        values = values[~np.isnan(values)]
        picked = values[[int(0.025 * len(values)), int(0.975 * (len(values) - 1))]] if len(values) else [np.nan] * 2
        bounds[name] = [value, float(picked[0]), float(picked[1])]
    return bounds


def stopping(runs, merge=1):
    """Return the table of each part of the environments."""
    parts = {"tuning": TUNING, "reported": REPORTED, "sb3": OTHER_LIBRARY}
    return {part: table_of(runs, envs, merge) for part, envs in parts.items()}


def table_of(runs, envs, merge=1):
    """Return how often each rule was wrong on the runs of some environments, and what the hopeless were called."""
    rng = np.random.default_rng(0)
    stops = [(run, stops_of(run, merge)) for run in runs if run.meta["env"] in envs]
    learned = [(run, stop) for run, stop in stops if run.has_learned]
    bad = [(run, stop) for run, stop in stops if run.meta["kind"] != "good"]
    rules = list(learned[0][1]) if learned else []
    outcomes = {rule: per_env([(run, outcome(run, stop[rule])) for run, stop in learned]) for rule in rules}

    def called(kept, rule, verdict):
        return sum(stop[rule] is not None and stop[rule][1] == verdict for _, stop in kept)

    return {
        "runs": len(learned),
        "runs_by_env": {env: sum(run.meta["env"] == env for run, _ in learned) for env in envs},
        "flat": int(sum(run.is_flat for run, _ in learned)),
        "good_runs_without_a_real_gain": sum(r.meta["kind"] == "good" and not r.has_learned for r, _ in stops),
        "rules": {rule: with_intervals(found, rng) for rule, found in outcomes.items()},
        "by_env": {env: figures(found) for env, found in outcomes.get(OURS, {}).items()},
        "never_learned": {
            "runs": len(bad),
            "called_trained": {rule: called(bad, rule, TRAINED) for rule in rules[:-1]},
            "called_stalled": called(bad, LOOP, STALLED),
        },
        "learned_called_stalled": {rule: called(learned, rule, STALLED) for rule in (OURS, LOOP)},
        "failures": [
            {"run": run.meta["name"], "below": round(run.shortfall(stop[OURS][0]), 3)}
            for run, stop in learned
            if outcome(run, stop[OURS])["false_5"]
        ],
    }


def plateau_invariance(runs):
    """Return on how many curves the detector's verdict is the same under ``a x`` and ``a x + b``."""
    rng = np.random.default_rng(1)

    def verdicts(scores):
        detector = PlateauDetector()
        return [detector.update(score) for score in scores.tolist()]

    same = {"power of two": 0, "a x + b": 0, "curves": 0}
    for run in runs[:: max(1, len(runs) // 60)]:
        scores = looks_of(run)[1]
        spread = scores.std() or 1.0
        scale, offset = float(np.exp(rng.uniform(-10, 10))), float(rng.uniform(-1e6, 1e6)) * spread
        plain = verdicts(scores)
        same["curves"] += 1
        same["power of two"] += plain == verdicts(scores * 2.0 ** int(rng.integers(-60, 60)))
        same["a x + b"] += plain == verdicts(scale * (scores + offset))
    return same


def print_stopping(tables):
    for part, table in tables.items():
        never = table["never_learned"]
        print(f"\n{part}: {table['runs']} runs that learned {table['runs_by_env']}, {table['flat']} flat at the end")
        print(f"{'rule':45s} {'>10 % below':>20s} {'>5 % below':>20s} {'wasted x t95':>20s} {'missed':>20s}  of bad")
        for rule, row in table["rules"].items():
            cells = [
                f"{v:6.1%} [{a:4.0%},{b:4.0%}]" if name != "wasted" else f"{v:6.2f} [{a:5.2f},{b:5.2f}]"
                for name, (v, a, b) in row.items()
            ]
            bad = never["called_trained"].get(rule)
            print(f"{rule:45s} " + " ".join(f"{cell:>20s}" for cell in cells) + f"  {bad} of {never['runs']}")
        for env, row in table["by_env"].items():
            print(f"  {OURS}, {env:22s} " + " ".join(f"{value:7.2f}" for value in row.values()))
        print(f"called stalled: {never['called_stalled']} of {never['runs']}; failures: {table['failures']}")
        print(f"called stalled though they learned: {table['learned_called_stalled']}")


def watchdog(count):
    rng = np.random.default_rng(2)
    return {
        "series": count,
        "steady": steady_shares(rng, count),
        "frozen": frozen_shares(rng, min(count, 50)),
        "delays": delay_ratios(rng, count),
        "invariance": {"series": 60, **invariance(rng, 60)},
    }


def print_watchdog(found):
    for who, by_phi in found["steady"].items():
        for phi, row in by_phi.items():
            print(f"{who:30s} phi {phi}: " + ", ".join(f"{kind} {share:.1%}" for kind, share in row.items()))
    print("real returns of frozen policies: " + ", ".join(f"{k} {v:.1%}" for k, v in found["frozen"].items()))
    for scenario, by_phi in found["delays"].items():
        print(f"{scenario:38s} " + "; ".join(f"phi {p}: " + " ".join(f"{r:.2f}" for r in v) for p, v in by_phi.items()))
    print(found["invariance"])


def causes():
    records = read(RESULTS / "judgement_causes.jsonl")
    counts = {}
    for record in records:
        row = counts.setdefault(f"{record['env']} {record['case']}", [0, 0])
        row[0] += record["right"]
        row[1] += 1
    return {"cases": len(records), "right": sum(r["right"] for r in records), "by_kind": counts}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", default=["stopping", "watchdog", "causes", "coverage"])
    parser.add_argument("--series", type=int, default=400, help="simulated series per cell of the watchdog's table")
    arguments = parser.parse_args()
    path = RESULTS / "judgement.json"
    found = json.loads(path.read_text()) if path.exists() else {}
    for part in arguments.parts:
        started = time.perf_counter()
        if part == "stopping":
            runs = load_runs()
            found[part] = stopping(runs)
            found["coarser"] = {f"windows x {merge}": stopping(runs, merge) for merge in (2, 4)}
            found["invariance"] = plateau_invariance(runs)
            print_stopping(found[part])
            print(found["invariance"])
        elif part == "watchdog":
            found[part] = watchdog(arguments.series)
            print_watchdog(found[part])
        elif part == "causes":
            found[part] = causes()
            print(found[part])
        elif part == "coverage":
            found[part] = summary(read(RESULTS / "judgement_coverage.jsonl"))
            print(found[part])
        found.setdefault("made", {})[part] = {
            "date": datetime.date.today().isoformat(),
            "seconds": round(time.perf_counter() - started, 1),
            "versions": {
                "tensor_optix": tensor_optix.__version__,
                "numpy": np.__version__,
                "scipy": scipy.__version__,
                "gymnasium": gymnasium.__version__,
                "python": platform.python_version(),
            },
        }
        path.write_text(json.dumps(found, indent=1, default=float) + "\n")


if __name__ == "__main__":
    main()
