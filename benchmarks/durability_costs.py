"""What it costs to lose nothing: saving and loading a champion, saving a run, a large replay, checks.

python benchmarks/durability_costs.py --output benchmarks/results/durability_costs.json
python benchmarks/durability_costs.py --replay-transitions 1000000    # 28 GB of memory and of disk
"""

import argparse
import json
import os
import statistics
import tempfile
import threading
import time
import zlib
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import gymnasium as gym
import numpy as np
from durability_runs import about

from tensor_optix import BatchPipeline, CheckpointRegistry, EpisodeData, EvalMetrics, RLOptimizer, presets
from tensor_optix.algorithms.replay.replay_buffer import ReplayBuffer
from tensor_optix.core.loop import divergence, run_checkpoint
from tensor_optix.core.storage.agent_files import capture
from tensor_optix.core.storage.checkpoint_slots import CheckpointSlots
from tensor_optix.core.storage.state_files import read_agent_state, write_agent_state
from tensor_optix.core.types import AgentState
from tensor_optix.pipeline.stepping.window_builder import WindowBuilder


def milliseconds(function, repeats):
    taken = []
    for _ in range(repeats):
        started = time.perf_counter()
        function()
        taken.append(1e3 * (time.perf_counter() - started))
    return {"median_ms": round(statistics.median(taken), 2), "worst_ms": round(max(taken), 2)}


def trained_agent(seed=0):
    """Return an agent with 64x64 networks that has learned a little, and its pipeline."""
    agent = presets.make_agent("CartPole-v1", "policy_gradient", hidden_units=(64, 64), seed=seed)
    pipeline = BatchPipeline(gym.make("CartPole-v1"), agent, window_size=200, seed=seed)
    windows = pipeline.episodes()
    for _ in range(12):
        agent.learn(next(windows))
    return agent, pipeline


def champion(folder, repeats):
    """Save a champion to the disk and load it, each time a new one."""
    agent, _ = trained_agent()
    registry = CheckpointRegistry(folder, max_snapshots=10)
    hyperparams = agent.get_hyperparams()
    score = iter(range(10**6))

    def save():
        metrics = EvalMetrics(float(next(score)), {}, 0)
        registry.save_state(capture(agent), metrics, hyperparams, background=False)

    def both():
        save()
        registry.load_best(agent)

    save()
    return {
        "save": milliseconds(save, repeats),
        "load": milliseconds(lambda: registry.load_best(agent), repeats),
        "save_and_load": milliseconds(both, repeats),
    }


def timed(owner, name, sums):
    """Add up the wall time that a method takes."""
    inner = getattr(owner, name)

    def wrapped(*args, **kwargs):
        started = time.perf_counter()
        try:
            return inner(*args, **kwargs)
        finally:
            sums[name] = sums.get(name, 0.0) + time.perf_counter() - started
            sums[f"{name} calls"] = sums.get(f"{name} calls", 0) + 1

    setattr(owner, name, wrapped)


def run_with_saves(folder, env_steps):
    """Train with a save at every barrier; say what one save costs and what the checks cost."""
    sums, cpu = {}, []
    write = run_checkpoint.RunCheckpoint._write

    def timed_write(self, *args):
        write(self, *args)
        cpu.append(time.thread_time())

    run_checkpoint.RunCheckpoint._write = timed_write
    run_checkpoint.SAVE_INTERVAL_SECONDS, interval = 0.0, run_checkpoint.SAVE_INTERVAL_SECONDS
    run_checkpoint.MAX_COST, most = float("inf"), run_checkpoint.MAX_COST
    timed(run_checkpoint.RunCheckpoint, "_take", sums)
    timed(WindowBuilder, "check_finite", sums)
    timed(divergence.DivergenceGuard, "_problem", sums)
    timed(divergence.DivergenceGuard, "_copy", sums)
    agent = presets.make_agent("CartPole-v1", "policy_gradient", hidden_units=(64, 64), seed=0)
    pipeline = BatchPipeline(gym.make("CartPole-v1"), agent, window_size=200, barrier_interval_steps=4_000)
    started = time.perf_counter()
    result = RLOptimizer(
        agent, pipeline, checkpoint_dir=str(folder), seed=0, max_env_steps=env_steps, report_episodes=0
    ).run()
    seconds = time.perf_counter() - started
    checks = sum(sums.get(name, 0.0) for name in ("check_finite", "_problem", "_copy"))
    taken, written = sums["_take"] / sums["_take calls"], statistics.mean(cpu)
    run_bytes = sum(path.stat().st_size for path in (Path(result.run_dir) / "checkpoint" / "a").rglob("*"))
    return {
        "seconds": round(seconds, 1),
        "saves": sums["_take calls"],
        "blocked_ms_a_save": round(1e3 * taken, 2),
        "cpu_ms_of_the_writing_thread_a_save": round(1e3 * written, 2),
        "share_of_wall_time_at_the_default_interval": f"{100 * (taken + written) / interval:.3f} %",
        "interval_seconds": interval,
        "largest_share": most,
        "bytes_a_save": run_bytes,
        "checks_share_of_wall_time": f"{100 * checks / seconds:.3f} %",
    }


def megabytes_held():
    """Return the process's memory now and at its peak, in MB."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmRSS"].split()[0]) / 1024, int(status["VmHWM"].split()[0]) / 1024


def reset_peak():
    Path("/proc/self/clear_refs").write_text("5")


def frames(number, window_size=500):
    """Return one window of 84x84x4 images from a stream without end."""
    images = np.full((window_size + 1, 84, 84, 4), number % 256, np.uint8)
    flags = np.zeros(window_size, np.bool_)
    return EpisodeData(
        images[:-1],
        np.zeros(window_size, np.int64),
        np.zeros(window_size),
        flags,
        flags,
        [],
        number,
        next_observations=images[1:],
    )


def replay(folder, transitions):
    """Fill a replay of 84x84x4 frames, then save it beside a loop that goes on filling it; read it back."""
    buffer = ReplayBuffer(transitions, np.zeros((84, 84, 4), np.uint8), np.int64(0), np.random.default_rng(0))
    number = 0
    while number * 500 < 1.2 * transitions:
        buffer.add(frames(number))
        number += 1
    reset_peak()
    held, _ = megabytes_held()
    started = time.perf_counter()
    arrays, meta = buffer.state_dict()
    taken = time.perf_counter() - started
    state = AgentState(arrays, {"replay": meta}, "all")
    digest = zlib.crc32(arrays["observations_0.0"])
    writer = threading.Thread(target=CheckpointSlots(folder).write, args=({}, {"agent": state}))
    writer.start()
    added = 0
    while writer.is_alive():  # some 5,000 steps a second, far more than such images come at
        buffer.add(frames(number + added))
        added += 1
        writer.join(0.1)
    seconds, grown = time.perf_counter() - started, megabytes_held()[1] - held
    total = sum(array.nbytes for array in arrays.values())
    assert zlib.crc32(arrays["observations_0.0"]) == digest, "the state changed while it was written"
    del arrays, state, buffer
    reset_peak()
    empty, _ = megabytes_held()
    started = time.perf_counter()
    found = read_agent_state(folder / "checkpoint" / "a" / "agent")
    read_seconds = time.perf_counter() - started
    assert zlib.crc32(found.arrays["observations_0.0"]) == digest
    return {
        "transitions": transitions,
        "gigabytes": round(total / 1e9, 2),
        "loop_blocked_ms": round(1e3 * taken, 2),
        "write_seconds": round(seconds, 1),
        "steps_added_meanwhile": 500 * added,
        "write_grew_peak_memory_by_megabytes": round(grown),
        "share_of_the_replay": f"{100 * grown * 2**20 / total:.1f} %",
        "read_seconds": round(read_seconds, 1),
        "read_peak_memory_by_size": round((megabytes_held()[1] - empty) * 2**20 / total, 2),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=50)
    parser.add_argument("--env-steps", type=int, default=60_000)
    parser.add_argument("--replay-transitions", type=int, default=35_000, help="0: none; a million take 28 GB")
    parser.add_argument("--output", type=Path, help="JSON")
    args = parser.parse_args()
    report = {"about": about()}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if args.replay_transitions:
            report["replay"] = replay(folder / "replay", args.replay_transitions)
        write_agent_state(folder / "warm", AgentState({"x": np.zeros(3)}))
        report["champion_64x64"] = champion(folder / "champion", args.repeats)
        report["run"] = run_with_saves(folder / "run", args.env_steps)
    print(json.dumps(report, indent=1))
    if args.output:
        args.output.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
