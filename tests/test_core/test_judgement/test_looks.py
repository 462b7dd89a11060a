"""What follows from a look: what is counted, who is told, and what the end waits for."""

from types import SimpleNamespace

import pytest

from tensor_optix.core.backoff_scheduler import BackoffScheduler
from tensor_optix.core.callbacks import CallbackList
from tensor_optix.core.judgement.judge import Verdict
from tensor_optix.core.judgement.looks import Looks
from tensor_optix.core.types import EvalMetrics, LoopState
from tensor_optix.monitoring.trend import Trend
from tensor_optix.testing.fakes import RecordingCallback


class Around:
    """Looks over fakes that note what is asked of them."""

    def __init__(self, plateau_threshold=2, dormant_threshold=4):
        self.scheduler = BackoffScheduler(plateau_threshold=plateau_threshold, dormant_threshold=dormant_threshold)
        self.judge = SimpleNamespace(num_looks=0)
        self.recorder = RecordingCallback()
        self.told, self.is_waited_for, self.is_short = [], False, False
        self.looks = Looks(
            self.judge,
            self.scheduler,
            self,
            self,
            lambda: self.told.append("plateau"),
            CallbackList([self.recorder]),
            lambda name: self.told.append(f"ask {name}") or True,
        )

    def count_look(self, metrics):
        self.told.append("trial counts")

    def begin_when_free(self, metrics):
        self.told.append("trial begins")

    def puts_off_the_end(self):
        return self.is_short

    def look(self, trend, score=1.0):
        self.judge.num_looks += 1
        self.told.clear()
        self.looks.count(Verdict(trend=trend, look_score=score), EvalMetrics(score, {}, self.judge.num_looks))
        return self.scheduler.current_state


def test_an_improvement_starts_the_count_anew_with_its_score():
    around = Around()
    around.look(Trend.PLATEAU)
    assert around.look(Trend.IMPROVING, 7.0) is LoopState.ACTIVE
    assert (around.scheduler.best_score, around.scheduler.consecutive_non_improvements) == (7.0, 0)
    assert around.told == ["trial counts"]


def test_a_warming_up_counts_for_nothing():
    around = Around()
    around.look(Trend.WARMING_UP)
    assert around.scheduler.consecutive_non_improvements == 0
    assert around.recorder.names() == []


@pytest.mark.parametrize("trend", [Trend.PLATEAU, Trend.STALLED])
def test_looks_of_a_plateau_lead_to_cooling_and_to_dormant_each_told_once(trend):
    around = Around()
    states = [around.look(trend) for _ in range(4)]
    assert states == [LoopState.ACTIVE, LoopState.COOLING, LoopState.COOLING, LoopState.DORMANT]
    assert around.recorder.arguments("on_plateau") == [(2, LoopState.COOLING)]
    assert around.recorder.arguments("on_dormant") == [(4,)]


def test_entering_cooling_tells_the_tuner_and_begins_a_trial():
    around = Around()
    around.look(Trend.PLATEAU)
    around.look(Trend.PLATEAU)
    assert around.told == ["trial counts", "plateau", "trial begins"]


def test_straight_into_dormant_there_is_no_trial():
    around = Around(plateau_threshold=1, dormant_threshold=1)
    assert around.look(Trend.PLATEAU) is LoopState.DORMANT
    assert around.told == ["trial counts", "plateau"]
    assert around.recorder.names() == ["on_plateau", "on_dormant"]


def test_while_cooling_challenges_come_at_the_schedulers_intervals():
    around = Around(plateau_threshold=1, dormant_threshold=100)
    around.scheduler.max_interval_episodes = 4
    asked_at = [n for n in range(1, 20) if around.look(Trend.PLATEAU) and "ask challenge" in around.told]
    assert asked_at == [4, 8, 12, 16]


@pytest.mark.parametrize("reason", ["is_waited_for", "is_short"])
def test_the_end_waits(reason):
    around = Around()
    setattr(around, reason, True)
    for _ in range(10):
        around.look(Trend.PLATEAU)
    assert around.scheduler.consecutive_non_improvements == 0
    setattr(around, reason, False)
    around.look(Trend.PLATEAU)
    assert around.scheduler.consecutive_non_improvements == 1
