"""What any evaluator must keep to, as tests that users can run on their own."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import numpy as np

from tensor_optix.core.base_evaluator import BaseEvaluator
from tensor_optix.core.types import EpisodeData, EvalMetrics
from tensor_optix.testing.checking import check, is_same


class EvaluatorConformance:
    """Subclass it in a test module as ``Test...``, and say how the evaluator is made; pytest finds the rest.

    Example:
        >>> class TestMine(EvaluatorConformance):
        ...     def make_evaluator(self):
        ...         return TFEvaluator()
    """

    def make_evaluator(self) -> BaseEvaluator:
        """Return a new evaluator."""
        raise NotImplementedError("make_evaluator() -> BaseEvaluator")

    def windows(self) -> list[EpisodeData]:
        """Return windows to score; override it where yours asks for observations of its own."""
        return [make_window(number, seed=number) for number in range(4)]

    def test_a_score_is_a_number_of_its_window(self) -> None:
        """Finite, or NaN for no evidence; with the window's number."""
        evaluator = self.make_evaluator()
        for window in self.windows():
            metrics = evaluator.score(window, {})
            check(isinstance(metrics, EvalMetrics), f"score returned {type(metrics).__name__}, not EvalMetrics")
            score = float(metrics.primary_score)
            check(math.isfinite(score) or math.isnan(score), f"the score is {score}")
            check(metrics.episode_id == window.episode_id, f"the score says window {metrics.episode_id}")

    def test_the_window_is_left_alone(self) -> None:
        """It is learned from afterwards."""
        evaluator = self.make_evaluator()
        for window in self.windows():
            before = copy.deepcopy(window)
            diagnostics = {"loss": 1.0}
            evaluator.score(window, diagnostics)
            for name in ("observations", "actions", "rewards", "terminated", "truncated"):
                check(is_same(getattr(before, name), getattr(window, name)), f"score changed the window's {name}")
            check(diagnostics == {"loss": 1.0}, "score changed the diagnostics")

    def test_same_windows_same_scores(self) -> None:
        """A new evaluator gives the same series the same scores."""
        one, other = ([e.score(w, {}).primary_score for w in self.windows()] for e in self._two())
        check(is_same(one, other), f"two evaluators gave {one} and {other}")

    def test_any_diagnostics_will_do(self) -> None:
        """Those of the agent's choice, strings and NaN among them."""
        window = self.windows()[0]
        for diagnostics in ({}, {"loss": math.nan, "name": "x", "by_layer": [1.0, 2.0], "steps": 3}):
            check(
                isinstance(self.make_evaluator().score(window, diagnostics), EvalMetrics), "score refused diagnostics"
            )

    def test_nothing_is_better_than_itself(self) -> None:
        """``compare`` is strict, and agrees with the score."""
        evaluator = self.make_evaluator()
        metrics = EvalMetrics(1.0, {}, 0)
        check(not evaluator.compare(metrics, metrics), "compare finds a score better than itself")
        better = replace(metrics, primary_score=100.0)
        check(evaluator.compare(better, metrics), "compare does not find 100 better than 1")
        check(not evaluator.compare(metrics, better), "compare finds 1 better than 100")

    def test_a_pooled_score_is_compared_like_any_other(self) -> None:
        """Scores that the loop pooled have another value, and nothing else of their own."""
        evaluator = self.make_evaluator()
        for metrics in (evaluator.score(window, {}) for window in self.windows()):
            if math.isnan(metrics.primary_score):
                continue
            pooled = replace(metrics, primary_score=metrics.primary_score + 1000.0)
            check(
                evaluator.compare(pooled, metrics), "compare does not find a pooled score that is higher by 1000 better"
            )

    def _two(self) -> tuple[BaseEvaluator, BaseEvaluator]:
        return self.make_evaluator(), self.make_evaluator()


def make_window(number: int, length: int = 20, seed: int = 0) -> EpisodeData:
    """Return a window of random numbers from one environment, in which one episode ends if ``number`` is even."""
    rng = np.random.default_rng(seed)
    rewards = rng.normal(size=length)
    terminated = np.zeros(length, bool)
    terminated[length // 2] = number % 2 == 0
    ended = [float(rewards[: length // 2 + 1].sum())] if number % 2 == 0 else []
    return EpisodeData(
        observations=rng.normal(size=(length, 4)).astype(np.float32),
        actions=rng.integers(2, size=length),
        rewards=rewards,
        terminated=terminated,
        truncated=np.zeros(length, bool),
        infos=[{}] * length,
        episode_id=number,
        completed_returns=np.asarray(ended),
        completed_lengths=np.full(len(ended), length // 2 + 1),
    )
