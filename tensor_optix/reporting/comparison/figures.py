"""The figures of a comparison: what groups of runs reached, how surely, and how soon."""

from __future__ import annotations

import functools
import itertools
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tensor_optix.core.checks import check_int, check_is_number, check_seed
from tensor_optix.exceptions import InvalidArgumentError, InvalidTypeError
from tensor_optix.functional.run_statistics import (
    improvement_interval,
    interquartile_mean,
    interquartile_mean_interval,
    performance_profile,
    probability_of_improvement,
    profile_interval,
    stratified_resamples,
)
from tensor_optix.reporting.comparison.grouping import by_environment, by_settings
from tensor_optix.reporting.report import evidence
from tensor_optix.reporting.run import Run

WINDOWS_AT_A_SCORE = 5
"""A score is reached where the median of so many windows in a row is: one window may be luck."""

SHARE_OF_THE_WAY = 0.9
"""From where runs began to the best that was confirmed: the score whose time is told where none is asked for."""

NUM_THRESHOLDS = 101
"""Points of a performance profile."""

FEWEST_RUNS = 2
"""Of a group, to have an interval over seeds."""


@dataclass(frozen=True)
class Group:
    """Runs that belong together, and what they reached.

    Attributes:
        name: What tells it from others.
        runs: All of them.
        scores: Confirmed means of those that have one, ``[n]``.
        mean: Interquartile mean of the scores; None without any.
        interval: 95 % stratified bootstrap interval of that, over seeds; None with fewer than two scores.
        steps_to_score: Env steps of training at which each run had the comparison's score; None where it never had.
        seconds_to_score: The same in seconds; None where not known, too.
        profile: Share of the scores above each threshold of the comparison, ``[thresholds]``; None without scores.
        profile_band: Lower and upper ends of its interval; None with fewer than two scores.
    """

    name: str
    runs: tuple[Run, ...]
    scores: np.ndarray
    mean: float | None
    interval: tuple[float, float] | None
    steps_to_score: tuple[float | None, ...]
    seconds_to_score: tuple[float | None, ...]
    profile: np.ndarray | None = None
    profile_band: tuple[np.ndarray, np.ndarray] | None = None


@dataclass(frozen=True)
class Improvement:
    """How probable it is that a run of one group scores more than a run of another.

    Attributes:
        better: Name of the one.
        other: Name of the other.
        probability: Ties count half.
        interval: 95 % stratified bootstrap interval; None where a side has fewer than two runs.
    """

    better: str
    other: str
    probability: float
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Comparison:
    """Groups of runs in one environment.

    Attributes:
        environment: It.
        groups: In the order given.
        improvements: Of each group over each later one, where both have scores.
        score: What ``steps_to_score`` is about; None where nothing can be said.
        thresholds: Of the profiles, ``[thresholds]``; empty without scores.
        notes: What should be known, in sentences.
    """

    environment: str
    groups: tuple[Group, ...]
    improvements: tuple[Improvement, ...]
    score: float | None
    thresholds: np.ndarray = field(default_factory=lambda: np.zeros(0))
    notes: tuple[str, ...] = ()


def compare_runs(
    runs: Sequence[Run | str | os.PathLike[str]] | Mapping[str, Sequence[Run | str | os.PathLike[str]]],
    *,
    score: float | None = None,
    num_resamples: int = 20_000,
    seed: int = 0,
) -> list[Comparison]:
    """Hold runs against each other: one comparison for each environment among them.

    A run's score is its confirmed mean: what its champion reached in the report's fresh greedy episodes. Intervals are
    percentile bootstrap intervals over runs, as ``rliable`` defines them (Agarwal et al., 2021).

    Args:
        runs: Runs or their folders; those that differ in their seeds only are a group. Or groups by name.
        score: Whose steps and time are told; None: 0.9 of the way from where runs began to the best that was confirmed.
        num_resamples: Of the bootstrap.
        seed: Of its draws: same seed, same intervals.

    Raises:
        InvalidArgumentError: There are no runs, or a number is out of range.
        InvalidTypeError: ``runs`` is neither a sequence nor a mapping of sequences.
        CheckpointError: A folder is none of a run.
    """
    check_int("num_resamples", num_resamples, at_least=1)
    check_seed("seed", seed, optional=False)
    if score is not None:
        check_is_number("score", score)
        if not math.isfinite(score):
            raise InvalidArgumentError(f"`score` must be a finite number. Received: {score!r}.")
    if isinstance(runs, str | os.PathLike) or not isinstance(runs, Sequence | Mapping):
        raise InvalidTypeError(
            f"`runs` must be a list of runs or their folders, or a dict of such. Received: {runs!r:.200}."
        )
    named = {name: _loaded(some) for name, some in runs.items()} if isinstance(runs, Mapping) else {}
    loaded = list(itertools.chain.from_iterable(named.values())) if named else _loaded(list(runs))
    if not loaded:
        raise InvalidArgumentError("A comparison needs at least one run. Received none.")
    name_of = {id(run): name for name, some in named.items() for run in some}
    environments = by_environment(loaded)
    apart = [
        f"The runs are of {len(environments)} environments, whose scores cannot be compared: each has its own part."
    ]
    made = []
    for environment, members in environments.items():
        groups = _groups_by_name(members, name_of) if named else by_settings(members)
        made.append(
            _compare(environment, groups, score, _Draws(num_resamples, seed), apart if len(environments) > 1 else [])
        )
    return made


def _loaded(runs: Sequence[Any]) -> list[Run]:
    return [run if isinstance(run, Run) else Run.load(run) for run in runs]


def _groups_by_name(runs: Sequence[Run], name_of: Mapping[int, str]) -> dict[str, list[Run]]:
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(name_of[id(run)], []).append(run)
    return groups


class _Draws:
    """Gives resamples, the same ones for each statistic of as many runs."""

    def __init__(self, num_resamples: int, seed: int) -> None:
        self._num_resamples, self._seed = num_resamples, seed

    def of(self, num_runs: int, side: int = 0) -> Iterator[Any]:
        rng = np.random.default_rng([self._seed, side])
        return stratified_resamples(num_runs, 1, self._num_resamples, rng)


def _compare(
    environment: str, groups: Mapping[str, Sequence[Run]], score: float | None, draws: _Draws, notes: Sequence[str]
) -> Comparison:
    scores = {name: _scores(runs) for name, runs in groups.items()}
    everything = np.concatenate(list(scores.values()))
    members = list(itertools.chain.from_iterable(groups.values()))
    asked = score if score is not None else _usual_score(members, everything)
    thresholds = _thresholds(everything)
    made = tuple(_group(name, runs, scores[name], asked, thresholds, draws) for name, runs in groups.items())
    improvements = tuple(
        _improvement(one, other, draws)
        for one, other in itertools.combinations(made, 2)
        if len(one.scores) and len(other.scores)
    )
    told = [*notes, *itertools.chain.from_iterable(_notes_on(group) for group in made)]
    if score is None and asked is not None:
        told.append(
            f"{asked:.6g}, whose steps and time are told, is {SHARE_OF_THE_WAY:.0%} of the way from where the runs "
            "began to the best confirmed mean."
        )
    return Comparison(environment, made, improvements, asked, thresholds, tuple(told))


def _scores(runs: Sequence[Run]) -> np.ndarray:
    means = (None if run.result is None else run.result.confirmed_mean for run in runs)
    return np.array([mean for mean in means if mean is not None], dtype=np.float64)


def _usual_score(runs: Sequence[Run], confirmed: np.ndarray) -> float | None:
    firsts = [scores[0] for _, scores in (evidence(run.columns) for run in runs) if len(scores)]
    if not firsts or not len(confirmed):
        return None
    first, best = float(np.median(firsts)), float(confirmed.max())
    return first + SHARE_OF_THE_WAY * (best - first) if best > first else None


def _thresholds(scores: np.ndarray) -> np.ndarray:
    if not len(scores):
        return np.zeros(0)
    low, high = float(scores.min()), float(scores.max())
    margin = 0.05 * (high - low) or max(1.0, 0.05 * abs(high))
    return np.linspace(low - margin, high + margin, NUM_THRESHOLDS)


def _group(
    name: str, runs: Sequence[Run], scores: np.ndarray, score: float | None, thresholds: np.ndarray, draws: _Draws
) -> Group:
    reached = tuple(reaches(run, score) for run in runs)
    column = scores.reshape(-1, 1)
    make = functools.partial(
        Group,
        name,
        tuple(runs),
        scores,
        steps_to_score=tuple(steps for steps, _ in reached),
        seconds_to_score=tuple(seconds for _, seconds in reached),
    )
    if not len(scores):
        return make(mean=None, interval=None)
    mean, profile = interquartile_mean(column), performance_profile(column, thresholds)
    if len(scores) < FEWEST_RUNS:
        return make(mean=mean, interval=None, profile=profile)
    count = len(scores)
    return make(
        mean=mean,
        interval=interquartile_mean_interval(column, draws.of(count)),
        profile=profile,
        profile_band=profile_interval(column, thresholds, draws.of(count)),
    )


def reaches(run: Run, score: float | None) -> tuple[float | None, float | None]:
    """Return at how many env steps of training, and seconds, a run had a score; None where it never had, or unknown.

    Args:
        run: It.
        score: The median of :data:`WINDOWS_AT_A_SCORE` windows in a row reaches it.
    """
    steps, scores = evidence(run.columns)
    if score is None or len(scores) < WINDOWS_AT_A_SCORE:
        return None, None
    medians = np.median(np.lib.stride_tricks.sliding_window_view(scores, WINDOWS_AT_A_SCORE), axis=1)
    has_it = np.flatnonzero(medians >= score)
    if not len(has_it):
        return None, None
    at = float(steps[has_it[0] + WINDOWS_AT_A_SCORE - 1])
    seconds = run.seconds_at([at])
    return at, None if seconds is None else float(seconds[0])


def _improvement(one: Group, other: Group, draws: _Draws) -> Improvement:
    x, y = one.scores.reshape(-1, 1), other.scores.reshape(-1, 1)
    interval = None
    if min(len(x), len(y)) >= FEWEST_RUNS:
        interval = improvement_interval(x, y, draws.of(len(x)), draws.of(len(y), side=1))
    return Improvement(one.name, other.name, probability_of_improvement(x, y), interval)


def _notes_on(group: Group) -> list[str]:
    notes = []
    without = [run.path.name for run in group.runs if run.result is None or run.result.report is None]
    if without:
        verb = "has" if len(without) == 1 else "have"
        notes.append(f"{group.name}: {', '.join(without)} {verb} no report; only the training scores are drawn.")
    if len(group.scores) == 1:
        notes.append(
            f"{group.name}: one run with a report tells nothing of other seeds, so there is no interval over them."
        )
    seeds = [run.seed for run in group.runs if run.seed is not None]
    twice = sorted({seed for seed in seeds if seeds.count(seed) > 1})
    if twice:
        notes.append(f"{group.name}: seed {', '.join(map(str, twice))} is there more than once: such runs are no news.")
    return notes + [f"{run.path.name}: {note}" for run in group.runs for note in run.notes]
