"""Is a run that was killed and resumed the run that was never killed? And what if files are damaged?

Kills: every job runs in a process of its own, forked from this one, which ends itself with SIGKILL
at a moment drawn beforehand: at a step of the environment, inside learn(), at a barrier, with a file
half written, around a rename, a flush, a removal. A run is killed and resumed several times; what it
ends with is compared, bit for bit, with the run that was left alone. It must also have gone on from
the latest checkpoint that had been written whole.

Power cuts: the same, and what was never flushed to the disk is lost as well, all or any part of it.

Kinds: the same with what users bring along: wrappers with statistics, a second network, seeds, callbacks.

Damage, full and read-only disks, crafted files: see `durability_damage.py` and `durability_crafted.py`.

    python benchmarks/durability.py --kills 50 --output benchmarks/results/durability.json
    python benchmarks/durability.py --parts kinds --kills-a-kind 8 --add benchmarks/results/durability.json --output ...
    python benchmarks/durability.py --parts kills --algorithms tf_agent --kills 4 --seed 1
"""

import argparse
import itertools
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import durability_crafted
import durability_damage
import durability_kinds
import numpy as np
from durability_runs import (
    ALGORITHMS,
    KILLED,
    TUNERS,
    Job,
    about,
    in_a_process,
    is_handed_back,
    kind_of,
    load_tensorflow,
)
from harness.kill_points import MOMENTS

PARTS = ("kills", "kinds", "damage", "crafted")
MAX_KILLS_A_RUN = 4


def cases_of(algorithm, args):
    """Yield the cases of an algorithm, or of a kind of state that users bring along with the first one."""
    own = {"algorithm": algorithm} if algorithm in ALGORITHMS else {"algorithm": ALGORITHMS[0], "kind": algorithm}
    for num_envs, tuner in itertools.product(args.num_envs, args.tuners):
        yield {**own, "num_envs": num_envs, "tuner": tuner, "env_steps": args.env_steps}


def kill_and_resume(job, reference, draw_kill, kills_left):
    """Kill and resume one run until it ends; return its kills and what differs in the end."""
    kills, restarts = [], 0
    while True:
        may_kill = len(kills) < min(kills_left, MAX_KILLS_A_RUN)
        job.kill = draw_kill() if may_kill else None
        done = in_a_process(job)
        if done is None:
            kills.append(job.kill)
            job.resume = True
            if job.is_power_cut:
                shutil.rmtree(job.folder)
                job.beside(".left").rename(job.folder)
        elif "nothing_to_resume" in done:
            if job.beside(".saves").read_text():
                raise SystemExit(f"A checkpoint was whole, and was not found: {job}")
            restarts += 1
            job.resume = False
        else:
            here, says = done["outcome"], kind_of(job.case).get("says")
            only_trained = ("agent", "callback") if is_handed_back(here) else ()
            differs = sorted(name for name in reference if name not in only_trained and here[name] != reference[name])
            if says is not None:  # it cannot be saved: the result must say so
                differs = [] if any(says in note for note in here["notes"]) else ["notes"]
            seen = {"kills": kills, "restarts": restarts, "went_back": went_back(job), "differs": differs}
            return seen | ({"left_behind": job.num_left_behind} if job.has_workers else {})


def went_back(job):
    """Return how often a run went on from an older checkpoint than the latest whole one."""
    latest, num_back = 0, 0
    for line in job.beside(".saves").read_text().splitlines():
        what, number = line.split()
        num_back += what == "read" and int(number) < latest
        latest = int(number)
    return num_back


def folder_name(text):
    return text.replace(" ", "-")


class Left:
    """Runs that were left alone, one for each case; made when first asked for."""

    def __init__(self, folder):
        self._folder = folder
        self._done = {}

    def alone(self, case):
        key = json.dumps(case, sort_keys=True)
        if key not in self._done:
            started = time.perf_counter()
            place = self._folder / f"{folder_name(case.get('kind', case['algorithm']))}-left-alone-{len(self._done)}"
            self._done[key] = in_a_process(Job(case, place))
            say(f"{case}: left alone, {time.perf_counter() - started:.1f} s")
        return self._done[key]


def measure(algorithm, args, folder, left, *, num_kills, is_power_cut, note):
    """Interrupt one algorithm's runs ``num_kills`` times, over all its cases in turn."""
    rng = np.random.default_rng([args.seed, is_power_cut, sum(map(ord, algorithm))])
    moments = itertools.cycle(rng.permutation(MOMENTS).tolist())
    runs, done = [], 0
    for number, case in enumerate(itertools.cycle(cases_of(algorithm, args))):
        if done >= num_kills:
            return
        alone = left.alone(case)

        def draw_kill(counts=alone["counts"]):
            moment = next(moments)
            return moment, int(rng.integers(1, max(2, counts.get(moment, 1) + 1)))

        job = Job(case, folder / f"{folder_name(algorithm)}-{'cut' if is_power_cut else 'killed'}-{number}")
        job.is_power_cut = is_power_cut
        runs.append({**case, **kill_and_resume(job, alone["outcome"], draw_kill, num_kills - done)})
        done += len(runs[-1]["kills"])
        say(f"{algorithm} {'power cuts' if is_power_cut else 'kills'} {done}/{num_kills}: {runs[-1]}")
        if not runs[-1]["differs"]:
            shutil.rmtree(job.folder, ignore_errors=True)
        note(summary(runs))


def summary(runs):
    kills = [kill for run in runs for kill in run["kills"]]
    # what cannot be saved cannot end the same: those runs must say so
    ended = "kills_in_runs_that_" + ("said_so" if kind_of(runs[0]).get("says") else "ended_bit_identical")
    return {
        "kills": len(kills),
        "killed_runs": sum(bool(run["kills"]) for run in runs),
        ended: sum(len(run["kills"]) for run in runs if not run["differs"]),
        "went_on_from_an_older_checkpoint_than_the_latest_whole_one": sum(run["went_back"] for run in runs),
        "before_the_first_checkpoint_was_whole": sum(run["restarts"] for run in runs),
        "moments": {moment: sum(kill[0] == moment for kill in kills) for moment in MOMENTS},
        **of_workers(runs),
        "cases": sorted({f"{run['num_envs']} envs, {run['tuner']}" for run in runs if run["kills"]}),
        "runs_that_differ": [run for run in runs if run["differs"]],
    }


def of_workers(runs):
    """Return who was killed, and what ran on, where environments have processes of their own."""
    if "left_behind" not in runs[0]:
        return {}
    who = [KILLED[number % len(KILLED)] for run in runs for _, number in run["kills"]]
    left_behind = sum(run["left_behind"] for run in runs)
    return {"killed": {name: who.count(name) for name in KILLED}, "workers_left_behind": left_behind}


def say(text):
    print(text, file=sys.stderr, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=PARTS)
    parser.add_argument("--algorithms", nargs="+", choices=ALGORITHMS, default=ALGORITHMS)
    parser.add_argument("--kills", type=int, default=50, help="per algorithm")
    parser.add_argument("--kinds", nargs="*", choices=list(durability_kinds.KINDS), help="default: all")
    parser.add_argument("--kills-a-kind", type=int, default=8, help="per kind of state that users bring")
    parser.add_argument("--power-cuts", type=int, default=10, help="per algorithm; Linux only")
    parser.add_argument("--num-envs", nargs="+", type=int, default=[1, 4])
    parser.add_argument("--tuners", nargs="+", choices=list(TUNERS), default=list(TUNERS))
    parser.add_argument("--env-steps", type=int, default=4000, help="of each run that is killed")
    parser.add_argument("--damaged", nargs="*", choices=ALGORITHMS, default=["dqn"], help="whose files are broken")
    parser.add_argument("--fuzzed", type=int, default=10_000, help="crafted files")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--output", type=Path, help="JSON, written as results come in")
    parser.add_argument("--add", nargs="*", type=Path, default=[], help="results of earlier calls, to be taken along")
    args = parser.parse_args()
    load_tensorflow()
    report = {}
    for path in args.add:
        report = merged(report, json.loads(path.read_text()))
    taken = {"about": about(), "options": {k: v for k, v in vars(args).items() if k not in ("output", "add")}}
    if args.add:  # what was taken earlier was taken then
        report |= {f"{name}_{part}": told for part in args.parts for name, told in taken.items()}
    report = {**taken, **report}
    earlier_seconds = report.get("seconds", 0)
    folder = Path(tempfile.mkdtemp(prefix="durability-"))
    started = time.perf_counter()

    def note_at(*path):
        def note(result):
            place = report
            for name in path[:-1]:
                place = place.setdefault(name, {})
            place[path[-1]] = result
            report["seconds"] = earlier_seconds + round(time.perf_counter() - started)
            if args.output:
                args.output.write_text(json.dumps(report, indent=1) + "\n")

        return note

    if "kills" in args.parts:
        for algorithm in args.algorithms:
            left = Left(folder)
            for what, number in (("kills", args.kills), ("power_cuts", args.power_cuts)):
                note = note_at(what, algorithm)
                measure(algorithm, args, folder, left, num_kills=number, is_power_cut=what != "kills", note=note)
    if "kinds" in args.parts:
        for kind in args.kinds or durability_kinds.KINDS:
            note = note_at("kinds", kind)
            measure(kind, args, folder, Left(folder), num_kills=args.kills_a_kind, is_power_cut=False, note=note)
    if "damage" in args.parts:
        for algorithm in args.damaged:
            durability_damage.damage(algorithm, args, folder, note_at("damage", algorithm), say)
        if sys.platform.startswith("linux") and os.geteuid() == 0:
            durability_damage.disks(args, folder, note_at("disks"), say)
    if "crafted" in args.parts:
        durability_crafted.crafted(args, folder, note_at("crafted"), say)
    print(json.dumps(report, indent=1))
    failures = failures_in(report)
    if failures:
        raise SystemExit(f"These failed: {failures}. The folders are kept in {folder}.")
    shutil.rmtree(folder)


def merged(one, other):
    """Return both results as one; what both have is the other's, but that seconds add up."""
    if not isinstance(one, dict) or not isinstance(other, dict):
        return other
    both = {
        key: merged(one[key], other[key]) if key in one and key in other else {**one, **other}[key]
        for key in {**one, **other}
    }
    if "seconds" in one and "seconds" in other:
        both["seconds"] = one["seconds"] + other["seconds"]
    return both


MUST_BE_EMPTY = (
    "runs_that_differ",
    "went_on_from_an_older_checkpoint_than_the_latest_whole_one",
    "loaded_what_was_not_whole",
    "resumed_to_another_end",
    "not_as_promised",
    "workers_left_behind",
)


def failures_in(report, path=()):
    """Return the names of what must be empty or zero and is not."""
    if not isinstance(report, dict):
        return []
    here = [" ".join((*path, name)) for name in MUST_BE_EMPTY if report.get(name)]
    return here + [line for name, part in report.items() for line in failures_in(part, (*path, name))]


if __name__ == "__main__":
    main()
