"""Is a run that was killed and resumed the run that was never killed? And what does that cost?

Every job runs in a process of its own, forked from this one, which ends itself with SIGKILL at a
moment drawn beforehand: at a step of the environment, inside learn(), at a barrier, with a file half
written, around a rename, a flush, a removal. A run is killed and resumed several times; what it ends
with is compared, bit for bit, with the run that was left alone.

    python benchmarks/durability.py --kills 50 --output durability.json
    python benchmarks/durability.py --algorithms tf_agent --kills 4 --seed 1
"""

import argparse
import hashlib
import itertools
import json
import os
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import gymnasium as gym
import numpy as np

from tensor_optix import (
    BackoffOptimizer,
    BatchPipeline,
    HyperparamSet,
    LoopCallback,
    PBTOptimizer,
    RLOptimizer,
    presets,
)
from tensor_optix.core import run_checkpoint
from tensor_optix.core.agent_state import capture
from tensor_optix.exceptions import CheckpointError
from tensor_optix.testing.kill_points import MOMENTS, KillPoints

ALGORITHMS = ("tf_agent", "ppo", "dqn", "sac")
HIDDEN_UNITS = (16, 16)
REPLAY = {"learning_starts": 500, "buffer_size": 3000, "batch_size": 32, "hidden_units": HIDDEN_UNITS}
TUNERS = {"none": lambda: None, "backoff": BackoffOptimizer, "pbt": PBTOptimizer}
BARRIER = {"CartPole-v1": 500, "Pendulum-v1": 1000}  # env steps: episodes must be able to end in between
MAX_KILLS_A_RUN = 4


class Counts(LoopCallback):
    """A callback that keeps state."""

    def __init__(self):
        self.scores = []

    def on_episode_end(self, episode_id, metrics):
        self.scores.append(float("nan") if metrics is None else metrics.primary_score)

    def state_dict(self):
        return {"scores": self.scores, "last": np.array(self.scores[-3:])}

    def load_state_dict(self, state):
        self.scores = list(state["scores"])


def make_agent(algorithm, env_id, model_seed):
    if algorithm == "tf_agent":
        return presets.make_agent(env_id, "policy_gradient", hidden_units=HIDDEN_UNITS, seed=model_seed)
    if algorithm == "ppo":
        from tensor_optix.algorithms.ppo import PPOAgent

        return PPOAgent(batch_size=50, hidden_units=HIDDEN_UNITS)
    rare = HyperparamSet({"train_frequency": 10}, episode_id=0)
    if algorithm == "dqn":
        from tensor_optix.algorithms.dqn import DQNAgent

        return DQNAgent(hyperparams=rare, prioritised=True, normalize_observations=True, **REPLAY)
    from tensor_optix.algorithms.sac import SACAgent

    return SACAgent(hyperparams=rare, **REPLAY)


def make_run(case, folder, model_seed, seed):
    """Return agent, callback and optimizer of one case."""
    env_id = "Pendulum-v1" if case["algorithm"] == "sac" else "CartPole-v1"
    num_envs = case["num_envs"]

    def make_env():
        return gym.make(env_id) if num_envs == 1 else gym.make_vec(env_id, num_envs, vectorization_mode="sync")

    agent = make_agent(case["algorithm"], env_id, model_seed)
    bounds = {name: agent.hyperparam_bounds()[name] for name in ("learning_rate", "gamma")}
    tuner = TUNERS[case["tuner"]]
    callback = Counts()
    optimizer = RLOptimizer(
        agent,
        BatchPipeline(make_env, agent, window_size=max(1, 100 // num_envs), barrier_interval_steps=BARRIER[env_id]),
        optimizer=None if case["tuner"] == "none" else tuner(bounds),
        checkpoint_dir=str(folder),
        max_snapshots=2,
        plateau_threshold=2,
        callbacks=[callback],
        seed=seed,
        max_env_steps=case["env_steps"],
        report_episodes=3,
    )
    return agent, callback, optimizer


def outcome_of(agent, callback, result):
    """Return everything that must not depend on whether the run was ever interrupted."""
    run = Path(result.run_dir)
    champion = result.champion
    return {
        "reason": result.reason,
        "explanation": result.explanation,
        "state": result.state.value,
        "windows": result.windows,
        "env_steps": dict(result.env_steps),
        "history_file": hashlib.sha256((run / "history.jsonl").read_bytes()).hexdigest(),
        "history": repr(result.history),
        "champion": [champion.snapshot_id, champion.episode_id, champion.eval_metrics.primary_score],
        "snapshots": sorted(path.name for path in run.glob("snapshot_*")),
        "champion_weights": digest_of_file(run / f"snapshot_{champion.snapshot_id}" / "weights" / "state.safetensors"),
        "report": [float(value) for value in result.report.returns],
        "hyperparams": repr(agent.get_hyperparams().params),
        "agent": digest_of_state(capture(agent, "all")),
        "callback": repr(callback.scores),
        "notes": list(result.notes),
    }


def digest_of_file(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def digest_of_state(state):
    # How the model was described when it was made (its initial seeds) is no part of what it became.
    meta = {name: value for name, value in state.meta.items() if name != "architecture"}
    digest = hashlib.sha256(json.dumps(meta, sort_keys=True, default=str).encode())
    for name in sorted(state.arrays):
        digest.update(name.encode() + np.ascontiguousarray(state.arrays[name]).tobytes())
    return digest.hexdigest()


def child(job):
    """Run, or resume, one case; end as told."""
    run_checkpoint.SAVE_INTERVAL_SECONDS = 0.0
    run_checkpoint.MAX_COST = float("inf")
    started = time.perf_counter()
    # A resumed run gets nothing from the seeds that it is given: all it needs was saved.
    model_seed, seed = (9999, None) if job["resume"] else (7, 3)
    agent, callback, optimizer = make_run(job["case"], job["folder"], model_seed, seed)
    points = KillPoints(agent, *(job["kill"] or (None,)))
    try:
        result = optimizer.run(resume=job["resume"])
    except CheckpointError as error:
        return {"nothing_to_resume": str(error)}
    seconds = time.perf_counter() - started
    return {"outcome": outcome_of(agent, callback, result), "counts": dict(points.counts), "seconds": seconds}


def in_a_process(job):
    """Run a job in a fork; return what it returned, or None if it was killed."""
    answer = Path(job["folder"]).with_suffix(".json")
    answer.unlink(missing_ok=True)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            log = os.open(Path(job["folder"]).with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(log, 1)
            os.dup2(log, 2)
            answer.write_text(json.dumps(child(job)))
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return None
    if status:
        raise SystemExit(f"A job failed: {job}\n{Path(job['folder']).with_suffix('.log').read_text()[-4000:]}")
    return json.loads(answer.read_text())


def kill_and_resume(case, reference, folder, draw_kill, kills_left):
    """Kill and resume one run until it ends; return its kills and what differs in the end."""
    job = {"case": case, "folder": str(folder), "resume": False}
    kills, restarts = [], 0
    while True:
        may_kill = len(kills) < min(kills_left, MAX_KILLS_A_RUN)
        job["kill"] = draw_kill() if may_kill else None
        done = in_a_process(job)
        if done is None:
            kills.append(job["kill"])
            job["resume"] = True
        elif "nothing_to_resume" in done:
            restarts += 1
            job["resume"] = False
        else:
            here = done["outcome"]
            differs = sorted(name for name in reference if here[name] != reference[name])
            return {"kills": kills, "restarts": restarts, "differs": differs}


def cases_of(algorithm, args):
    for num_envs, tuner in itertools.product(args.num_envs, args.tuners):
        yield {"algorithm": algorithm, "num_envs": num_envs, "tuner": tuner, "env_steps": args.env_steps}


def measure(algorithm, args, folder, report):
    """Kill one algorithm's runs ``args.kills`` times, over all its cases in turn."""
    rng = np.random.default_rng([args.seed, sum(map(ord, algorithm))])
    references = {}
    moments = itertools.cycle(rng.permutation(MOMENTS).tolist())
    runs, num_kills = [], 0
    for number, case in enumerate(itertools.cycle(cases_of(algorithm, args))):
        key = json.dumps(case, sort_keys=True)
        if key not in references:
            job = {"case": case, "folder": str(folder / f"{algorithm}-reference-{number}"), "resume": False}
            references[key] = in_a_process({**job, "kill": None})
            print(f"{algorithm} {case}: left alone, {references[key]['seconds']:.1f} s", file=sys.stderr, flush=True)
        left_alone = references[key]

        def draw_kill(counts=left_alone["counts"]):
            moment = next(moments)
            return moment, int(rng.integers(1, max(2, counts.get(moment, 1) + 1)))

        place = folder / f"{algorithm}-{number}"
        done = kill_and_resume(case, left_alone["outcome"], place, draw_kill, args.kills - num_kills)
        runs.append({**case, **done})
        num_kills += len(done["kills"])
        print(f"{algorithm} {num_kills}/{args.kills} {done}", file=sys.stderr, flush=True)
        if not done["differs"]:
            shutil.rmtree(place, ignore_errors=True)
        report[algorithm] = summary(runs)
        if args.output:
            args.output.write_text(json.dumps(report, indent=1))
        if num_kills >= args.kills:
            return


def summary(runs):
    kills = [kill for run in runs for kill in run["kills"]]
    return {
        "kills": len(kills),
        "killed_runs": sum(bool(run["kills"]) for run in runs),
        "kills_in_runs_that_ended_bit_identical": sum(len(run["kills"]) for run in runs if not run["differs"]),
        "before_the_first_checkpoint_was_whole": sum(run["restarts"] for run in runs),
        "moments": {moment: sum(kill[0] == moment for kill in kills) for moment in MOMENTS},
        "runs_that_differ": [run for run in runs if run["differs"]],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--algorithms", nargs="+", choices=ALGORITHMS, default=ALGORITHMS)
    parser.add_argument("--kills", type=int, default=50, help="per algorithm")
    parser.add_argument("--num-envs", nargs="+", type=int, default=[1, 4])
    parser.add_argument("--tuners", nargs="+", choices=list(TUNERS), default=list(TUNERS))
    parser.add_argument("--env-steps", type=int, default=4000, help="of each run")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--output", type=Path, help="JSON, written as results come in")
    args = parser.parse_args()
    import tensorflow  # noqa: F401  before the first fork, so that each child need not

    import tensor_optix.adapters.tensorflow.tf_agent
    import tensor_optix.adapters.tensorflow.tf_evaluator  # noqa: F401

    report = {}
    folder = Path(tempfile.mkdtemp(prefix="durability-"))
    for algorithm in args.algorithms:
        measure(algorithm, args, folder, report)
    print(json.dumps(report, indent=1))
    if any(part["runs_that_differ"] for part in report.values()):
        raise SystemExit(f"Some runs differ; they are kept in {folder}.")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
