"""Does tuning the learning rate while learning help from a bad start, and harm from a good one?

Real runs of the Quick Start from learning rates 10 times too low, right, and 10 times too high, all with
the same number of training steps, probes included: untuned, with each hyperparameter optimizer, and with
random moves, which know nothing. Arms of one seed share their first weights and their episodes' seeds.
Every finished run is one line of a JSON-lines file; started again, the script goes on where it was.

    python benchmarks/tuning.py --seeds 10 --jobs 2     # add --fresh where the package has changed since
    python benchmarks/tuning.py --report

``--report`` prints the figures and puts them into ``docs/tuning.md``.
"""

import argparse
import datetime
import hashlib
import itertools
import json
import math
import multiprocessing
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import numpy as np
from tuning_report import ARMS, RETURN_RANGES, STARTS, key_of, read_rows, report, write_into_docs

import tensor_optix
from tensor_optix import (
    BackoffOptimizer,
    BaseOptimizer,
    BatchPipeline,
    HyperparamSet,
    LoopCallback,
    PBTOptimizer,
    RLOptimizer,
    evaluate,
)
from tensor_optix.functional.seeding import derive_rng

BOUNDS = {"learning_rate": (1e-6, 1e-1)}
GREEDY_EPISODES = 50

RESULTS = Path(__file__).with_name("results") / "tuning.jsonl"


class RandomMoves(BaseOptimizer):
    """Multiplies the learning rate by a random factor at each suggestion, whatever the scores.

    As many moves as ``PBTOptimizer`` makes and as large: up to a tenth of the range each, half a decade.
    """

    def __init__(self):
        self._rng = derive_rng(0)

    def set_seed(self, seed):
        self._rng = derive_rng(seed, "random_moves")

    def suggest(self, current_hyperparams, metrics_history):
        low, high = BOUNDS["learning_rate"]
        reach = 0.1 * math.log(high / low)
        moved = current_hyperparams.copy()
        learning_rate = moved.params["learning_rate"] * math.exp(self._rng.uniform(-reach, reach))
        moved.params["learning_rate"] = min(max(learning_rate, low), high)
        return moved

    def on_improvement(self, metrics):
        pass

    def on_plateau(self, metrics_history):
        pass


OPTIMIZERS = {
    "off": lambda: None,
    "Backoff": lambda: BackoffOptimizer(BOUNDS),
    "PBT": lambda: PBTOptimizer(BOUNDS),
    "random": RandomMoves,
}


class Curve(LoopCallback):
    """Keeps what the windows of a run scored, and what was done to the learning rate."""

    def __init__(self, window_size):
        self._window_size = window_size
        self.returns, self.num_episodes, self.steps = [], [], []
        self.num_windows = self.num_moves = self.num_alarms = 0
        self.learning_rate = math.nan

    def on_episode_end(self, episode_id, eval_metrics):
        self.num_windows += 1
        if eval_metrics is not None:
            self.returns.append(eval_metrics.primary_score)
            self.num_episodes.append(eval_metrics.num_episodes)
            self.steps.append(self.num_windows * self._window_size)
            self.learning_rate = eval_metrics.hyperparams.params["learning_rate"]

    def on_hyperparam_update(self, old_params, new_params):
        self.num_moves += old_params["learning_rate"] != new_params["learning_rate"]

    def on_degradation(self, episode_id, eval_metrics):
        self.num_alarms += 1

    def last_quarter(self):
        """Return the mean return of the training episodes that ended in the last quarter of the steps."""
        steps = np.array(self.steps)
        is_late = steps > 0.75 * self.num_windows * self._window_size
        if not is_late.any():
            is_late = steps == steps[-1]
        return float(np.average(np.array(self.returns)[is_late], weights=np.array(self.num_episodes)[is_late]))

    def area(self):
        """Return the mean over all steps of the latest training return known, the first one before that."""
        windows = np.arange(1, self.num_windows + 1) * self._window_size
        latest = np.searchsorted(self.steps, windows, side="right") - 1
        return float(np.mean(np.array(self.returns)[np.maximum(latest, 0)]))


# One run


def all_cells(num_seeds, num_steps):
    """Return every run to make; all that is compared within one seed comes before the next seed."""
    order = itertools.product(range(num_seeds), RETURN_RANGES, STARTS, ARMS)
    return [
        {"env": env, "start": start, "arm": arm, "seed": seed, "steps": num_steps} for seed, env, start, arm in order
    ]


def run_cell(cell):
    """Return the cell with what it came to, or with the error that ended it."""
    row = dict(cell) | {"date": str(datetime.date.today()), "code": digest_of_the_package()}
    begin = time.perf_counter()
    try:
        row |= train(**cell)
    except Exception as error:
        row["error"] = f"{type(error).__name__}: {error}"
    return row | {"seconds": round(time.perf_counter() - begin, 1)}


def digest_of_the_package():
    """Return what tells one state of the package's source from another."""
    digest = hashlib.sha256()
    for path in sorted(Path(tensor_optix.__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def train(env, start, arm, seed, steps):
    """Run the Quick Start once, and play the agent that it leaves."""
    import gymnasium as gym
    import keras
    from quick_start import WINDOW_SIZE, versions

    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)  # the first weights
    agent = build_agent(env, start)
    curve = Curve(WINDOW_SIZE)
    with tempfile.TemporaryDirectory() as folder:
        result = RLOptimizer(
            agent=agent,
            pipeline=BatchPipeline(env=gym.make(env), agent=agent, window_size=WINDOW_SIZE),
            optimizer=OPTIMIZERS[arm](),
            checkpoint_dir=folder,
            max_episodes=steps // WINDOW_SIZE,
            dormant_threshold=10**9,  # never DORMANT: all arms take the same number of steps
            callbacks=[curve],
            seed=seed,
            report_episodes=0,
        ).run()
    final = evaluate(agent, gym.make(env), GREEDY_EPISODES, seed=1_000_000 + seed)
    return {
        "last_quarter": curve.last_quarter(),
        "area": curve.area(),
        "final": final.mean,
        "reason": result.reason,
        "training_steps": result.env_steps["training"],
        "evaluation_steps": result.env_steps["evaluation"],
        "moves": curve.num_moves,
        "alarms": curve.num_alarms,
        "last_learning_rate": curve.learning_rate,
        "versions": versions(),
    }


def build_agent(env_id, learning_rate):
    """Return the Quick Start's agent, with another learning rate."""
    import tensorflow as tf
    from quick_start import LAYER_SIZES

    from tensor_optix import TFAgent

    num_inputs, num_outputs = LAYER_SIZES[env_id]
    model = tf.keras.Sequential([
        tf.keras.layers.Input(shape=(num_inputs,)),
        tf.keras.layers.Dense(64, activation="relu"),
        tf.keras.layers.Dense(64, activation="relu"),
        tf.keras.layers.Dense(num_outputs),
    ])  # fmt: skip
    hyperparams = HyperparamSet(params={"learning_rate": learning_rate, "gamma": 0.99}, episode_id=0)
    return TFAgent(model, tf.keras.optimizers.Adam(learning_rate=learning_rate), hyperparams)


def use_one_thread():
    """Make a run's figures and its speed independent of the number of cores."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def run_missing(cells, path, num_jobs):
    """Make the runs that the file lacks; those that failed are tried again.

    Each run is in the file as soon as it is over: the script may be killed at any time.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    end_torn_line(path)
    done = {key_of(row) for row in read_rows(path) if "error" not in row}
    missing = [cell for cell in cells if key_of(cell) not in done]
    print(f"{len(cells) - len(missing)} of {len(cells)} runs are in the file.", flush=True)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(num_jobs, context, initializer=use_one_thread) as pool, path.open("a") as file:
        futures = [pool.submit(run_cell, cell) for cell in missing]
        try:
            for count, future in enumerate(as_completed(futures), 1):
                row = future.result()
                file.write(json.dumps(row) + "\n")
                file.flush()
                outcome = row.get("error") or f"last quarter {row['last_quarter']:.1f}, final {row['final']:.1f}"
                print(f"{count}/{len(missing)} {key_of(row)}: {outcome}, {row['seconds']} s", flush=True)
        finally:
            pool.shutdown(cancel_futures=True)


def end_torn_line(path):
    """Let the next row begin a line of its own, whatever a kill left behind."""
    if path.exists() and not path.read_bytes().endswith(b"\n"):
        with path.open("a") as file:
            file.write("\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10, help="how many")
    parser.add_argument("--steps", type=int, default=40_000, help="training steps of each run")
    parser.add_argument("--jobs", type=int, choices=(1, 2), default=1, help="processes")
    parser.add_argument("--output", type=Path, default=RESULTS, help="JSON lines")
    parser.add_argument("--fresh", action="store_true", help="begin a new file; the old one is kept beside it")
    parser.add_argument(
        "--report", action="store_true", help="only tell what the file says, here and in docs/tuning.md"
    )
    arguments = parser.parse_args()
    if arguments.report:
        text = report(read_rows(arguments.output), arguments.steps)
        write_into_docs(text)
    else:
        if arguments.fresh and arguments.output.exists():
            arguments.output.rename(arguments.output.with_suffix(".old.jsonl"))
        run_missing(all_cells(arguments.seeds, arguments.steps), arguments.output, arguments.jobs)
        text = report(read_rows(arguments.output), arguments.steps)
    print(text)


if __name__ == "__main__":
    main()
