"""Kills runs of a small agent, or cuts their power, at drawn moments; prints what differs in the end; run by a test.

One process that forks for each run: what is killed is a process of its own, with its threads.
"""

import json
import os
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
from harness.kill_points import MOMENTS, KillPoints
from resume_fakes import LinearAgent, make_run, outcome_of

from tensor_optix.core.loop import run_checkpoint
from tensor_optix.exceptions import CheckpointError

HAS_POWER_CUTS = sys.platform.startswith("linux")


def run_in_fork(folder, resume, kill, is_power_cut=False, **case):
    """Return the outcome and the moments' counts; None if killed, "nothing" if nothing is to be resumed."""
    answer = folder.with_suffix(".json")
    pid = os.fork()
    if pid == 0:
        run_checkpoint.SAVE_INTERVAL_SECONDS, run_checkpoint.MAX_COST = 0.0, float("inf")
        agent = LinearAgent(init_seed=99 if resume else 0)
        end = cut_power(folder, kill) if is_power_cut and kill else None
        points = KillPoints(agent, *(kill or (None,)), act=end)
        optimizer = make_run(folder, agent=agent, seed=None if resume else 5, **case)
        try:
            outcome = outcome_of(optimizer, optimizer.run(resume=resume))
        except CheckpointError as error:
            outcome = {"nothing": str(error)}
        answer.write_text(json.dumps([told(outcome), list(outcome), dict(points.counts), is_handed_back(outcome)]))
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        if is_power_cut:
            shutil.rmtree(folder)
            folder.with_suffix(".left").rename(folder)
        return None
    assert status == 0
    return json.loads(answer.read_text())


def is_handed_back(outcome):
    """Tell whether the run had ended before it was killed: its result and champion come back, nothing is trained."""
    return outcome.get("callbacks") == ["[]"]


def told(outcome):
    """Return what must be the same as a text, and apart from it what a run that is only handed back does not have."""
    if "agent" not in outcome:
        return [repr(sorted(outcome.items())), ""]
    agent = {name: array for name, array in outcome["agent"].items() if name != "replay"}
    kept = {**outcome, "agent": agent, "callbacks": None}
    return [repr(sorted(kept.items())), repr((outcome["agent"].get("replay"), outcome["callbacks"]))]


def cut_power(folder, kill):
    """Return what ends the process and takes everything with it that was not flushed, or any part of that."""
    from harness.power_cut import PowerCut

    folder.mkdir(exist_ok=True)
    cut = PowerCut(folder)

    def end():
        cut.leave(folder.with_suffix(".left"), seed=kill[1])
        os.kill(os.getpid(), signal.SIGKILL)

    return end


def main(folder, num_kills, seed):
    rng = np.random.default_rng(seed)
    cases = [{"num_envs": n, "tuner": tuner} for n in (1, 3) for tuner in ("backoff", "pbt", "none")]
    kills, differing, number, num_cuts = [], [], 0, 0
    while len(kills) < num_kills:
        case = cases[number % len(cases)]
        expected, _, counts, _ = run_in_fork(folder / f"left-alone-{number}", False, None, **case)
        resume, own = False, []
        while True:
            moment = MOMENTS[(len(kills) + len(own)) % len(MOMENTS)]
            kill = (moment, int(rng.integers(1, counts[moment] + 1))) if len(own) < 3 else None
            is_power_cut = HAS_POWER_CUTS and number % 2 == 1
            done = run_in_fork(folder / f"killed-{number}", resume, kill, is_power_cut, **case)
            if done is None:
                own.append(kill)
                num_cuts += is_power_cut
                resume = True
            elif done[1] == ["nothing"]:
                resume = False
            else:
                break
        kills += own
        num_compared = 1 if done[3] else 2
        if done[0][:num_compared] != expected[:num_compared]:
            differing.append({"case": case, "kills": own, "is": done[0], "expected": expected})
        number += 1
    print(json.dumps({"kills": kills, "num_power_cuts": num_cuts, "differing": differing}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
