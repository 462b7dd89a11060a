"""Runs a small agent in a folder that becomes read-only, and reports; run by a test."""

import ctypes
import json
import os
import sys
import tempfile
from pathlib import Path

from resume_fakes import make_run, outcome_of, wait_for_writers

from tensor_optix import CheckpointRegistry, LoopCallback
from tensor_optix.core.loop import run_checkpoint
from tensor_optix.core.storage.checkpoint_slots import CheckpointSlots


class Between(LoopCallback):
    def __init__(self, run, heals):
        self.run, self.heals = run, heals

    def on_episode_end(self, episode_id, metrics):
        if episode_id == 8:
            wait_for_writers(self.optimizer)
            self.change(0o500, 0o400)
        if episode_id == 16 and self.heals:
            self.change(0o700, 0o600)

    def change(self, folders, files):
        for path in [self.run, *self.run.rglob("*")]:
            path.chmod(folders if path.is_dir() else files)


def obey_permissions():
    """Give up what lets the superuser (of Linux) write where permissions say no: CAP_DAC_OVERRIDE and the next."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    sets = (ctypes.c_uint32 * 6)()
    assert libc.capget(header, sets) == 0
    sets[0] &= ~0b110
    assert libc.capset(header, sets) == 0


def main(heals):
    if os.geteuid() == 0:
        obey_permissions()
    run_checkpoint.RunCheckpoint.save_if_due = run_checkpoint.RunCheckpoint.save
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run-0001"
        callback = Between(run, heals)
        optimizer = make_run(folder, callbacks=[callback], max_env_steps=None, max_episodes=24, max_snapshots=50)
        callback.optimizer = optimizer
        result = optimizer.run()
        best = CheckpointRegistry(run, read_only=True).best
        callback.change(0o700, 0o600)
        outcome = outcome_of(optimizer, result)
        report = {
            "notes": result.notes,
            "history": outcome["history"],
            "rows": outcome["rows"],
            "agent": repr(outcome["agent"]),
            "is_checkpoint_whole": CheckpointSlots(run).read() is not None,
            "best_on_disk": None if best is None else best.snapshot_id,
        }
    print(json.dumps(report))


if __name__ == "__main__":
    main(sys.argv[1] == "1")
