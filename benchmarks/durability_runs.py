"""The runs that `durability.py` interrupts: four algorithms, each job in a process of its own."""

import dataclasses
import datetime
import hashlib
import json
import multiprocessing
import os
import platform
import signal
import time
import traceback
from pathlib import Path

import gymnasium as gym
import numpy as np
from harness.kill_points import KillPoints
from harness.power_cut import PowerCut

from tensor_optix import (
    BackoffOptimizer,
    BatchPipeline,
    HyperparamSet,
    LoopCallback,
    PBTOptimizer,
    RLOptimizer,
    presets,
)
from tensor_optix.core.loop import run_checkpoint
from tensor_optix.core.loop.run_info import describe_platform
from tensor_optix.core.storage.agent_files import capture
from tensor_optix.core.storage.checkpoint_slots import CheckpointSlots
from tensor_optix.exceptions import CheckpointError, EnvironmentFailureError

ALGORITHMS = ("tf_agent", "ppo", "ppo+gru", "dqn", "sac")
HIDDEN_UNITS = (16, 16)
REPLAY = {"learning_starts": 500, "buffer_size": 3000, "batch_size": 32, "hidden_units": HIDDEN_UNITS}
TUNERS = {"none": lambda: None, "backoff": BackoffOptimizer, "pbt": PBTOptimizer}
BARRIER = {"CartPole-v1": 500, "Pendulum-v1": 1000}  # env steps: episodes must be able to end in between


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
    if algorithm.startswith("ppo"):
        from tensor_optix.algorithms.ppo import PPOAgent

        memory = {"memory": "gru", "memory_units": 4, "sequence_length": 8} if algorithm == "ppo+gru" else {}
        return PPOAgent(batch_size=50, hidden_units=HIDDEN_UNITS, **memory)
    rare = HyperparamSet({"train_frequency": 10}, episode_id=0)
    if algorithm == "dqn":
        from tensor_optix.algorithms.dqn import DQNAgent

        return DQNAgent(hyperparams=rare, prioritised=True, num_steps=3, normalize_observations=True, **REPLAY)
    from tensor_optix.algorithms.sac import SACAgent

    return SACAgent(hyperparams=rare, num_steps=2, **REPLAY)


def kind_of(case):
    """Return what the user brings into a case besides the usual, see ``durability_kinds``."""
    if "kind" not in case:
        return {}
    from durability_kinds import KINDS

    return KINDS[case["kind"]]


def make_run(case, folder, model_seed, seed, *callbacks):
    """Return agent, callback and optimizer of one case."""
    env_id = "Pendulum-v1" if case["algorithm"] == "sac" else "CartPole-v1"
    num_envs, kind = case["num_envs"], kind_of(case)

    def make_env():
        if "env" in kind:
            return kind["env"](num_envs)
        return gym.make(env_id) if num_envs == 1 else gym.make_vec(env_id, num_envs, vectorization_mode="sync")

    agent = kind["agent"](model_seed) if "agent" in kind else make_agent(case["algorithm"], env_id, model_seed)
    callbacks = [*callbacks, *(make() for make in kind.get("callbacks", ()))]
    bounds = {name: agent.hyperparam_bounds()[name] for name in ("learning_rate", "gamma")}
    tuner = TUNERS[case["tuner"]]
    counts = Counts()
    optimizer = RLOptimizer(
        agent,
        BatchPipeline(make_env, agent, window_size=max(1, 100 // num_envs), barrier_interval_steps=BARRIER[env_id]),
        optimizer=None if case["tuner"] == "none" else tuner(bounds),
        checkpoint_dir=str(folder),
        max_snapshots=case.get("max_snapshots", 2),
        plateau_threshold=2,
        callbacks=[counts, *callbacks],
        seed=seed,
        max_env_steps=case["env_steps"],
        report_episodes=3,
    )
    return agent, counts, optimizer


def outcome_of(agent, counts, result):
    """Return everything that must not depend on whether the run was ever interrupted."""
    run = Path(result.run_dir)
    champion = result.champion
    weights = run / f"snapshot_{champion.snapshot_id}" / "weights" / "state.safetensors"
    return {
        "reason": result.reason,
        "explanation": result.explanation,
        "state": result.state.value,
        "windows": result.windows,
        "env_steps": dict(result.env_steps),
        "history_file": digest_of_file(run / "history.jsonl"),
        "history": repr(result.history),
        "champion": [champion.snapshot_id, champion.episode_id, champion.eval_metrics.primary_score],
        "snapshots": sorted(path.name for path in run.glob("snapshot_*")),
        "champion_weights": digest_of_file(weights),
        "report": [float(value) for value in result.report.returns],
        "hyperparams": repr(agent.get_hyperparams().params),
        "agent": digest_of_state(capture(agent, "all")),
        "weights": digest_of_state(dataclasses.replace(capture(agent, "policy"), meta={})),
        "callback": repr(counts.scores),
        "notes": list(result.notes),
    }


def is_handed_back(outcome):
    """Tell whether the run had ended before it was killed: its result and champion come back, nothing is trained."""
    return outcome["callback"] == "[]"


def digest_of_file(path):
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def digest_of_state(state):
    # How the model was described when it was made (its initial seeds) is no part of what it became.
    meta = {name: value for name, value in state.meta.items() if name != "architecture"}
    digest = hashlib.sha256(json.dumps(meta, sort_keys=True, default=str).encode())
    for name in sorted(state.arrays):
        digest.update(name.encode() + np.ascontiguousarray(state.arrays[name]).tobytes())
    return digest.hexdigest()


@dataclasses.dataclass
class Job:
    """One process: run a case, or resume it, up to its end or to a moment at which it ends.

    Attributes:
        case: Algorithm, number of environments, hyperparameter optimizer, env steps.
        folder: The ``checkpoint_dir``; what is said about it lies in files beside it.
        resume: Go on from the latest checkpoint.
        kill: Moment and how-manieth of it, or None.
        is_power_cut: Whether what was not flushed is lost, too.
        num_left_behind: How many processes of environments ran on after it was killed.
    """

    case: dict
    folder: Path
    resume: bool = False
    kill: tuple | None = None
    is_power_cut: bool = False
    num_left_behind: int = 0

    @property
    def has_workers(self):
        return kind_of(self.case).get("has_workers", False)

    def beside(self, suffix):
        return self.folder.with_name(self.folder.name + suffix)


def trace_saves(job):
    """Write down, beside the folder, which checkpoint was saved whole and which one was read."""
    saves = os.open(job.beside(".saves"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    write, read = CheckpointSlots.write, CheckpointSlots.read

    def traced_write(self, *args):
        write(self, *args)
        os.write(saves, f"saved {max(self._known_numbers().values())}\n".encode())

    def traced_read(self):
        found = read(self)
        if found is not None:
            os.write(saves, f"read {max(self._known_numbers().values())}\n".encode())
        return found

    CheckpointSlots.write, CheckpointSlots.read = traced_write, traced_read


KILLED = ("the process alone", "with all its workers", "one worker")
"""Who is killed, in turn, where environments have processes of their own."""


def kill_in_turn(number):
    """Kill this process, which leaves its workers behind; or them first; or one of them, which ends the run."""
    workers, who = multiprocessing.active_children(), KILLED[number % len(KILLED)]
    for worker in workers[: {"with all its workers": None, "one worker": 1}.get(who, 0)]:
        worker.kill()
    if who != "one worker" or not workers:
        os.kill(os.getpid(), signal.SIGKILL)


def child(job):
    """Run, or resume, one case; end as told."""
    run_checkpoint.SAVE_INTERVAL_SECONDS = 0.0
    run_checkpoint.MAX_COST = float("inf")
    trace_saves(job)
    act = None
    if job.is_power_cut:
        job.folder.mkdir(exist_ok=True)
        cut = PowerCut(job.folder)

        def act():
            cut.leave(job.beside(".left"), seed=job.kill[1])
            os.kill(os.getpid(), signal.SIGKILL)

    elif job.has_workers and job.kill is not None:

        def act():
            kill_in_turn(job.kill[1])

    # A resumed run gets nothing from the seeds that it is given: all it needs was saved.
    model_seed, seed = (9999, None) if job.resume else (7, 3)
    agent, counts, optimizer = make_run(job.case, job.folder, model_seed, seed)
    points = KillPoints(agent, *(job.kill or (None,)), act=act)
    try:
        result = optimizer.run(resume=job.resume)
    except CheckpointError as error:
        if not str(error).startswith("Nothing to resume"):
            raise
        return {"nothing_to_resume": str(error)}
    except EnvironmentFailureError:
        if not (job.has_workers and job.kill):
            raise
        os.kill(os.getpid(), signal.SIGKILL)  # it ended because one of its workers was killed
    return {"outcome": outcome_of(agent, counts, result), "counts": dict(points.counts)}


def in_a_process(job, target=child):
    """Run a job in a fork; return what it returned, or None if it was killed."""
    answer, log = job.beside(".json"), job.beside(".log")
    answer.unlink(missing_ok=True)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            if job.has_workers:
                os.setpgid(0, 0)  # so that they can be told from others
            output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(output, 1)
            os.dup2(output, 2)
            answer.write_text(json.dumps(target(job)))
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    if job.has_workers:
        job.num_left_behind += end_group(pid)
    if os.WIFSIGNALED(status):
        if os.WTERMSIG(status) != signal.SIGKILL:
            raise SystemExit(f"A job crashed with signal {os.WTERMSIG(status)}: {job}\n{log.read_text()[-4000:]}")
        return None
    if status:
        raise SystemExit(f"A job failed: {job}\n{log.read_text()[-4000:]}")
    return json.loads(answer.read_text())


def end_group(group, seconds=5.0):
    """Wait until nothing of a group of processes runs any more; kill what does, and return how many that were."""
    deadline = time.monotonic() + seconds
    while (running := running_in(group)) and time.monotonic() < deadline:
        time.sleep(0.02)
    for pid in running:
        os.kill(pid, signal.SIGKILL)
    return len(running)


def running_in(group):
    """Return the processes of a group that run, as Linux tells them."""
    running = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, its_group = path.read_text().rpartition(")")[2].split()[:3]
        except (OSError, ValueError):  # it has just ended
            continue
        if int(its_group) == group and state not in "ZX":
            running.append(int(path.parent.name))
    return running


def load_tensorflow():
    """Import all that jobs need, before the first fork; nothing of TensorFlow may run before it."""
    import tensorflow  # noqa: F401

    import tensor_optix.adapters.tensorflow.tf_agent
    import tensor_optix.adapters.tensorflow.tf_evaluator  # noqa: F401


def about():
    """Return when and on what figures were taken."""
    date = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d")
    return {"date": date, **describe_platform(), "kernel": platform.release()}
