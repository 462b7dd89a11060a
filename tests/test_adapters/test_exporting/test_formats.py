import keras
import numpy as np
import pytest

from tensor_optix.adapters.tensorflow.exporting.formats import FORMATS

TWO = {"left": keras.Input((2,), name="left"), "right": keras.Input((2,), name="right")}


@pytest.mark.parametrize("name", ["saved_model", "keras"])
def test_several_inputs_come_in_the_models_order(name, tmp_path):
    model = keras.Model(TWO, 2.0 * TWO["left"] - TWO["right"])
    kind = FORMATS[name]
    kind.write(model, tmp_path / f"x{kind.suffix}")
    run = kind.open(tmp_path / f"x{kind.suffix}", model)
    left, right = np.ones((3, 2), np.float32), np.full((3, 2), 5.0, np.float32)
    np.testing.assert_array_equal(run([left, right])[0], np.full((3, 2), -3.0))


def test_keras_files_of_keras_alone_need_nothing_else(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2), keras.layers.BatchNormalization()])
    FORMATS["keras"].write(model, tmp_path / "x.keras")
    assert FORMATS["keras"].needs(tmp_path / "x.keras") == ()


def test_formats_are_told_apart_by_their_names():
    suffixes = [kind.suffix for kind in FORMATS.values()]
    assert len(set(suffixes)) == len(suffixes)
