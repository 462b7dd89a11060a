import keras
import numpy as np
import pytest
from gymnasium import spaces

from tensor_optix.adapters.tensorflow.actions.box import is_box_of_floats
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
