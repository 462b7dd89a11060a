"""What greedy episodes cost, and what there is to pay for them."""

import math

import numpy as np
import pytest

from tensor_optix.core.budget import Ledger
from tensor_optix.core.judgement.arena import Arena, Player
from tensor_optix.core.judgement.purse import Purse
from tensor_optix.core.protocols import completed
from tensor_optix.core.types import EpisodeData
from tensor_optix.testing.fakes import StatefulAgent


def purse_after(training, evaluation=0, diagnosis=0, *, length=10, together=1, limit=None):
    ledger = Ledger(None, limit)
    ledger.count_window(training)
    ledger.steps["evaluation"], ledger.steps["diagnosis"] = evaluation, diagnosis
    arena = Arena(StatefulAgent(), completed(lambda *_, **__: None, Player), seed=0)
    flags = np.zeros(1, bool)
    arena.note_episodes(EpisodeData([[0.0]], [0], [0.0], flags, flags, [{}], 0, completed_lengths=np.array([length])))
    return Purse(arena, ledger, together)


@pytest.mark.parametrize(
    ("together", "num_pairs", "price"),
    [(1, 5, 100), (8, 8, 2 * 8 * 10), (8, 5, 2 * 8 * 10), (8, 9, 2 * 8 * 21), (3, 0, 0)],
)
def test_environments_that_wait_cost_as_much_as_those_that_play(together, num_pairs, price):
    purse = purse_after(1000, together=together)
    assert purse.price(num_pairs) == price
    assert 2 * purse.price_of_one(num_pairs) == price
    assert purse.price(purse.most_episodes(price / 2)) <= price
    assert purse.most_episodes(price / 2) >= num_pairs


def test_choosing_has_a_tenth_of_what_was_trained():
    purse = purse_after(10_000, evaluation=200)
    left = purse.for_challenge()
    assert left(5) == left(10) == 800
    purse.ledger.steps["evaluation"] += 300
    assert left(5) == purse.for_last_choice(5)(5) == 500


def test_only_a_first_round_may_be_dearer():
    purse = purse_after(10_000)
    left = purse.for_last_choice(5)
    assert (left(5), left(6)) == (2000, 1000)
    purse.ledger.steps["evaluation"] += 1800
    assert (left(5), left(10)) == (200, -800)
    assert purse.for_last_choice(5)(5) == -800
    assert purse_after(10).for_last_choice(5)(5) == 200
    assert purse_after(10).for_last_choice(5)(6) == 100


def test_a_first_diagnosis_plays_ten_pairs_whatever_they_cost():
    left = purse_after(100).for_diagnosis()
    assert (left(10), left(11)) == (math.inf, 10)
    assert purse_after(100, diagnosis=1).for_diagnosis()(5) == 9


def test_only_the_budget_decides_what_a_larger_one_would_decide_otherwise():
    purse = purse_after(1000, limit=1050)
    assert not purse.pays(60, share_left=50)
    assert not purse.ledger.has_decided
    assert purse.pays(50, share_left=50)
    assert not purse.pays(60, share_left=60)
    assert purse.ledger.has_decided


@pytest.mark.parametrize(
    ("training", "evaluation", "limit", "kept"),
    [
        (900, 0, 1_000, 100),  # all that is left
        (0, 0, 10_000, 400),
        (8_000, 0, 10_000, 400),
        (2_000, 0, 3_000, 200),  # two rounds are within a tenth
        (900, 500, 2_000, 0),  # more than a tenth has been used
        (400, 0, 900, 100),  # the first round may take a fifth
        (300, 0, 500, 0),  # but not more
    ],
)
def test_what_is_kept_is_whole_rounds_or_nothing(training, evaluation, limit, kept):
    purse = purse_after(training, evaluation, limit=limit)
    assert purse.kept_for_choosing(5, 4) == kept


def test_after_a_choice_no_more_is_kept_than_is_trained_before_the_next():
    purse = purse_after(9_000, 100, limit=10_000)
    assert purse.kept_for_choosing(5, 4) == 400
    purse.ledger.note_choice()
    assert purse.kept_for_choosing(5, 4) == 400  # 900 are left, half of which pays for four rounds
    purse.ledger.count_window(500)
    purse.ledger.note_choice()
    assert purse.kept_for_choosing(5, 4) == 200
    purse.ledger.count_window(250)
    purse.ledger.note_choice()
    assert purse.kept_for_choosing(5, 4) == 0


def test_without_a_budget_nothing_is_kept():
    assert purse_after(1000).kept_for_choosing(5, 4) == 0
