"""Masked PPO beside sb3-contrib's MaskablePPO: the same numbers of steps, the same hyperparameters, in turns.

Both are in fresh processes, one after the other, and begin with another of them each round. What each leaves then
plays 100 greedy episodes with masks. Our agent trains without the loop around it, as the peer does: no evaluation, no
champions. The peer's environment is made under `benchmarks/.venvs` where it is missing. One JSON line a run, then a
table: the interquartile mean of all seeds with a bootstrapped interval, and the ratio of median speeds.

    python benchmarks/masks.py --tasks Taxi-v4 TwinRows --seeds 5
"""

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import time
import venv
from pathlib import Path

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "masks.jsonl"
PACKAGES = (["torch==2.13.0"], ["stable-baselines3==2.9.2", "sb3-contrib>=2.9,<3"])
"""torch first and alone: its CPU build must not be replaced by one that brings CUDA."""
TASKS = {"Taxi-v4": 150_000, "TwinRows": 100_000}
SHARED = {"num_envs": 8, "window_size": 256, "batch_size": 64, "num_epochs": 10, "learning_rate": 3e-4, "gamma": 0.995}
"""Those of `make_agent(env, "ppo")`; the peer's other settings are its own."""


def maker_of(task):
    """Return what makes one environment."""
    import gymnasium as gym

    if task == "TwinRows":
        from harness.board_game import TwinRows

        return TwinRows
    return lambda: gym.make(task)


def ours(task, seed, env_steps):
    """Train, and return what acts, and the seconds."""
    from tensor_optix import make_agent, make_pipeline

    agent = make_agent(maker_of(task), "ppo", seed=seed)
    pipeline = make_pipeline(maker_of(task), agent, seed=seed)
    windows, taken, started = pipeline.episodes(), 0, time.perf_counter()
    while taken < env_steps:
        window = next(windows)
        agent.learn(window)
        taken += window.env_steps
    seconds = time.perf_counter() - started
    return lambda observation, mask: agent.act_greedy(observation, action_mask=mask), taken, seconds


def theirs(task, seed, env_steps):
    """The same with MaskablePPO, whose environments have a method that tells the mask."""
    import torch
    from sb3_contrib import MaskablePPO
    from stable_baselines3.common.env_util import make_vec_env

    torch.set_num_threads(1)
    maker = maker_of(task)
    env = make_vec_env(lambda: KeepsMask(maker()), n_envs=SHARED["num_envs"], seed=seed)
    model = MaskablePPO(
        "MlpPolicy",
        env,
        n_steps=SHARED["window_size"],
        batch_size=SHARED["batch_size"],
        n_epochs=SHARED["num_epochs"],
        learning_rate=SHARED["learning_rate"],
        gamma=SHARED["gamma"],
        seed=seed,
        device="cpu",
    )
    started = time.perf_counter()
    model.learn(env_steps)
    seconds = time.perf_counter() - started

    def act(observation, mask):
        return model.predict(observation, deterministic=True, action_masks=mask)[0]

    return act, model.num_timesteps, seconds


def KeepsMask(env):  # noqa: N802 - it makes a wrapper, whose class needs Gymnasium
    """Return an environment that has the latest mask as its method."""
    import gymnasium as gym

    class Keeper(gym.Wrapper):
        def reset(self, **arguments):
            observation, info = self.env.reset(**arguments)
            self.mask = info["action_mask"]
            return observation, info

        def step(self, action):
            observation, reward, terminated, truncated, info = self.env.step(action)
            self.mask = info["action_mask"]
            return observation, reward, terminated, truncated, info

        def action_masks(self):
            return self.mask.astype(bool)

    return Keeper(env)


def played(task, act, seed, num_episodes=100):
    """Return the mean return of greedy episodes."""
    env, total = maker_of(task)(), 0.0
    for episode in range(num_episodes):
        (observation, info), over = env.reset(seed=1_000_000 + 1_000 * seed + episode), False
        while not over:
            action = act(observation, info["action_mask"].astype(bool))
            action = int(action) if getattr(action, "ndim", 0) == 0 else action
            observation, reward, terminated, truncated, info = env.step(action)
            total, over = total + float(reward), terminated or truncated
    return total / num_episodes


def worker(library, task, seed, env_steps):
    act, taken, seconds = {"ours": ours, "sb3-contrib": theirs}[library](task, seed, env_steps)
    return {"env_steps": taken, "seconds": seconds, "mean": played(task, act, seed)}


def python_of(library):
    """Return the interpreter that holds a library, made where missing."""
    if library == "ours":
        return sys.executable
    folder = HERE / ".venvs" / "sb3_contrib"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not (folder / "done").exists():
        print(f"Installing {library} into {folder} ...", flush=True)
        venv.create(folder, with_pip=True, clear=True)
        for packages in PACKAGES:
            subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
        (folder / "done").touch()
    return str(python)


def in_a_process(library, task, seed, env_steps):
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": "1"}
    environment |= {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
    if library != "ours":
        environment.pop("PYTHONPATH", None)
    command = [python_of(library), __file__, "--worker", library, task, str(seed), str(env_steps)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(f"{library} failed:\n{done.stderr[-3000:]}")
    outcome = json.loads(done.stdout.splitlines()[-1])
    about = {"library": library, "task": task, "seed": seed, "date": str(datetime.date.today())}
    return {**about, **outcome, "machine": platform.processor() or platform.machine()}


def table(outcomes):
    """Print a line for each task and library."""
    import numpy as np

    from tensor_optix.functional.run_statistics import (
        interquartile_mean,
        interquartile_mean_interval,
        stratified_resamples,
    )

    rng = np.random.default_rng(0)
    for task in TASKS:
        found = {}
        for library in ("ours", "sb3-contrib"):
            runs = [o for o in outcomes if (o["task"], o["library"]) == (task, library)]
            if runs:
                means = np.array([[o["mean"]] for o in runs])
                resamples = stratified_resamples(*means.shape, 2_000, rng)
                low, high = interquartile_mean_interval(means, resamples)
                rate = statistics.median(o["env_steps"] / o["seconds"] for o in runs)
                found[library] = rate
                told = f"{interquartile_mean(means):.3f} ({low:.3f} to {high:.3f})"
                print(f"{task:10} {library:12} {len(runs)} seeds: {told}, {rate:,.0f} steps/s")
        if len(found) == 2:
            print(f"{task:10} ours is {found['ours'] / found['sb3-contrib']:.2f} times as fast")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--env-steps", type=int, help="default: those of the task")
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--worker", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        library, task, seed, env_steps = arguments.worker
        print(json.dumps(worker(library, task, int(seed), int(env_steps))))
        return
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    for seed in range(arguments.seeds):
        for task in arguments.tasks:
            order = ("ours", "sb3-contrib") if seed % 2 else ("sb3-contrib", "ours")
            for library in order:
                outcome = in_a_process(library, task, seed, arguments.env_steps or TASKS[task])
                print(outcome, flush=True)
                with arguments.output.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(outcome) + "\n")
    table([json.loads(line) for line in arguments.output.read_text(encoding="utf-8").splitlines()])


if __name__ == "__main__":
    main()
