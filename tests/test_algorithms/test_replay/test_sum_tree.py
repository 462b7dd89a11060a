"""The sum tree against running sums."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tensor_optix.algorithms.replay.sum_tree import SumTree


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
