"""Does tuning the learning rate while learning help from a bad start, and harm from a good one?

Real runs of the Quick Start from learning rates 10 times too low, right, and 10 times too high, all with
the same number of training steps, probes included: untuned, with each hyperparameter optimizer, and with
random moves, which know nothing. Arms of one seed share their first weights and their episodes' seeds.
Every finished run is one line of a JSON-lines file; started again, the script goes on where it was.

    python benchmarks/tuning.py --seeds 10 --jobs 2
    python benchmarks/tuning.py --report
"""

import argparse
import datetime
import itertools
import json
import math
import multiprocessing
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import numpy as np
from scipy import stats

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

RETURN_RANGES = {"CartPole-v1": (0.0, 500.0), "Acrobot-v1": (-500.0, -100.0)}
"""Returns that count as 0 and as 1: CartPole's limits, Acrobot's worst and its usual threshold."""

RIGHT_START = 3e-4
STARTS = (3e-5, RIGHT_START, 3e-3)
BOUNDS = {"learning_rate": (1e-6, 1e-1)}
GREEDY_EPISODES = 50
RESAMPLES = 10_000
SMALLEST_DIVISOR = 0.02
"""A normalised score below this is too close to 0 to divide by."""

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


ARMS = {
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


def key_of(row):
    return tuple(row[name] for name in ("env", "start", "arm", "seed", "steps"))


def run_cell(cell):
    """Return the cell with what it came to, or with the error that ended it."""
    row = dict(cell) | {"date": str(datetime.date.today())}
    begin = time.perf_counter()
    try:
        row |= train(**cell)
    except Exception as error:
        row["error"] = f"{type(error).__name__}: {error}"
    return row | {"seconds": round(time.perf_counter() - begin, 1)}


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
            optimizer=ARMS[arm](),
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
    """Make the runs that the file lacks; those that failed are tried again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    done = {key_of(row) for row in read_rows(path) if "error" not in row}
    missing = [cell for cell in cells if key_of(cell) not in done]
    print(f"{len(cells) - len(missing)} of {len(cells)} runs are in the file.", flush=True)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(num_jobs, context, initializer=use_one_thread) as pool, path.open("a") as file:
        for count, future in enumerate(as_completed(pool.submit(run_cell, cell) for cell in missing), 1):
            row = future.result()
            file.write(json.dumps(row) + "\n")
            file.flush()
            outcome = row.get("error") or f"last quarter {row['last_quarter']:.1f}, final {row['final']:.1f}"
            print(f"{count}/{len(missing)} {key_of(row)}: {outcome}, {row['seconds']} s", flush=True)


# The report


def read_rows(path):
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def iqm(values, axis=-1):
    """Return the mean of the middle half."""
    return stats.trim_mean(values, 0.25, axis=axis)


def normalised(returns, env):
    low, high = RETURN_RANGES[env]
    return (np.asarray(returns) - low) / (high - low)


class Sample:
    """The runs of a file at one number of steps, seeds that have every arm and start of an environment."""

    def __init__(self, rows):
        self._runs = {key_of(row)[:4]: row for row in rows if "error" not in row}
        self.seeds = {env: self._complete_seeds(env) for env in RETURN_RANGES}

    def _complete_seeds(self, env):
        seeds = {key[3] for key in self._runs}
        kinds = list(itertools.product(STARTS, ARMS))
        return sorted(seed for seed in seeds if all((env, *kind, seed) in self._runs for kind in kinds))

    def values(self, env, start, arm, name):
        """Return one figure of each complete seed, ``[num_seeds]``."""
        return np.array([self._runs[env, start, arm, seed][name] for seed in self.seeds[env]], dtype=float)

    def resampled_iqms(self, envs, kinds, name):
        """Return the IQM of normalised scores over environments, of all seeds and in resamples, for each kind.

        Seeds are drawn anew within each environment, the same ones for every ``(start, arm)``.
        """
        rng = np.random.default_rng(0)
        draws = {
            env: rng.integers(len(self.seeds[env]), size=(RESAMPLES, len(self.seeds[env]))) for env in RETURN_RANGES
        }
        for kind in kinds:
            scores = {env: normalised(self.values(env, *kind, name), env) for env in envs}
            resampled = np.concatenate([scores[env][draws[env]] for env in envs], axis=1)
            yield iqm(np.concatenate(list(scores.values()))), iqm(resampled)


def interval_of(figure, resampled, form):
    low, high = np.quantile(resampled, [0.025, 0.975])
    return f"{figure:{form}} [{low:{form}}, {high:{form}}]"


def cell_line(sample, env, start, arm):
    rng = np.random.default_rng(0)
    texts = []
    for name in ("last_quarter", "area", "final"):
        values = sample.values(env, start, arm, name)
        draws = rng.integers(len(values), size=(RESAMPLES, len(values)))
        texts.append(interval_of(iqm(values), iqm(values[draws]), ".1f"))
    moves = np.median(sample.values(env, start, arm, "moves"))
    rates = sample.values(env, start, arm, "last_learning_rate")
    low, middle, high = np.quantile(rates, [0.0, 0.5, 1.0])
    return f"| {env} | {start:g} | {arm} | {' | '.join(texts)} | {moves:.0f} | {middle:.1e} ({low:.0e} to {high:.0e}) |"


def ratio_text(sample, envs, start, arm, name):
    (tuned, tuned_draws), (off, off_draws) = sample.resampled_iqms(envs, [(start, arm), (start, "off")], name)
    if np.quantile(off_draws, 0.025) < SMALLEST_DIVISOR:
        return f"none: off is {interval_of(off, off_draws, '.2f')}"
    return interval_of(tuned / off, tuned_draws / off_draws, ".2f")


def gap_text(sample, envs, start, arm, name):
    """Return how much of what the bad start costs the arm wins back."""
    if start == RIGHT_START:
        return ""
    kinds = [(start, arm), (start, "off"), (RIGHT_START, "off")]
    figures, draws = zip(*sample.resampled_iqms(envs, kinds, name), strict=True)
    gap_draws = draws[2] - draws[1]
    if np.quantile(gap_draws, 0.025) <= 0.0:
        return f"no clear gap: {interval_of(figures[2] - figures[1], gap_draws, '+.2f')}"
    return interval_of((figures[0] - figures[1]) / (figures[2] - figures[1]), (draws[0] - draws[1]) / gap_draws, "+.2f")


def report(rows, num_steps):
    """Print all figures as Markdown."""
    rows = [row for row in rows if row["steps"] == num_steps]
    sample = Sample(rows)
    envs = [env for env, seeds in sample.seeds.items() if seeds]
    print(f"Complete seeds: {', '.join(f'{env} {len(sample.seeds[env])}' for env in RETURN_RANGES)}.")
    print(f"{num_steps:,} training steps a run. IQM [95 % bootstrap interval over seeds].\n")
    print("| environment | start | arm | last quarter | all steps (AUC) | final, greedy | moves | last learning rate |")
    print("|---|---|---|---|---|---|---|---|")
    for env, start, arm in itertools.product(envs, STARTS, ARMS):
        print(cell_line(sample, env, start, arm))
    print("\nIQM of normalised scores, arm / off, and share of the gap to the right start that is closed:\n")
    print(
        "| start | environments | arm | ratio, last quarter | ratio, AUC | ratio, final "
        "| gap closed, last quarter | gap closed, AUC |"
    )
    print("|---|---|---|---|---|---|---|---|")
    groups = ([envs] if len(envs) > 1 else []) + [[env] for env in envs]
    for start, group, arm in itertools.product(STARTS, groups, [arm for arm in ARMS if arm != "off"]):
        ratios = [ratio_text(sample, group, start, arm, name) for name in ("last_quarter", "area", "final")]
        gaps = [gap_text(sample, group, start, arm, name) for name in ("last_quarter", "area")]
        print(f"| {start:g} | {' + '.join(group)} | {arm} | {' | '.join(ratios + gaps)} |")
    say_what_else(rows)


def say_what_else(rows):
    fine = {key_of(row): row for row in rows if "error" not in row}
    failed = {key_of(row): row for row in rows if "error" in row and key_of(row) not in fine}
    print(f"\nRuns: {len(fine)}; failed: {len(failed)}.")
    for key, row in failed.items():
        print(f"- {key}: {row['error']}")
    if not fine:
        return
    runs = list(fine.values())
    print(f"Training steps: {sorted({row['training_steps'] for row in runs})}.")
    for arm in ARMS:
        own = [row for row in runs if row["arm"] == arm]
        mean_steps = np.mean([row["evaluation_steps"] for row in own])
        print(f"{arm}: {sum(row['alarms'] for row in own)} alarms, {mean_steps:,.0f} evaluation steps a run on top.")
    print(f"Seconds a run: median {np.median([row['seconds'] for row in runs]):.0f}.")
    print("Dates:", ", ".join(sorted({row["date"] for row in runs})))
    for version in sorted({json.dumps(row["versions"]) for row in runs}):
        print("Versions:", ", ".join(f"{name} {number}" for name, number in json.loads(version).items()))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10, help="how many")
    parser.add_argument("--steps", type=int, default=40_000, help="training steps of each run")
    parser.add_argument("--jobs", type=int, choices=(1, 2), default=1, help="processes")
    parser.add_argument("--output", type=Path, default=RESULTS, help="JSON lines")
    parser.add_argument("--report", action="store_true", help="only print what the file says")
    arguments = parser.parse_args()
    if not arguments.report:
        run_missing(all_cells(arguments.seeds, arguments.steps), arguments.output, arguments.jobs)
    report(read_rows(arguments.output), arguments.steps)


if __name__ == "__main__":
    main()
