import keras
import pytest

from tensor_optix.adapters.tensorflow.exporting.formats import ExportFormat
from tensor_optix.adapters.tensorflow.exporting.misfits import written_and_read
from tensor_optix.exceptions import CheckpointError, ExportError


class NoTanh(ExportFormat):
    """Holds anything but one activation, and notices it only when it is read."""

    suffix = ".no"

    def write(self, model, path):
        path.write_text(model.to_json())

    def open(self, path, model):
        if '"tanh"' in path.read_text():
            raise RuntimeError("what is tanh?")
        return lambda parts: parts[0]


def model_with(*activations):
    layers = [keras.layers.Dense(2, a, name=f"layer_{i}") for i, a in enumerate(activations)]
    inner = keras.Sequential([keras.Input((2,)), *layers], name="inner")
    x = keras.Input((2,))
    return keras.Model(x, keras.layers.Dense(1, name="head")(inner(x)))


def test_what_can_be_held_is_read_back(tmp_path):
    assert callable(written_and_read(NoTanh(), model_with("relu"), tmp_path / "x.no", "no_tanh"))


def test_layers_that_cannot_be_held_are_named_wherever_they_are(tmp_path):
    with pytest.raises(ExportError, match="cannot hold this model") as caught:
        written_and_read(NoTanh(), model_with("tanh", "relu", "tanh"), tmp_path / "x.no", "no_tanh")
    said = str(caught.value)
    assert "What it cannot hold: 'layer_0' (Dense), 'layer_2' (Dense)." in said
    assert "what is tanh?" in said
    assert "head" not in said


class FullDisk(NoTanh):
    def write(self, model, path):
        raise OSError(28, "No space left on device")


def test_a_disk_that_is_full_is_no_fault_of_the_model(tmp_path):
    with pytest.raises(CheckpointError, match="No space left"):
        written_and_read(FullDisk(), model_with("relu"), tmp_path / "export" / "x.no", "no_tanh")
