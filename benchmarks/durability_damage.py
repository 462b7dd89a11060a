"""What becomes of a run whose files are broken, or whose disk refuses: part of `durability.py`.

Damage: a run is cut; then each of its files, one at a time, is truncated, emptied, bit-flipped or
removed. `load_agent` must give the champion of a snapshot that is whole, bit for bit, or say that there
is none; resuming must end with the same agent as the run that was left alone.

Disk: in the middle of a save (a write, a rename, a flush, a removal) the disk is full, or may no longer
be written to. The run must end with the same agent, in memory, say so, and leave whole what was whole.
"""

import contextlib
import ctypes
import itertools
import logging
import os
import shutil
import subprocess

import numpy as np
from durability_runs import Job, digest_of_state, in_a_process, make_run, outcome_of
from harness.kill_points import KillPoints

from tensor_optix import CheckpointRegistry, LoopCallback, load_agent
from tensor_optix.core.loop import run_checkpoint
from tensor_optix.core.storage.agent_files import capture
from tensor_optix.core.storage.checkpoint_slots import CheckpointSlots
from tensor_optix.exceptions import TensorOptixError

RUN = "run-0001"
IN_A_SAVE = ("write", "rename", "sync", "remove")
ON_DISK = ("history_file", "snapshots", "champion_weights", "notes")
"""What may differ where the disk, or a file on it, was broken: all else must not."""


def flip(path):
    data = bytearray(path.read_bytes())
    data[int(0.6 * len(data))] ^= 4
    path.write_bytes(data)


DAMAGES = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "emptied": lambda path: path.write_bytes(b""),
    "bit-flipped": flip,
    "removed": lambda path: path.unlink(),
}


class Told(logging.Handler):
    """Keeps what the package warns of."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.lines = []
        logging.getLogger("tensor_optix").addHandler(self)

    def emit(self, record):
        self.lines.append(record.getMessage())


def files_of(run):
    files = (path.relative_to(run) for path in run.rglob("*") if path.is_file() and path.stat().st_size)
    return sorted(str(name) for name in files if name.name not in ("run.lock", "run.owner.json"))


def digest_of_policy(agent):
    """Return what the weights and normalisers are, and nothing of how they came to be."""
    state = capture(agent, "policy")
    return digest_of_state(type(state)(state.arrays, {}, "policy"))


# ---------------------------------------------------------------- files that are broken


def cut_run(job):
    """Run until two thirds of the steps are done, and end there; return what each snapshot holds."""
    run_checkpoint.SAVE_INTERVAL_SECONDS, run_checkpoint.MAX_COST = 0.0, float("inf")
    agent, _, optimizer = make_run(job.case, job.folder, 7, 3)
    with contextlib.suppress(CutError):
        learn, calls = agent.learn, iter(range(2 * job.case["env_steps"] // 300))

        def learn_until(window):
            if next(calls, None) is None:
                raise CutError
            return learn(window)

        agent.learn = learn_until
        optimizer.run()
    registry = CheckpointRegistry(job.folder / RUN, read_only=True)
    found = {}
    for snapshot in registry.snapshots:
        loaded = load_agent(job.folder / RUN)
        registry.load(loaded, snapshot.snapshot_id)
        found[snapshot.snapshot_id] = digest_of_policy(loaded)
    return {"whole": found, "best": registry.best.snapshot_id}


class CutError(Exception):
    pass


def load_and_resume(job):
    """Load the champion of a damaged folder, then resume it; say what came of both, and what was told."""
    told = Told()
    try:
        found = {"loaded": digest_of_policy(load_agent(job.folder / RUN))}
    except TensorOptixError as error:
        found = {"refused": str(error)}
    found["told_when_loading"], told.lines = told.lines, []
    agent, counts, optimizer = make_run(job.case, job.folder, 9999, None)
    result = optimizer.run(resume=True)
    return {**found, "outcome": outcome_of(agent, counts, result), "told": [*told.lines, *result.notes]}


def damage(algorithm, args, folder, note, say):
    """Break every file of a run in every way, one at a time."""
    case = {"algorithm": algorithm, "num_envs": 1, "tuner": "backoff", "env_steps": 3000, "max_snapshots": 3}
    expected = in_a_process(Job(case, folder / f"{algorithm}-whole"))["outcome"]
    source = Job(case, folder / f"{algorithm}-source")
    known = in_a_process(source, cut_run)
    names = files_of(source.folder / RUN)
    rows = []
    for what, name in itertools.product(DAMAGES, names):
        job = Job(case, folder / f"{algorithm}-damaged")
        shutil.rmtree(job.folder, ignore_errors=True)
        shutil.copytree(source.folder, job.folder)
        DAMAGES[what](job.folder / RUN / name)
        done = in_a_process(job, load_and_resume)
        here, tolerated = done["outcome"], {*ON_DISK, "champion"}
        if here["champion"][1:] != expected["champion"][1:]:  # its number may be another one
            tolerated.remove("champion")
        if name == "history.jsonl":  # its lines are what was broken
            tolerated.add("history")
        row = {
            "file": name,
            "damage": what,
            "loaded_something_whole": done.get("loaded") in known["whole"].values(),
            "loaded_the_champion": done.get("loaded") == known["whole"][known["best"]],
            "differs": sorted(key for key in expected if key not in tolerated and here[key] != expected[key]),
            "was_said": bool(done["told_when_loading"] or done["told"]),
        }
        rows.append(row)
        say(f"{algorithm}: {row}")
        note(damage_summary(algorithm, names, rows))


def damage_summary(algorithm, names, rows):
    return {
        "algorithm": algorithm,
        "files": len(names),
        "damages": len(rows),
        "loaded_the_champion": sum(row["loaded_the_champion"] for row in rows),
        "loaded_the_next_best": sum(row["loaded_something_whole"] and not row["loaded_the_champion"] for row in rows),
        "loaded_what_was_not_whole": [row for row in rows if not row["loaded_something_whole"]],
        "resumed_to_the_same_end": sum(not row["differs"] for row in rows),
        "resumed_to_another_end": [row for row in rows if row["differs"]],
        # Told only by what reads the file: the older of two checkpoints, and what no longer speaks of itself, are not.
        "was_said": sum(row["was_said"] for row in rows),
    }


# ---------------------------------------------------------------- disks that refuse


def fill(folder):
    """Take all the room that there is."""
    with (folder / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"x" * 512):
            pass


def change_modes(run, folders, files):
    for path in [run, *run.rglob("*")]:
        with contextlib.suppress(FileNotFoundError):
            path.chmod(folders if path.is_dir() else files)


def obey_permissions():
    """Give up what lets the superuser (of Linux) write where permissions say no."""
    if os.geteuid():
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header, sets = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    if libc.capget(header, sets):
        raise OSError(ctypes.get_errno(), "capget")
    sets[0] &= ~0b110  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH
    if libc.capset(header, sets):
        raise OSError(ctypes.get_errno(), "capset")


def run_refused(job):
    """Run; in the middle of a save the disk begins to refuse and, if ``heals``, holds again two barriers later."""
    run_checkpoint.SAVE_INTERVAL_SECONDS, run_checkpoint.MAX_COST = 0.0, float("inf")
    told, run = Told(), job.folder / RUN
    is_full = job.case["disk"] == "full"
    if not is_full:
        obey_permissions()
    mend_after = [0]

    def refuse():
        mend_after[0] = points.counts["barrier"] + 3
        fill(job.folder) if is_full else change_modes(run, 0o500, 0o400)

    def mend(*_):
        if job.case["heals"] and 0 < mend_after[0] <= points.counts["barrier"]:
            mend_after[0] = -1
            (job.folder / "filler").unlink() if is_full else change_modes(run, 0o700, 0o600)

    watch = LoopCallback()
    watch.on_episode_end = mend
    agent, counts, optimizer = make_run(job.case, job.folder, 7, 3, watch)
    points = KillPoints(agent, *job.kill, act=refuse)
    result = optimizer.run()
    best = CheckpointRegistry(run, read_only=True).best
    whole = CheckpointSlots(run).read() is not None
    if not is_full:
        change_modes(run, 0o700, 0o600)
    return {
        "refused": mend_after[0] != 0,
        "outcome": outcome_of(agent, counts, result),
        "is_checkpoint_whole": whole,
        "best_on_disk": None if best is None else best.snapshot_id,
        "told": told.lines,
    }


@contextlib.contextmanager
def small_disk(folder, kilobytes):
    """A file system of its own with little room; where none may be mounted, there is nothing to be measured."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def disks(args, folder, note, say):
    """Let the disk refuse in the middle of a save."""
    rng, rows = np.random.default_rng(args.seed), []
    base = {"algorithm": "tf_agent", "num_envs": 1, "tuner": "backoff", "env_steps": 3000, "max_snapshots": 50}
    alone = in_a_process(Job(base, folder / "disk-whole"))
    for disk, moment, heals in itertools.product(("full", "read-only"), IN_A_SAVE, (True, False)):
        count = int(rng.integers(alone["counts"][moment] // 4, alone["counts"][moment] // 2))
        job = Job({**base, "disk": disk, "heals": heals}, folder / f"disk-{len(rows)}", kill=(moment, count))
        with small_disk(job.folder, 1500) if disk == "full" else contextlib.nullcontext():
            done = in_a_process(job, run_refused)
        here, tolerated = done["outcome"], {"notes"} if heals else {*ON_DISK}
        row = {
            "disk": disk,
            "moment": f"{moment} {count}",
            "heals": heals,
            "refused": done["refused"],
            "said_loudly": any("could not be" in line for line in done["told"]),
            "in_the_result": any("could not be saved" in line for line in here["notes"]),
            "checkpoint_whole": done["is_checkpoint_whole"],
            "champion_on_disk_whole": done["best_on_disk"] is not None,
            "differs": sorted(key for key in here if key not in tolerated and here[key] != alone["outcome"][key]),
        }
        rows.append(row)
        say(row)
        must = ("refused", "said_loudly", "checkpoint_whole", "champion_on_disk_whole")
        bad = [row for row in rows if row["differs"] or not all(row[key] for key in must)]
        note({"runs": len(rows), "as_promised": len(rows) - len(bad), "not_as_promised": bad, "all": rows})
