"""Rows in pieces, held against one plain array; a state that was handed out never changes; what would not fit."""

import builtins
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tensor_optix.algorithms.replay import memory
from tensor_optix.algorithms.replay.memory import ChunkedArray
from tensor_optix.exceptions import InvalidArgumentError, StateMismatchError


def fill(array, oracle, rng, count):
    """Write some rows to both, as a ring does: without gaps."""
    rows = rng.permutation(len(oracle))[:count]
    values = rng.integers(0, 256, (count, *oracle.shape[1:])).astype(oracle.dtype)
    array.put(rows, values)
    oracle[rows] = values


@settings(max_examples=60, deadline=None)
@given(capacity=st.integers(1, 40), chunk_bytes=st.sampled_from([1, 24, 100, 10**6]), seed=st.integers(0, 2**31))
def test_it_is_one_array(capacity, chunk_bytes, seed):
    rng = np.random.default_rng(seed)
    array, oracle = ChunkedArray(capacity, (2, 3), np.uint8, chunk_bytes), np.zeros((capacity, 2, 3), np.uint8)
    array.put(np.arange(capacity), oracle)
    for _ in range(5):
        fill(array, oracle, rng, int(rng.integers(0, capacity + 1)))
        rows = rng.integers(0, capacity, 7)
        found = array.take(rows)
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, oracle[rows])


@settings(max_examples=60, deadline=None)
@given(capacity=st.integers(1, 40), chunk_bytes=st.sampled_from([1, 24, 100, 10**6]), seed=st.integers(0, 2**31))
def test_what_was_handed_out_stays_and_comes_back(capacity, chunk_bytes, seed):
    rng = np.random.default_rng(seed)
    array, oracle = ChunkedArray(capacity, (3,), np.float32, chunk_bytes), np.zeros((capacity, 3), np.float32)
    array.put(np.arange(capacity), oracle)
    fill(array, oracle, rng, capacity)
    num_rows = int(rng.integers(1, capacity + 1))
    state = array.state_dict(num_rows)
    saved = {number: view.copy() for number, view in state.items()}
    array.check_state(state, num_rows)
    np.testing.assert_array_equal(np.concatenate([*state.values()]), oracle[:num_rows])
    other = ChunkedArray(capacity, (3,), np.float32, chunk_bytes)
    other.load_state_dict(state)
    for _ in range(3):
        fill(array, oracle, rng, capacity)
        other.put(np.arange(num_rows), np.full((num_rows, 3), -1.0, np.float32))
        for number, view in state.items():
            np.testing.assert_array_equal(view, saved[number])
    np.testing.assert_array_equal(array.take(np.arange(capacity)), oracle)
    assert (other.take(np.arange(num_rows)) == -1.0).all()


def test_nothing_is_taken_before_it_is_written_and_nothing_copied_until_it_must_be():
    array = ChunkedArray(10**6, (1000,), np.float64, chunk_bytes=80_000)
    array.put(np.arange(5), np.ones((5, 1000)))
    assert array.row_bytes == 8000
    (first,) = array.state_dict(5).values()
    array.put(np.arange(5, 8), np.ones((3, 1000)))
    (second,) = array.state_dict(5).values()
    assert np.shares_memory(first, second), "rows after those that were handed out are written in place"
    array.put(np.array([0]), np.zeros((1, 1000)))
    (third,) = array.state_dict(5).values()
    assert not np.shares_memory(first, third)
    assert not third.flags.writeable


@pytest.mark.parametrize(
    ("capacity", "shape", "dtype", "num_rows"),
    [(8, (2,), np.uint8, 5), (8, (3,), np.uint8, 4), (8, (3,), np.float32, 5), (8, (3,), np.uint8, 6)],
)
def test_a_state_of_another_array_is_named(capacity, shape, dtype, num_rows):
    array = ChunkedArray(8, (3,), np.uint8, chunk_bytes=9)
    array.put(np.arange(8), np.zeros((8, 3), np.uint8))
    state = array.state_dict(5)
    array.check_state(state, 5)
    with pytest.raises(StateMismatchError, match="The saved replay does not fit: its observations come in pieces"):
        ChunkedArray(capacity, shape, dtype, chunk_bytes=9).check_state(state, num_rows)


GIB = 2**30


@pytest.mark.parametrize("free_bytes", [None, 3 * GIB])
def test_what_fits_or_cannot_be_told_passes(monkeypatch, free_bytes):
    monkeypatch.setattr(memory, "available_memory_bytes", lambda: free_bytes)
    memory.require_memory(3 * GIB, 1000)


def test_what_does_not_fit_is_refused_with_a_size_that_would(monkeypatch):
    monkeypatch.setattr(memory, "available_memory_bytes", lambda: 3 * GIB)
    message = r"buffer_size=1000 would take 6.0 GiB, but 3.0 GiB of memory are free. .* for example buffer_size=400\."
    with pytest.raises(InvalidArgumentError, match=message):
        memory.require_memory(6 * GIB, 1000)


@pytest.mark.parametrize(
    ("text", "expected"), [("MemTotal: 9 kB\nMemAvailable:   2048 kB\n", 2048 * 1024), ("MemTotal: 9 kB\n", 600)]
)
def test_the_kernel_is_asked_and_else_all_there_is(monkeypatch, text, expected):
    monkeypatch.setattr(builtins, "open", lambda *_, **__: io.StringIO(text))
    monkeypatch.setattr(memory.os, "sysconf", {"SC_PHYS_PAGES": 6, "SC_PAGE_SIZE": 100}.__getitem__)
    assert memory.available_memory_bytes() == expected


def test_where_nothing_tells_it_is_not_known(monkeypatch):
    def refuse(*_, **__):
        raise OSError

    monkeypatch.setattr(builtins, "open", refuse)
    monkeypatch.setattr(memory.os, "sysconf", refuse)
    assert memory.available_memory_bytes() is None


def test_here_it_is_some():
    assert memory.available_memory_bytes() > 2**20
