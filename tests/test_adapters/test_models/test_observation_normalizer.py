"""Running moments of observations and the spread of returns, against their definitions."""

import keras
import numpy as np
import pytest

from tensor_optix.adapters.tensorflow.acting.fast_policy import compile_forward
from tensor_optix.adapters.tensorflow.acting.model_inputs import inputs_of
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


def test_images_of_floats_have_no_moments():
    assert not normalizer_of((4, 4, 1)).is_active
