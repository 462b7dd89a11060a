"""Kills runs of a small agent at drawn moments, resumes them, and prints what differs; run by a test.

One process that forks for each run: what is killed is a process of its own, with its threads.
"""

import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
from resume_fakes import LinearAgent, make_run, outcome_of

from tensor_optix.core import run_checkpoint
from tensor_optix.exceptions import CheckpointError
from tensor_optix.testing.kill_points import MOMENTS, KillPoints


def run_in_fork(folder, resume, kill, **case):
    """Return the outcome and the moments' counts; None if killed, "nothing" if nothing is to be resumed."""
    answer = folder.with_suffix(".json")
    pid = os.fork()
    if pid == 0:
        run_checkpoint.SAVE_INTERVAL_SECONDS, run_checkpoint.MAX_COST = 0.0, float("inf")
        agent = LinearAgent(init_seed=99 if resume else 0)
        points = KillPoints(agent, *(kill or (None,)))
        optimizer = make_run(folder, agent=agent, seed=None if resume else 5, **case)
        try:
            outcome = outcome_of(optimizer, optimizer.run(resume=resume))
        except CheckpointError as error:
            outcome = {"nothing": str(error)}
        answer.write_text(json.dumps([repr(sorted(outcome.items())), list(outcome), dict(points.counts)]))
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return None
    assert status == 0
    return json.loads(answer.read_text())


def main(folder, num_kills, seed):
    rng = np.random.default_rng(seed)
    cases = [{"num_envs": n, "tuner": tuner} for n in (1, 3) for tuner in ("backoff", "pbt", "none")]
    kills, differing, number = [], [], 0
    while len(kills) < num_kills:
        case = cases[number % len(cases)]
        expected, _, counts = run_in_fork(folder / f"left-alone-{number}", False, None, **case)
        resume, own = False, []
        while True:
            moment = MOMENTS[(len(kills) + len(own)) % len(MOMENTS)]
            kill = (moment, int(rng.integers(1, counts[moment] + 1))) if len(own) < 3 else None
            done = run_in_fork(folder / f"killed-{number}", resume, kill, **case)
            if done is None:
                own.append(kill)
                resume = True
            elif done[1] == ["nothing"]:
                resume = False
            else:
                break
        kills += own
        if done[0] != expected:
            differing.append({"case": case, "kills": own, "is": done[0], "expected": expected})
        number += 1
    print(json.dumps({"kills": kills, "differing": differing}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
