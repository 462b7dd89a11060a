"""Suggestions: when they are asked for, what is refused, what is announced."""

import math

import numpy as np
import pytest
from loop_fakes import NoTuning

from tensor_optix.core.backoff_scheduler import BackoffScheduler
from tensor_optix.core.callbacks import CallbackList
from tensor_optix.core.judgement.provenance import Provenance
from tensor_optix.core.loop.tuning import Tuning
from tensor_optix.core.types import EvalMetrics, HyperparamSet
from tensor_optix.exceptions import InvalidTypeError, NonFiniteError
from tensor_optix.optimizers.backoff_optimizer import BackoffOptimizer
from tensor_optix.testing.fakes import RecordingCallback, SixMethodAgent


class Suggests(NoTuning):
    """Suggests what it was told to, and counts how often it was asked."""

    def __init__(self, suggestion=None):
        self.suggestion, self.num_asked, self.plateaus = suggestion, 0, []

    def suggest(self, current_hyperparams, metrics_history):
        self.num_asked += 1
        current = super().suggest(current_hyperparams, metrics_history)
        return current if self.suggestion is None else self.suggestion

    def on_plateau(self, metrics_history):
        self.plateaus.append(len(metrics_history))

    def pop_decisions(self):
        return [3, "wider"]


def tuning_of(tuner, params=None, scheduler=None):
    agent, recorder = SixMethodAgent(params or {"rate": 0.1}), RecordingCallback()
    provenance = Provenance(agent, CallbackList([recorder]))
    return Tuning(agent, tuner, scheduler or BackoffScheduler(), provenance), agent, recorder


def scored(score):
    return EvalMetrics(score, {}, 0)


def test_the_tuner_sees_all_scores_and_its_suggestion_is_set_and_announced():
    tuner = Suggests(HyperparamSet({"rate": 0.2}, 0))
    tuning, agent, recorder = tuning_of(tuner)
    for score in (1.0, 2.0):
        tuning.add(scored(score))
    tuning.suggest()
    assert [metrics.primary_score for metrics in tuner.history] == [1.0, 2.0]
    assert agent.get_hyperparams().params == {"rate": 0.2}
    assert recorder.arguments("on_hyperparam_update") == [({"rate": 0.1}, {"rate": 0.2})]
    assert tuning.latest.primary_score == 2.0


@pytest.mark.parametrize(("value", "nearest"), [(0.02, 0.1), (7.0, 1.0), (0.0, 0.1)])
def test_what_the_loop_took_out_of_its_bounds_is_brought_inside(value, nearest):
    """As half the rate after a divergence, or a third of it in a trial that paid."""
    tuning, agent, recorder = tuning_of(
        BackoffOptimizer({"rate": (0.1, 1.0), "other": (1.0, 1.0)}), {"rate": 0.5, "other": 9.0}
    )
    tuning.check_start()
    agent.set_hyperparams(HyperparamSet({"rate": value, "other": 9.0}, 0))
    tuning.add(scored(1.0))
    tuning.suggest()
    found = agent.get_hyperparams().params
    assert 0.1 <= found["rate"] <= 1.0
    assert found["rate"] == pytest.approx(nearest, rel=0.2), "not far from where it was"
    assert found["other"] == 9.0
    assert recorder.count("on_hyperparam_update") == 1


@pytest.mark.parametrize("value", [0.1, np.array([1.0, math.nan])])
def test_an_unchanged_suggestion_is_no_news(value):
    tuning, _, recorder = tuning_of(Suggests(), {"rate": value})
    if isinstance(value, np.ndarray):
        value[1] = 2.0
    tuning.suggest()
    assert recorder.names() == []


def test_an_array_that_changed_is_set_and_announced():
    suggested = HyperparamSet({"rate": np.array([1.0, 3.0])}, 0)
    tuning, agent, recorder = tuning_of(Suggests(suggested), {"rate": np.ones(2)})
    tuning.suggest()
    np.testing.assert_array_equal(agent.get_hyperparams().params["rate"], [1.0, 3.0])
    assert recorder.count("on_hyperparam_update") == 1


@pytest.mark.parametrize(("interval", "asked"), [(1, 6), (3, 2)])
def test_while_active_it_is_asked_every_base_interval(interval, asked):
    tuner = Suggests()
    tuning, _, _ = tuning_of(tuner, scheduler=BackoffScheduler(base_interval=interval))
    for _ in range(6):
        tuning.suggest()
    assert tuner.num_asked == asked


def test_on_a_plateau_it_is_asked_at_the_schedulers_interval():
    tuner, scheduler = Suggests(), BackoffScheduler(plateau_threshold=1, dormant_threshold=9)
    tuning, _, _ = tuning_of(tuner, scheduler=scheduler)
    scheduler.record_non_improvement()
    scheduler.record_non_improvement()
    for _ in range(8):
        tuning.suggest()
    assert (scheduler.current_interval, tuner.num_asked) == (4, 2)


def test_one_that_tunes_nothing_is_not_asked():
    tuner = Suggests()
    tuner.tunes_nothing = True
    tuning, _, _ = tuning_of(tuner)
    tuning.suggest()
    assert tuner.num_asked == 0


@pytest.mark.parametrize(
    ("suggestion", "error", "message"),
    [
        ({"rate": 1.0}, InvalidTypeError, "`Suggests.suggest` must return a HyperparamSet"),
        (HyperparamSet({"rate": "fast"}, 0), InvalidTypeError, "must return a number for rate, which was 0.1"),
        (HyperparamSet({"rate": math.nan}, 0), NonFiniteError, "returned rate=nan, which is no finite number"),
        (HyperparamSet({"rate": 10**400}, 0), NonFiniteError, "which is no finite number"),
    ],
)
def test_what_no_agent_can_be_given_is_refused(suggestion, error, message):
    tuning, agent, recorder = tuning_of(Suggests(suggestion))
    with pytest.raises(error, match=message):
        tuning.suggest()
    assert (agent.get_hyperparams().params, recorder.names()) == ({"rate": 0.1}, [])


def test_plateaus_and_decisions_are_handed_on():
    tuner = Suggests()
    tuning, _, _ = tuning_of(tuner)
    tuning.add(scored(1.0))
    tuning.on_plateau()
    assert (tuner.plateaus, tuning.decisions()) == ([1], ["3", "wider"])


def test_scores_of_a_world_that_is_no_more_are_forgotten():
    tuning, _, _ = tuning_of(Suggests())
    tuning.add(scored(1.0))
    tuning.forget()
    assert tuning.latest is None


def test_a_resumed_run_asks_when_the_other_would_have():
    one, other = (tuning_of(Suggests(), scheduler=BackoffScheduler(base_interval=3)) for _ in range(2))
    for _ in range(2):
        one[0].add(scored(1.0))
        one[0].suggest()
    other[0].load_state_dict(one[0].state_dict())
    assert other[0].latest.primary_score == 1.0
    assert other[0].state_dict() == one[0].state_dict()


class TestWhatExplorationHides:
    def explorer(self, bounds):
        tuning, agent, _ = tuning_of(BackoffOptimizer(bounds), {"rate": 0.1, "epsilon": 0.2})
        agent.exploration_hyperparams = ("epsilon", "other")
        return tuning

    def test_what_scores_of_training_cannot_judge_is_told_before_the_first_step_and_at_the_end(self, caplog):
        tuning = self.explorer({"rate": (0.01, 1.0), "epsilon": (0.01, 0.5)})
        tuning.check_start()
        (note,) = tuning.notes
        assert note.startswith("epsilon changed how much training explores")
        assert note in caplog.text

    @pytest.mark.parametrize("bounds", [{"rate": (0.01, 1.0)}, None])
    def test_what_they_can_judge_is_tuned_in_silence(self, bounds, caplog):
        tuning = self.explorer(bounds)
        tuning.check_start()
        assert tuning.notes == ()
        assert "explores" not in caplog.text
