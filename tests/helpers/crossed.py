"""Cross products of parameters, half of which the fast suite leaves out."""

import itertools

import pytest


def crossed(*axes):
    """Return all combinations, every other one marked slow: each value is tried each time, of three axes each pair."""
    combined = itertools.product(*map(enumerate, axes))
    return [
        pytest.param(*(value for _, value in one), marks=pytest.mark.slow if sum(i for i, _ in one) % 2 else ())
        for one in combined
    ]
