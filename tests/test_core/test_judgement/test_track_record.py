"""What a policy played, kept so that it can be played again."""

import json

import numpy as np

from tensor_optix.core.judgement.track_record import TrackRecord


def record_of(*counts):
    record = TrackRecord()
    for seed, count in enumerate(counts):
        record.add(seed, np.full(count, float(seed)))
    return record


def test_it_knows_what_can_be_played_again_and_what_that_brought():
    record = record_of(5, 30)
    assert len(record) == 35
    assert list(record.rounds()) == [(0, 5), (1, 20)]
    np.testing.assert_array_equal(record.replayed_returns, [0.0] * 5 + [1.0] * 20)
    np.testing.assert_array_equal(record.returns, [0.0] * 5 + [1.0] * 30)


def test_the_oldest_is_forgotten_only_where_the_newer_are_enough():
    record = record_of(5, 20, 20, 20)
    assert [seed for seed, _ in record.rounds()] == [1, 2, 3]
    record.extend(record_of(10))
    assert [seed for seed, _ in record.rounds()] == [1, 2, 3, 0]
    record.extend(record_of(10))
    assert [seed for seed, _ in record.rounds()] == [2, 3, 0, 0]


def test_nothing_played_is_nothing():
    assert len(TrackRecord()) == 0
    assert TrackRecord().returns.shape == TrackRecord().replayed_returns.shape == (0,)


def test_it_is_saved_and_comes_back():
    record = record_of(5, 30)
    other = TrackRecord()
    other.load_state_dict(json.loads(json.dumps(record.state_dict())))
    assert list(other.rounds()) == list(record.rounds())
    np.testing.assert_array_equal(other.returns, record.returns)
