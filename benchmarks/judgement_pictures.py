"""Draw a dozen logged curves and where each rule stopped, for `docs/judgement.md`.

    python benchmarks/judgement_pictures.py               # docs/images/judgement.png

Shown are the runs on which the detector was most wrong, then one run after another of the reported environments, and
two that never learned.
"""

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from judgement import LOOP, OURS, REPORTED, load_runs, outcome, stops_of
from judgement_rules import looks_of

IMAGE = Path(__file__).parents[1] / "docs" / "images" / "judgement.png"
SHOWN = {
    "patience 20": ("#b0b0b0", "patience 20"),
    "SB3 StopTrainingOnNoModelImprovement(10, 5)": ("#d9a441", "SB3's rule"),
    "slope t-test over 30 looks": ("#7a9cc6", "slope t-test"),
    OURS: ("#c0392b", "PLATEAU or STALLED"),
    LOOP: ("#7d1f16", "DORMANT"),
}
FAILURES, BAD, COUNT = 3, 2, 12


def choose(runs):
    """Return the runs to be drawn, failures first, each with a remark."""
    learned = [run for run in runs if run.has_learned and run.meta["env"] in REPORTED]
    stops = {run.meta["name"]: stops_of(run) for run in learned}

    def below(run):
        stop = stops[run.meta["name"]][OURS]
        return run.shortfall(stop[0]) if stop and outcome(run, stop)["false_5"] else -np.inf

    failures = [run for run in sorted(learned, key=below, reverse=True) if np.isfinite(below(run))][:FAILURES]
    missed = [run for run in learned if run.is_flat and stops[run.meta["name"]][OURS] is None][:1]
    chosen = [(run, "called too early") for run in failures] + [(run, "missed") for run in missed]
    bad, kinds = [], set()
    for run in runs:
        if run.meta["kind"] != "good" and run.meta["kind"] not in kinds and len(run.counts) > 100:
            kinds.add(run.meta["kind"])
            bad.append((run, "never learned"))
    by_task = {}
    for run in learned:
        by_task.setdefault((run.meta["env"], run.meta["algorithm"]), []).append(run)
    rounds = [row[i] for i in range(8) for row in by_task.values() if i < len(row)]
    others = [(run, "") for run in rounds if all(run is not known for known, _ in chosen)]
    return [*chosen, *others[: COUNT - BAD - len(chosen)], *bad[:BAD]]


def draw(axis, run, remark):
    steps, scores = looks_of(run)
    axis.plot(steps / 1e3, scores, color="#cccccc", linewidth=0.7)
    at, levels = run.levels
    axis.plot(at / 1e3, levels, color="#333333", linewidth=1.2)
    axis.set_ylim(*np.quantile(np.concatenate([scores, levels]), [0.02, 0.995]))
    if run.has_learned:
        axis.axvline(run.t95 / 1e3, color="#2e8b57", linestyle=":", linewidth=1.5)
    for rule, (color, _) in SHOWN.items():
        stop = stops_of(run)[rule]
        if stop is not None:
            axis.axvline(stop[0] / 1e3, color=color, linewidth=1.5)
    flaw = "" if run.meta["kind"] == "good" else f", {run.meta['kind']}"
    title = f"{run.meta['env']}, {run.meta['algorithm']}{flaw}, seed {run.meta['seed']}"
    axis.set_title(title + (f"\n{remark}" if remark else "\n"), fontsize=8)
    axis.tick_params(labelsize=7)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=IMAGE)
    arguments = parser.parse_args()
    chosen = choose(load_runs())
    figure, axes = plt.subplots(4, 3, figsize=(10, 11), layout="constrained")
    for axis, (run, remark) in zip(axes.flat, chosen, strict=False):
        draw(axis, run, remark)
    for axis in axes[-1]:
        axis.set_xlabel("thousand env steps", fontsize=8)
    lines = [plt.Line2D([], [], color=color, label=name) for color, name in SHOWN.values()]
    lines += [
        plt.Line2D([], [], color="#2e8b57", linestyle=":", label="95 % of the gain reached"),
        plt.Line2D([], [], color="#333333", label="level"),
        plt.Line2D([], [], color="#cccccc", label="looks"),
    ]
    figure.legend(handles=lines, loc="outside lower center", ncols=4, fontsize=8)
    figure.savefig(arguments.out, dpi=70)
    print([(run.meta["name"], remark) for run, remark in chosen])


if __name__ == "__main__":
    main()
