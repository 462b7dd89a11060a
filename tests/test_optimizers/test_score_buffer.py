import json
import math

import pytest
from histories import told

from tensor_optix.optimizers.score_buffer import NewScores, ScoreBuffer


class TestNewScores:
    def test_all_are_new_at_first(self):
        assert [m.primary_score for m in NewScores().take(told(1, 2, 3))] == [1, 2, 3]

    def test_only_later_windows_are_new(self):
        news = NewScores()
        news.take(told(1, 2))
        assert [m.primary_score for m in news.take(told(1, 2, 3, 4))] == [3, 4]
        assert news.take(told(1, 2, 3, 4)) == []

    def test_the_oldest_may_be_gone(self):
        news = NewScores()
        news.take(told(1, 2, 3))
        assert [m.primary_score for m in news.take(told(3, 4, first=2))] == [4]

    def test_without_evidence_they_are_left_out(self):
        assert NewScores().take(told(math.nan, math.inf)) == []

    def test_ids_that_do_not_rise(self):
        news = NewScores()
        flat = [m for score in (1, 2, 3) for m in told(score)]
        news.take(flat[:1])
        assert [m.primary_score for m in news.take(flat)] == [2, 3]
        assert news.take(flat) == []
        assert [m.primary_score for m in news.take(told(9))] == [9]

    def test_an_emptied_history_has_nothing_new(self):
        news = NewScores()
        news.take(told(1))
        assert news.take([]) == []

    def test_state(self):
        news, other = NewScores(), NewScores()
        news.take(told(1, 2))
        other.load_state_dict(json.loads(json.dumps(news.state_dict())))
        assert [m.primary_score for m in other.take(told(1, 2, 3))] == [3]


class TestScoreBuffer:
    def filled(self, scores, at_centre):
        buffer = ScoreBuffer(5)
        for score, here in zip(scores, at_centre, strict=True):
            buffer.add(score, at_centre=here)
        return buffer

    def test_variance_is_that_of_the_latest(self):
        buffer = self.filled([100, 1, 2, 3, 4, 5], [True] * 6)
        assert buffer.variance == pytest.approx(2.5)
        assert ScoreBuffer(5).variance == 0.0

    def test_no_noise_before_the_buffer_is_full(self):
        assert self.filled([1, 2, 1, 2], [False] * 4).noise() is None
        assert self.filled([1, 2, 1, 2, 1], [False] * 5).noise() is not None

    def test_the_centres_own_scores_tell_the_noise(self):
        """Probes lie 10 lower; the centre alone is quiet."""
        scores = [1.0, -9.0] * 6
        buffer = self.filled(scores, [True, False] * 6)
        assert buffer.noise() == (0.0, 4)

    def test_noise_that_has_grown_counts_as_it_is_now(self):
        quiet, loud = [0.0, 1.0] * 10, [0.0, 10.0] * 4
        variance, dof = self.filled(quiet + loud, [True] * 28).noise()
        assert variance > 40.0
        assert dof == 7
        assert self.filled(loud * 3 + quiet, [True] * 44).noise()[0] > 10.0

    def test_a_new_centre_keeps_the_noise_and_forgets_the_level(self):
        buffer = self.filled([1, 2, 1, 2, 1, 2], [True] * 6)
        before = buffer.noise()
        buffer.forget_centre()
        assert not buffer.has_centre
        assert buffer.noise() == before
        buffer.add(7.0, at_centre=True)
        assert buffer.last_score == 7.0
        assert buffer.level_at(3) == (7.0, 1.0)

    def test_state(self):
        buffer, other = self.filled([1, 2, 4, 1, 3], [True, False, True, True, True]), ScoreBuffer(5)
        other.load_state_dict(json.loads(json.dumps(buffer.state_dict())))
        assert other.state_dict() == buffer.state_dict()
        assert other.noise() == buffer.noise()
