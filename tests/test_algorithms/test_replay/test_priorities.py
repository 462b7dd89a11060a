"""Prioritised draws, against the paper's formulas worked out by hand (Schaul et al., 2016); the tree, against sums."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tensor_optix.algorithms.replay.priorities import Priorities, SumTree, priority_bytes

ERRORS = np.array([1.0, 2.0, 4.0, 8.0])


@pytest.fixture
def priorities():
    made = Priorities(10)
    made.put_new(np.arange(4))
    made.update(np.arange(4), -ERRORS)
    return made


def shares_of(priorities, exponent, size=40_000):
    rows, _ = priorities.draw(np.random.default_rng(0), size, exponent, 0.0, 4)
    return np.bincount(rows, minlength=10) / size


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_rows_are_drawn_by_a_power_of_their_error(priorities, exponent):
    expected = np.zeros(10)
    expected[:4] = ERRORS**exponent / (ERRORS**exponent).sum()
    np.testing.assert_allclose(shares_of(priorities, exponent), expected, atol=1e-4)


def test_one_from_each_equal_share_in_random_order(priorities):
    """With 15 shares of 15, rows come exactly as often as their error says, but for shares that lie across two."""
    rows, _ = priorities.draw(np.random.default_rng(0), 15, 1.0, 0.0, 4)
    np.testing.assert_allclose(np.bincount(rows, minlength=4), ERRORS, atol=1)
    assert (np.diff(rows) < 0).any()


@pytest.mark.parametrize("correction", [0.0, 0.4, 1.0])
def test_weights_correct_for_it(priorities, correction):
    rows, weights = priorities.draw(np.random.default_rng(0), 50, 1.0, correction, 4)
    expected = (4 * ERRORS / ERRORS.sum()) ** -correction
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights, (expected / expected[rows].max())[rows], rtol=1e-5)


@given(st.lists(st.tuples(st.sampled_from(["new", "update", "remove"]), st.integers(0, 11)), max_size=30))
@settings(max_examples=60, deadline=None)
def test_the_weight_of_a_row_depends_on_the_buffer_alone(changes):
    """However many are drawn at once, it is the largest over all rows, as they are now, that weights are over."""
    rng, held, found = np.random.default_rng(1), np.zeros(12), Priorities(12)
    found.put_new(np.array([0, 5]))
    held[[0, 5]] = largest = 1.0
    for kind, row in changes:
        rows, errors = np.array([row, 11 - row, row]), np.round(rng.exponential(size=3), 1)
        if kind == "new":
            found.put_new(rows)
            held[rows] = largest
        elif kind == "remove":
            found.remove(rows)
            held[rows] = 0.0
        else:
            found.update(rows, errors)
            held[rows] = errors + 1e-6
            largest = max(largest, errors.max() + 1e-6)
        if not held.any():
            continue
        kept = held > 0
        expected = np.zeros(12)
        expected[kept] = (held[kept] / held[kept].min()) ** (-0.7 * 0.4)
        for size in (1, 3, 64):
            drawn, weights = found.draw(rng, size, 0.7, 0.4, int(kept.sum()))
            np.testing.assert_allclose(weights, expected[drawn], rtol=1e-5)


def test_new_rows_have_the_largest_priority_so_far(priorities):
    priorities.put_new(np.array([7]))
    np.testing.assert_allclose(shares_of(priorities, 1.0)[7], 8.0 / 23.0, atol=1e-3)
    priorities.update(np.array([3]), np.array([0.5]))
    priorities.put_new(np.array([8]))
    np.testing.assert_allclose(shares_of(priorities, 1.0)[8], 8.0 / 23.5, atol=1e-3)


def test_what_was_removed_is_never_drawn_and_an_error_of_zero_still_is(priorities):
    priorities.remove(np.array([3]))
    priorities.update(np.array([0, 1]), np.zeros(2))
    shares = shares_of(priorities, 0.5)
    assert shares[3] == 0.0
    assert shares[0] > 0.0
    assert shares_of(priorities, 0.0)[3] == 0.0


def test_of_repeated_rows_the_last_holds(priorities):
    priorities.update(np.array([0, 0]), np.array([100.0, 1.0]))
    np.testing.assert_allclose(shares_of(priorities, 1.0)[0], 1.0 / 15.0, atol=1e-3)


def test_the_draws_go_on_exactly(priorities):
    shares_of(priorities, 0.6)
    arrays, meta = priorities.state_dict(5)
    other = Priorities(10)
    other.load_state_dict(arrays, json.loads(json.dumps(meta)))
    priorities.put_new(np.array([5]))
    other.put_new(np.array([5]))
    one, two = (p.draw(np.random.default_rng(3), 64, 0.6, 0.5, 5) for p in (priorities, other))
    np.testing.assert_array_equal(one[0], two[0])
    assert one[1].tobytes() == two[1].tobytes()


@pytest.mark.parametrize(("capacity", "expected"), [(1, 8 + 16), (8, 64 + 128), (9, 72 + 256)])
def test_what_it_takes_of_memory(capacity, expected):
    assert priority_bytes(capacity) == expected


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=40), st.integers(0, 10**6))
def test_it_finds_what_running_sums_find(values, seed):
    rng = np.random.default_rng(seed)
    values = np.array(values, float)
    tree = SumTree(len(values))
    for part in np.array_split(rng.permutation(len(values)), 3):
        tree.update(part, values[part])
    assert tree.total == values.sum()
    np.testing.assert_array_equal(tree.values(slice(len(values))), values)
    if values.sum() == 0:
        return
    targets = rng.random(50) * values.sum()
    np.testing.assert_array_equal(tree.find(targets), np.searchsorted(np.cumsum(values), targets, side="right"))
    rebuilt = SumTree(len(values))
    rebuilt.rebuild(values)
    np.testing.assert_array_equal(rebuilt.find(targets), tree.find(targets))


@pytest.mark.parametrize("target", [0.0, 0.3, np.nextafter(0.6, 0), 0.6, 1.0])
def test_a_leaf_of_zero_is_never_found(target):
    tree = SumTree(5)
    tree.update(np.array([1, 3]), np.array([0.3, 0.1 + 0.2]))
    assert tree.find(np.array([target]))[0] in (1, 3)
