"""The history of a run as the loop writes it."""

import math

import pytest
from loop_fakes import make_loop


def test_the_history_has_one_entry_a_window(tmp_path):
    loop, _ = make_loop(tmp_path, [1.0, math.nan, 3.0])
    history = loop.run().history
    assert history["score"] == [1.0, None, 3.0]
    assert history["window"] == [0, 1, 2]
    assert history["loss"] == [1.0, 0.5, pytest.approx(1 / 3)]
    assert history["state"] == ["active"] * 3
