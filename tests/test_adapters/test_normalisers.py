"""Running moments of observations and the spread of returns, against their definitions."""

import keras
import numpy as np
import pytest

from tensor_optix.adapters.tensorflow.acting.fast_policy import compile_forward
from tensor_optix.adapters.tensorflow.acting.model_inputs import inputs_of
from tensor_optix.adapters.tensorflow.learning.reward_scaler import RewardScaler
from tensor_optix.adapters.tensorflow.models.observation_normalizer import NormalizeObservation, ObservationNormalizer


def normalizer_of(*shapes, dtypes=None, enabled=True):
    dtypes = dtypes or ["float32"] * len(shapes)
    inputs = [keras.Input(shape, dtype=dtype) for shape, dtype in zip(shapes, dtypes, strict=True)]
    flat = [keras.layers.Flatten()(keras.layers.Rescaling(1.0)(x)) for x in inputs]
    model = keras.Model(inputs, keras.layers.Concatenate()(flat) if len(flat) > 1 else flat[0])
    return ObservationNormalizer(inputs_of(model), enabled)


def test_the_moments_are_those_of_all_rows_seen():
    rng = np.random.default_rng(0)
    batches = [rng.normal([1e4, -3.0], [5.0, 0.01], (size, 2)) for size in (1, 50, 7)]
    normalizer = normalizer_of((2,))
    for batch in batches:
        normalizer.observe([batch])
    rows = np.concatenate(batches)
    count, mean, variance = (v.numpy() for v in normalizer.variables)
    assert count == 58
    np.testing.assert_allclose(mean, rows.mean(axis=0), rtol=1e-10)
    np.testing.assert_allclose(variance, rows.var(axis=0), rtol=1e-8)
    x = rows[:5].astype(np.float32)
    expected = (x - rows.mean(axis=0)) / rows.std(axis=0)
    np.testing.assert_allclose(normalizer([x])[0], expected, atol=2e-3)


def test_images_and_indices_pass_as_they_are():
    normalizer = normalizer_of((3,), (4, 4, 1), (1,), dtypes=["float32", "uint8", "int32"])
    rng = np.random.default_rng(0)
    parts = [
        rng.normal(5, 2, (6, 3)),
        rng.integers(0, 255, (6, 4, 4, 1), np.uint8),
        rng.integers(0, 3, (6, 1), "int32"),
    ]
    parts[0] = parts[0].astype(np.float32)
    normalizer.observe(parts)
    results = normalizer(parts)
    assert abs(np.mean(results[0])) < 1e-5
    assert results[1] is parts[1]
    assert results[2] is parts[2]


def test_what_never_moved_is_not_blown_up():
    normalizer = normalizer_of((2,))
    rows = np.stack([np.full(100, 3.0) + 1e-7 * np.arange(100), np.arange(100.0)], axis=1).astype(np.float32)
    normalizer.observe([rows])
    result = np.asarray(normalizer([np.array([[3.0001, 50.0]], np.float32)])[0])
    assert result[0, 0] == 0.0
    assert abs(result[0, 1]) < 0.1


@pytest.mark.parametrize("enabled", [True, False])
def test_disabled_or_unseen_it_changes_nothing(enabled):
    normalizer = normalizer_of((2,), enabled=enabled)
    x = np.array([[1.5, -2.0]], np.float32)
    np.testing.assert_array_equal(normalizer([x])[0], x)
    assert normalizer.is_active == enabled
    assert normalizer.has_seen != enabled


def test_the_layer_is_the_same_in_numpy_and_in_a_saved_model(tmp_path):
    layer = NormalizeObservation()
    model = keras.Sequential([keras.Input((3,)), layer, keras.layers.Dense(2)])
    layer.shift.assign([1.0, -2.0, 0.5])
    layer.scale.assign([10.0, 0.1, 1000.0])
    forward = compile_forward(model)
    assert forward.kind == "numpy"
    x = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
    np.testing.assert_allclose(forward(x), model(x), rtol=1e-5, atol=1e-5)
    model.save(tmp_path / "model.keras")
    np.testing.assert_allclose(keras.saving.load_model(tmp_path / "model.keras")(x), model(x), rtol=1e-6)


def returns_so_far(rewards, ended, gamma):
    """Walk through each environment; return y_t = gamma * y_{t-1} + r_t, anew after each end."""
    result, current = np.zeros_like(rewards), np.zeros(rewards.shape[1])
    for t in range(len(rewards)):
        current = gamma * current + rewards[t]
        result[t] = current
        current = np.where(ended[t], 0.0, current)
    return result


@pytest.mark.parametrize("lengths", [(30,), (10, 1, 19)])
def test_rewards_are_in_units_of_the_spread_of_returns(lengths):
    rng = np.random.default_rng(1)
    rewards, ended = rng.normal(3.0, 2.0, (30, 2)), rng.random((30, 2)) < 0.1
    valid = np.ones((30, 2), bool)
    valid[5, 0] = False
    rewards[5, 0] = 0.0
    ended[4, 0] = True
    scaler, start = RewardScaler(), 0
    for length in lengths:
        rows = slice(start, start + length)
        scaled = scaler.scale(rewards[rows], ended[rows], valid[rows], 0.9)
        start += length
    so_far = returns_so_far(rewards, ended, 0.9)[valid]
    assert scaler.spread == pytest.approx(so_far.std())
    np.testing.assert_allclose(scaled, np.clip(rewards[rows] / so_far.std(), -10, 10))


def test_rewards_without_spread_stay_as_they_are():
    scaler = RewardScaler()
    flags = np.zeros((4, 1), bool)
    np.testing.assert_array_equal(scaler.scale(np.zeros((4, 1)), flags, ~flags, 0.99), np.zeros((4, 1)))
    assert scaler.spread == 1.0


def test_the_scaler_goes_on_from_its_state():
    rng = np.random.default_rng(1)
    windows = [(rng.normal(size=(8, 3)), rng.random((8, 3)) < 0.2, np.ones((8, 3), bool), 0.95) for _ in range(4)]
    first, second = RewardScaler(), RewardScaler()
    for window in windows[:2]:
        first.scale(*window)
    second.load_state_dict(first.state_dict())
    for window in windows[2:]:
        np.testing.assert_array_equal(first.scale(*window), second.scale(*window))


def test_another_number_of_environments_starts_anew():
    scaler = RewardScaler()
    for num_envs in (2, 3):
        flags = np.zeros((4, num_envs), bool)
        assert scaler.scale(np.ones((4, num_envs)), flags, ~flags, 0.9).shape == (4, num_envs)


def test_images_of_floats_have_no_moments():
    assert not normalizer_of((4, 4, 1)).is_active
