"""Which snapshots a run has, which is the best, and which come again where the run went back."""

import math

import pytest
from storage_fakes import metrics

from tensor_optix.core.storage.snapshot_shelf import SnapshotShelf
from tensor_optix.core.storage.snapshot_writer import Entry
from tensor_optix.core.types import HyperparamSet, PolicySnapshot


def entry(number, score):
    snapshot_id = f"{number:06d}"
    return Entry(PolicySnapshot(snapshot_id, metrics(score), HyperparamSet({}, 0), snapshot_id, number))


def shelf_of(*scores, most=3, best=None):
    shelf = SnapshotShelf(most)
    for number, score in enumerate(scores, start=1):
        shelf.last_number = number
        shelf.admit(entry(number, score), is_best=number == best)
    return shelf


def numbers(entries):
    return [int(e.snapshot.snapshot_id) for e in entries]


def test_the_oldest_go_and_the_best_stays():
    shelf = shelf_of(9.0, 1.0, 2.0, 3.0)
    assert numbers(shelf.entries) == [1, 3, 4]
    assert shelf.best.eval_metrics.primary_score == 9.0
    assert numbers(shelf.by_merit()) == [1, 4, 3]


def test_who_is_said_to_be_the_best_is_it():
    shelf = shelf_of(9.0, 1.0, best=2)
    assert shelf.best_id == "000002"
    assert numbers(shelf.by_merit()) == [2, 1]


def test_equal_scores_do_not_take_the_place():
    assert shelf_of(5.0, 5.0).best_id == "000001"


def test_no_score_is_no_candidate():
    shelf = shelf_of(math.nan, 1.0)
    assert shelf.best_id == "000002"
    assert numbers(shelf.by_merit()) == [2]
    assert numbers(shelf.entries) == [1, 2]


def test_the_best_that_is_taken_out_leaves_its_place():
    shelf = shelf_of(1.0, 2.0)
    shelf.take_out("000002")
    assert shelf.best is None
    assert shelf.get("000002") is None
    assert numbers(shelf.by_merit()) == [1]


@pytest.mark.parametrize("snapshot_id", ["000009", None, 3])
def test_what_it_does_not_have(snapshot_id):
    assert shelf_of(1.0).get(snapshot_id) is None


def test_numbers_go_on_past_those_in_use():
    shelf = shelf_of(1.0, 2.0)
    in_use = {"000003-a", "000004-a"}
    assert shelf.next_id("-a", lambda snapshot_id: snapshot_id not in in_use) == "000005-a"
    assert shelf.last_number == 5


def test_a_run_that_went_back_makes_the_later_ones_again():
    shelf = shelf_of(1.0, 2.0, 3.0)
    shelf.go_back(1, are_made_again=True)
    assert numbers(shelf.entries) == [1]
    assert shelf.best is None, "the best was a later one"
    assert numbers(shelf.contents()[0]) == [1, 2, 3], "they stay on the disk until they are made again"
    assert shelf.get("000003") is shelf.get_later("000003")
    assert shelf.next_id("", lambda _: True) == "000002"
    shelf.admit(entry(2, 5.0), is_best=False)
    assert shelf.get_later("000002") is None
    assert shelf.forget_later() == ["000003"]
    assert numbers(shelf.contents()[0]) == [1, 2]


def test_later_ones_that_cannot_come_again_are_kept_like_older_ones():
    shelf = shelf_of(1.0, 2.0, 3.0)
    shelf.go_back(1, are_made_again=False)
    assert shelf.next_id("", lambda _: True) == "000004"
    shelf.admit(entry(4, 0.5), is_best=True)
    shelf.forget_later()
    assert numbers(shelf.entries) == [2, 3, 4], "three are kept, the oldest went"


def test_what_is_held_is_the_best_on_disk_and_is_never_let_go():
    shelf = shelf_of(1.0, 9.0, most=2, best=2)
    shelf.hold("000001")
    shelf.admit(entry(3, 2.0), is_best=False)
    listed, best_id = shelf.contents()
    assert best_id == "000001"
    assert numbers(listed) == [1, 2, 3]
    assert numbers(shelf.entries) == [2, 3]
    shelf.hold(None)
    assert shelf.contents()[1] == "000002"
