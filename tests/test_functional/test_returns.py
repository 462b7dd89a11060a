import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tensor_optix.exceptions import InvalidArgumentError
from tensor_optix.functional.returns import (
    discounted_returns,
    discounted_sums,
    generalized_advantages,
    lambda_returns,
)


def brute_force_advantages(rewards, discounts, continues, values, next_values, lambda_):
    """The definition, one sum per step: no recursion shared with the code under test."""
    advantages = []
    for start in range(len(rewards)):
        total, weight = 0.0, 1.0
        for t in range(start, len(rewards)):
            total += weight * (rewards[t] + discounts[t] * next_values[t] - values[t])
            if not continues[t]:
                break
            weight *= discounts[t] * lambda_
        advantages.append(total)
    return np.array(advantages)


@st.composite
def streams(draw):
    length = draw(st.integers(1, 12))
    numbers = st.lists(st.floats(-10, 10), min_size=length, max_size=length)
    flags = st.lists(st.booleans(), min_size=length, max_size=length)
    terminated, truncated = np.array(draw(flags)), np.array(draw(flags))
    gamma = draw(st.floats(0, 1))
    return {
        "rewards": np.array(draw(numbers)),
        "discounts": gamma * ~terminated,
        "continues": ~(terminated | truncated),
        "values": np.array(draw(numbers)),
        "next_values": np.array(draw(numbers)),
        "lambda_": draw(st.floats(0, 1)),
    }


@given(streams())
def test_advantages_are_the_sum_of_their_definition(stream):
    np.testing.assert_allclose(generalized_advantages(**stream), brute_force_advantages(**stream), rtol=1e-9, atol=1e-9)


@given(streams())
def test_lambda_returns_are_advantages_above_the_values(stream):
    """Only where next_values agree with the values of the row they point to is that an identity."""
    stream["next_values"] = np.append(stream["values"][1:], stream["next_values"][-1])
    targets = lambda_returns(**{k: v for k, v in stream.items() if k != "values"})
    np.testing.assert_allclose(targets, generalized_advantages(**stream) + stream["values"], rtol=1e-9, atol=1e-7)


@given(streams())
def test_streams_side_by_side_do_not_touch(stream):
    lambda_ = stream.pop("lambda_")
    reversed_stream = {name: array[::-1].copy() for name, array in stream.items()}
    both = {name: np.stack([stream[name], reversed_stream[name]], axis=1) for name in stream}
    together = generalized_advantages(**both, lambda_=lambda_)
    np.testing.assert_allclose(together[:, 0], generalized_advantages(**stream, lambda_=lambda_), atol=1e-12)
    np.testing.assert_allclose(together[:, 1], generalized_advantages(**reversed_stream, lambda_=lambda_), atol=1e-12)


def test_returns_by_hand():
    # Two steps to a termination, then one step that is truncated into a state worth 10.
    returns = discounted_returns(
        rewards=[1.0, 2.0, 3.0], discounts=[0.5, 0.0, 0.5], continues=[1, 0, 0], next_values=[7.0, 7.0, 10.0]
    )
    np.testing.assert_allclose(returns, [1.0 + 0.5 * 2.0, 2.0, 3.0 + 0.5 * 10.0])


def test_the_end_of_a_window_bootstraps():
    returns = discounted_returns([1.0, 1.0], [0.9, 0.9], [1, 1], [0.0, 100.0])
    np.testing.assert_allclose(returns, [1.0 + 0.9 * 91.0, 91.0])


def test_lambda_zero_is_the_one_step_error():
    advantages = generalized_advantages([1.0, 2.0], [0.5, 0.5], [1, 0], [3.0, 4.0], [4.0, 6.0], 0.0)
    np.testing.assert_allclose(advantages, [1.0 + 2.0 - 3.0, 2.0 + 3.0 - 4.0])


def test_advantages_by_hand():
    # delta = [1 + 0.5*4 - 3, 2 + 0 - 4] = [0, -2]; A = [0 + 0.5*0.5*-2, -2]
    advantages = generalized_advantages([1.0, 2.0], [0.5, 0.0], [1, 0], [3.0, 4.0], [4.0, 9.0], 0.5)
    np.testing.assert_allclose(advantages, [-0.5, -2.0])


def test_sums_start_from_what_comes_after():
    np.testing.assert_allclose(discounted_sums([1.0, 1.0], [0.5, 0.5], last=4.0), [2.5, 3.0])
    np.testing.assert_allclose(discounted_sums([[1.0, 0.0]], [[0.5, 0.5]], last=[4.0, 8.0]), [[3.0, 4.0]])


def test_an_empty_window_has_no_returns():
    assert discounted_returns([], [], [], []).shape == (0,)


def test_lengths_must_agree():
    with pytest.raises(InvalidArgumentError, match=r"one shape. Received: \(2,\) and \(3,\)"):
        discounted_sums([1.0, 2.0], [1.0, 2.0, 3.0])
