"""What the suites call the same."""

import numpy as np
import pytest

from tensor_optix.testing.checking import check, is_same

NAN = float("nan")


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ({"a": [1.0, NAN]}, {"a": [1.0, NAN]}, True),
        ({"a": (np.zeros(2), "x")}, {"a": (np.zeros(2), "x")}, True),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, False),
        ({"a": 1}, [1], False),
        ([1, 2], [1, 2, 3], False),
        (0.0, -0.0, False),
        (np.float32(1.0), np.float64(1.0), False),
        (np.zeros((2, 1)), np.zeros((1, 2)), False),
    ],
)
def test_equal_to_the_last_bit(first, second, expected):
    assert is_same(first, second) is expected
    assert is_same(second, first) is expected


def test_what_is_not_so_is_said():
    check(True, "said")
    with pytest.raises(AssertionError, match=r"^said$"):
        check(False, "said")
