import keras
import numpy as np
import pytest
from gymnasium import spaces

from tensor_optix.adapters.tensorflow.actions.box import has_bounds, is_box_of_floats
from tensor_optix.adapters.tensorflow.actions.clipped_gaussian import GaussianSampler


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_exported_actions_stay_inside_bounds_of_more_digits(dtype):
    bound = dtype(0.1) if dtype != np.float64 else np.nextafter(np.float64(np.float32(0.1)), 0.0)
    space = spaces.Box(np.full(2, -bound, dtype), np.full(2, bound, dtype), dtype=dtype)
    sampler = GaussianSampler.for_space(space)
    exported = sampler.greedy_layer(keras.ops.convert_to_tensor(np.float32([[9.0, -9.0], [0.5, -0.5]]))).numpy()
    assert (np.abs(exported.astype(np.float64)) <= np.float64(bound)).all()
    np.testing.assert_allclose(exported, sampler.greedy(np.float32([[9.0, -9.0], [0.5, -0.5]])), rtol=1e-3)


def test_only_boxes_of_floats_are_boxes_of_floats():
    assert is_box_of_floats(spaces.Box(-1, 1, (2,), np.float16))
    assert not is_box_of_floats(spaces.Box(0, 9, (2,), np.int64))
    assert not is_box_of_floats(spaces.Discrete(2))


INF = np.inf


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize(
    ("low", "high", "centre", "unit"),
    [
        (5.0, INF, 6.0, 1.0),
        (-INF, -5.0, -6.0, 1.0),
        (0.0, INF, 1.0, 1.0),
        (-0.5, INF, 0.5, 1.0),
        (-100.0, INF, 0.0, 1.0),
        (-INF, INF, 0.0, 1.0),
        (1000.0, INF, 1100.0, 100.0),
        (-INF, -1000.0, -1100.0, 100.0),
        (2.0, 3.0, 2.5, 0.5),
        (7.0, 7.0, 7.0, 0.0),
        (0.0, 0.0, 0.0, 0.0),
    ],
)
def test_unit_0_lies_inside_and_a_unit_is_of_the_size_of_what_is_near(dtype, low, high, centre, unit):
    sampler = GaussianSampler.for_space(spaces.Box(np.array([low], dtype), np.array([high], dtype), dtype=dtype))
    assert (sampler.centre.item(), sampler.half_range.item()) == pytest.approx((centre, unit))
    noise = sampler.draw_noise(np.random.default_rng(0), 2000)
    drawn = sampler.sample(np.zeros((2000, 1), np.float32), noise).astype(np.float64)
    inside = (drawn > low) & (drawn < high)
    if unit:
        assert inside.mean() > 0.85
        assert drawn.std() == pytest.approx(0.6 * unit, rel=0.15)
    else:
        assert (drawn == low).all()


@pytest.mark.parametrize(
    ("low", "high", "dtype"),
    [
        (-1e38, 1e38, np.float32),
        (np.finfo(np.float32).min, np.finfo(np.float32).max, np.float32),
        (np.finfo(np.float64).min, np.finfo(np.float64).max, np.float64),
        (np.finfo(np.float16).min, np.finfo(np.float16).max, np.float16),
        (-1e9, 1e9, np.float64),
        (-INF, 1e38, np.float32),
    ],
)
def test_bounds_that_tell_no_scale_are_as_none(low, high, dtype):
    space = spaces.Box(low, high, (2, 3), dtype)
    sampler = GaussianSampler.for_space(space)
    assert not sampler.centre.any()
    assert (sampler.half_range == 1.0).all()
    with np.errstate(over="ignore"):
        actions = sampler.sample(np.float32([np.zeros(6), np.full(6, 3.0)]), np.zeros((2, 6), np.float32))
    np.testing.assert_array_equal(actions, np.stack([np.zeros((2, 3)), np.full((2, 3), 3.0)]).astype(dtype))
    np.testing.assert_allclose(sampler.encode(actions), [np.zeros(6), np.full(6, 3.0)])


def test_between_bounds_that_are_both_far_from_0_actions_stay_within():
    sampler = GaussianSampler.for_space(spaces.Box(1e38, 2e38, (1,)))
    actions = sampler.sample(np.zeros((500, 1), np.float32), sampler.draw_noise(np.random.default_rng(0), 500))
    assert ((actions >= np.float32(1e38)) & (actions <= np.float32(2e38))).all()
    assert len(np.unique(actions)) > 400


def test_what_is_sampled_exported_and_encoded_agrees_where_bounds_are_of_all_kinds():
    low, high = np.float32([5, -INF, -INF, -2, 7, -1e38]), np.float32([INF, 3, INF, 4, 7, 1e38])
    sampler = GaussianSampler.for_space(spaces.Box(low, high))
    outputs = np.random.default_rng(0).normal(scale=2.0, size=(50, 6)).astype(np.float32)
    actions = sampler.greedy(outputs)
    np.testing.assert_allclose(
        sampler.greedy_layer(keras.ops.convert_to_tensor(outputs)), actions, rtol=1e-5, atol=1e-6
    )
    expected = np.clip(outputs, [-1, -INF, -INF, -1, 0, -INF], [INF, 3, INF, 1, 0, INF])
    np.testing.assert_allclose(sampler.encode(actions), expected, rtol=1e-4, atol=1e-5)


def test_which_bounds_tell_a_scale():
    low, high = np.float32([5, -INF, -1e38, -2, 7]), np.float32([INF, 3, 1e38, 4, 7])
    has_low, has_high = has_bounds(spaces.Box(low, high))
    assert has_low.tolist() == [True, False, False, True, True]
    assert has_high.tolist() == [False, True, False, True, True]
