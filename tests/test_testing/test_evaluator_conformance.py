"""Our own evaluator keeps to what any must, and the suite notices those that do not."""

import itertools

import pytest

from tensor_optix import BaseEvaluator, EvalMetrics, TFEvaluator
from tensor_optix.testing import EvaluatorConformance
from tensor_optix.testing.fakes import RewardEvaluator


class TestDefaultEvaluator(EvaluatorConformance):
    def make_evaluator(self):
        return TFEvaluator()


class TestWeightedEvaluator(EvaluatorConformance):
    def make_evaluator(self):
        return TFEvaluator(reward_weight=1.0, stability_weight=0.5, length_weight=0.5)


class TestSumOfRewards(EvaluatorConformance):
    def make_evaluator(self):
        return RewardEvaluator()


class GivesANumber(BaseEvaluator):
    def score(self, episode_data, train_diagnostics):
        return float(episode_data.total_reward)


class IsInfinite(RewardEvaluator):
    def score(self, episode_data, train_diagnostics):
        metrics = super().score(episode_data, train_diagnostics)
        object.__setattr__(metrics, "primary_score", float("-inf"))
        return metrics


class NamesAnotherWindow(RewardEvaluator):
    def score(self, episode_data, train_diagnostics):
        return EvalMetrics(episode_data.total_reward, {}, episode_data.episode_id + 1)


class ScalesRewards(RewardEvaluator):
    def score(self, episode_data, train_diagnostics):
        episode_data.rewards *= 2.0
        return super().score(episode_data, train_diagnostics)


class KeepsScoreInDiagnostics(RewardEvaluator):
    def score(self, episode_data, train_diagnostics):
        train_diagnostics["score"] = 1.0
        return super().score(episode_data, train_diagnostics)


class CountsAcrossEvaluators(RewardEvaluator):
    count = itertools.count()

    def score(self, episode_data, train_diagnostics):
        return EvalMetrics(float(next(self.count)), {}, episode_data.episode_id)


class WantsALoss(RewardEvaluator):
    def score(self, episode_data, train_diagnostics):
        if "loss" not in train_diagnostics:
            raise AssertionError("no loss")
        return super().score(episode_data, train_diagnostics)


class PrefersEquals(RewardEvaluator):
    def compare(self, candidate, baseline):
        return candidate.primary_score >= baseline.primary_score


class PrefersLess(RewardEvaluator):
    def compare(self, candidate, baseline):
        return candidate.primary_score < baseline.primary_score


class PrefersAnyOther(RewardEvaluator):
    def compare(self, candidate, baseline):
        return candidate.primary_score != baseline.primary_score


class ComparesWhatItMeasured(RewardEvaluator):
    """By something that a pooled score does not have anew."""

    def score(self, episode_data, train_diagnostics):
        return EvalMetrics(1.0, {"total": episode_data.total_reward}, episode_data.episode_id)

    def compare(self, candidate, baseline):
        return candidate.metrics["total"] > baseline.metrics["total"]


@pytest.mark.parametrize(
    ("broken", "test", "message"),
    [
        (GivesANumber, "test_a_score_is_a_number_of_its_window", "score returned float"),
        (IsInfinite, "test_a_score_is_a_number_of_its_window", "the score is -inf"),
        (NamesAnotherWindow, "test_a_score_is_a_number_of_its_window", "the score says window 1"),
        (ScalesRewards, "test_the_window_is_left_alone", "changed the window's rewards"),
        (KeepsScoreInDiagnostics, "test_the_window_is_left_alone", "changed the diagnostics"),
        (CountsAcrossEvaluators, "test_same_windows_same_scores", "two evaluators gave"),
        (WantsALoss, "test_any_diagnostics_will_do", "no loss"),
        (PrefersEquals, "test_nothing_is_better_than_itself", "better than itself"),
        (PrefersLess, "test_nothing_is_better_than_itself", "does not find 100 better than 1"),
        (PrefersAnyOther, "test_nothing_is_better_than_itself", "finds 1 better than 100"),
        (ComparesWhatItMeasured, "test_a_pooled_score_is_compared_like_any_other", "pooled score"),
    ],
)
def test_a_broken_rule_is_noticed(broken, test, message):
    class Suite(EvaluatorConformance):
        def make_evaluator(self):
            return broken()

    with pytest.raises(AssertionError, match=message):
        getattr(Suite(), test)()


def test_a_suite_must_say_what_is_made():
    with pytest.raises(NotImplementedError, match=r"make_evaluator\(\) -> BaseEvaluator"):
        EvaluatorConformance().test_same_windows_same_scores()
