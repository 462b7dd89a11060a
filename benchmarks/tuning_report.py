"""What the runs of ``benchmarks/tuning.py`` say: tables with intervals, and whether Backoff does harm."""

import contextlib
import itertools
import json
from pathlib import Path

import numpy as np
from scipy import stats

RETURN_RANGES = {"CartPole-v1": (0.0, 500.0), "Acrobot-v1": (-500.0, -100.0)}
"""Returns that count as 0 and as 1: CartPole's limits, Acrobot's worst and its usual threshold."""

RIGHT_START = 3e-4
STARTS = (3e-5, RIGHT_START, 3e-3)
ARMS = ("off", "Backoff", "PBT", "random")
FIGURES = {"last_quarter": "last quarter", "area": "AUC", "final": "final"}
RESAMPLES = 10_000
SMALLEST_DIVISOR = 0.02
"""A normalised score below this is too close to 0 to divide by."""

REQUIRED_RATIO = 0.95
"""What the lower bound of Backoff's ratio to off must reach from the right start."""

DOCS = Path(__file__).parents[1] / "docs" / "tuning.md"
BEGIN, END = "<!-- report of benchmarks/tuning.py -->", "<!-- end of report -->"


def key_of(row):
    return tuple(row[name] for name in ("env", "start", "arm", "seed", "steps"))


def read_rows(path):
    """Return the rows of a file; a line that a kill cut short is left out."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        with contextlib.suppress(json.JSONDecodeError):
            rows.append(json.loads(line))
    return rows


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
    """Return all figures as Markdown."""
    rows = [row for row in rows if row["steps"] == num_steps]
    sample = Sample(rows)
    envs = [env for env, seeds in sample.seeds.items() if seeds]
    complete = ", ".join(f"{env} {len(sample.seeds[env])}" for env in RETURN_RANGES)
    lines = [
        f"Complete seeds: {complete}; seeds with a run that is missing or failed are in no figure.",
        f"{num_steps:,} training steps a run. IQM [95 % bootstrap interval over seeds].",
        "",
        "| environment | start | arm | last quarter | all steps (AUC) | final, greedy | moves | last learning rate |",
        "|---|---|---|---|---|---|---|---|",
        *(cell_line(sample, *cell) for cell in itertools.product(envs, STARTS, ARMS)),
        "",
        "IQM of normalised scores, arm / off, and share of the gap to the right start that is closed:",
        "",
        "| start | environments | arm | ratio, last quarter | ratio, AUC | ratio, final "
        "| gap closed, last quarter | gap closed, AUC |",
        "|---|---|---|---|---|---|---|---|",
        *ratio_lines(sample, envs),
        "",
        *(verdict_lines(sample, envs) if envs else ()),
        *other_lines(rows),
    ]
    return "\n".join(lines)


def ratio_lines(sample, envs):
    groups = ([envs] if len(envs) > 1 else []) + [[env] for env in envs]
    for start, group, arm in itertools.product(STARTS, groups, ARMS[1:]):
        ratios = [ratio_text(sample, group, start, arm, name) for name in FIGURES]
        gaps = [gap_text(sample, group, start, arm, name) for name in ("last_quarter", "area")]
        yield f"| {start:g} | {' + '.join(group)} | {arm} | {' | '.join(ratios + gaps)} |"


def verdict_lines(sample, envs):
    """Tell whether the ratio of Backoff to off keeps above what is required of it."""
    num_seeds = min(len(sample.seeds[env]) for env in envs)
    yield (
        f"Required of Backoff from {RIGHT_START:g}, on ten seeds and both environments together: a lower bound of the "
        f"ratio of at least {REQUIRED_RATIO}. Seen on {num_seeds} seeds and {len(envs)} environments:"
    )
    yield ""
    for name, label in FIGURES.items():
        kinds = [(RIGHT_START, "Backoff"), (RIGHT_START, "off")]
        (_, tuned), (_, off) = sample.resampled_iqms(envs, kinds, name)
        low = np.quantile(tuned / off, 0.025)
        yield f"- {label}: lower bound {low:.3f}: {'holds' if low >= REQUIRED_RATIO else 'DOES NOT HOLD'}."
    yield ""


def other_lines(rows):
    """Tell failures, steps, alarms, times, dates and versions."""
    fine = {key_of(row): row for row in rows if "error" not in row}
    failed = {key_of(row): row for row in rows if "error" in row and key_of(row) not in fine}
    yield f"Runs: {len(fine)}; failed: {len(failed)}.\n"
    yield from (f"- failed: {key}: {row['error']}" for key, row in failed.items())
    runs = list(fine.values())
    if not runs:
        return
    steps = sorted({row["training_steps"] for row in runs})
    yield f"- Training steps: {'the same in all runs: ' if len(steps) == 1 else 'NOT the same in all runs: '}{steps}."
    for arm in ARMS:
        own = [row for row in runs if row["arm"] == arm]
        if own:
            mean_steps = np.mean([row["evaluation_steps"] for row in own])
            alarms = sum(row["alarms"] for row in own)
            yield f"- {arm}: {alarms} alarms, {mean_steps:,.0f} evaluation steps a run on top."
    for row in sorted(runs, key=key_of):
        low, high = RETURN_RANGES[row["env"]]
        if row["final"] < low + 0.5 * (high - low):
            name = f"{row['env']} from {row['start']:g}, {row['arm']}, seed {row['seed']}"
            yield f"- Did not learn: {name}: final {row['final']:.0f}, last quarter {row['last_quarter']:.0f}."
    yield f"- Seconds a run: median {np.median([row['seconds'] for row in runs]):.0f}."
    yield f"- Dates: {', '.join(sorted({row['date'] for row in runs}))}."
    codes = sorted({row.get("code", "not told") for row in runs})
    yield f"- State of the package's source (digest): {', '.join(codes)}{'' if len(codes) == 1 else ': MIXED'}."
    for version in sorted({json.dumps(row["versions"]) for row in runs}):
        yield "- Versions: " + ", ".join(f"{name} {number}" for name, number in json.loads(version).items()) + "."


def write_into_docs(text):
    """Put the report between its two marks in ``docs/tuning.md``."""
    before, rest = DOCS.read_text(encoding="utf-8").split(BEGIN)
    after = rest.split(END)[1]
    DOCS.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")
