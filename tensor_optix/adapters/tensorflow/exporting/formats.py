"""Formats that a policy can be written in: a new one is a class, and a line in the table."""

from __future__ import annotations

import importlib
import importlib.util
import json
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf

from tensor_optix.exceptions import MissingExtraError

Run = Callable[[Sequence[np.ndarray]], list[np.ndarray]]
"""From one array ``[B, ...]`` for each input to one for each output, in the model's order."""


class ExportFormat(ABC):
    """How a Keras model is written in one format, and how that format's own runtime reads it.

    Attributes:
        suffix: How the name of such a file ends; "" for a folder.
        packages: What has to be installed beside TensorFlow, by module name.
        is_random: Whether a model may draw random numbers in it.
    """

    suffix: ClassVar[str]
    packages: ClassVar[tuple[str, ...]] = ()
    is_random: ClassVar[bool] = True

    @abstractmethod
    def write(self, model: keras.Model, path: Path) -> None:
        """Write the model to a path where there is nothing yet."""

    @abstractmethod
    def open(self, path: Path, model: keras.Model) -> Run:
        """Return what the runtime makes of the file that ``model`` was written to."""

    def needs(self, path: Path) -> tuple[str, ...]:
        """Return what reading a file takes beside the runtime, in phrases."""
        return ()

    def require_packages(self) -> None:
        """Raise where something is not installed.

        Raises:
            MissingExtraError: It says how to install it.
        """
        missing = [name for name in self.packages if importlib.util.find_spec(name) is None]
        if missing:
            raise MissingExtraError(
                f"Export in this format needs {', '.join(missing)}. Install: pip install 'tensor-optix[export]'."
            )


class KerasFile(ExportFormat):
    """Keras's own file, read by plain Keras. What is random in Keras is silent at inference."""

    suffix = ".keras"
    is_random = False

    def write(self, model: keras.Model, path: Path) -> None:
        """See :class:`ExportFormat`."""
        model.save(path)

    def open(self, path: Path, model: keras.Model) -> Run:
        """See :class:`ExportFormat`."""
        # Not a foreign file: it was written a moment ago, from a model in this process.
        classes = {type(layer) for layer in _layers_of(model)}
        own = {kind.__name__: kind for kind in classes if kind.__module__.split(".")[0] != "keras"}
        read = keras.models.load_model(path, custom_objects=own, compile=False, safe_mode=False)
        return lambda parts: _arrays(read(_packed(read, parts), training=False))

    def needs(self, path: Path) -> tuple[str, ...]:
        """Return the classes that Keras does not have, and the leave to run code where the model holds some."""
        with zipfile.ZipFile(path) as archive:
            classes = set(_classes_in(json.loads(archive.read("config.json"))))
        foreign = sorted(name for module, name in classes if module and module.split(".")[0] != "keras")
        needs = [f"the class{'es' * (len(foreign) > 1)} {', '.join(foreign)}"] if foreign else []
        return (*needs, "safe_mode=False") if ("keras.layers", "Lambda") in classes else tuple(needs)


class SavedModelFolder(ExportFormat):
    """TensorFlow's folder, whose ``serve`` takes observations."""

    suffix = ""

    def write(self, model: keras.Model, path: Path) -> None:
        """See :class:`ExportFormat`."""
        model.export(str(path), verbose=False)

    def open(self, path: Path, model: keras.Model) -> Run:
        """See :class:`ExportFormat`."""
        read = tf.saved_model.load(str(path))
        return lambda parts: _arrays(read.serve(_packed(model, [tf.constant(part) for part in parts])))


class OnnxFile(ExportFormat):
    """ONNX, read by onnxruntime."""

    suffix = ".onnx"
    packages = ("tf2onnx", "onnxruntime")

    def write(self, model: keras.Model, path: Path) -> None:
        """See :class:`ExportFormat`."""
        model.export(str(path), format="onnx", verbose=False)

    def open(self, path: Path, model: keras.Model) -> Run:
        """See :class:`ExportFormat`."""
        session = importlib.import_module("onnxruntime").InferenceSession(str(path))
        names = _in_order(model, [part.name for part in session.get_inputs()])
        given = _outputs_in_order(model, [part.name for part in session.get_outputs()])
        return lambda parts: list(map(np.asarray, session.run(given, dict(zip(names, parts, strict=True)))))


class TfliteFile(ExportFormat):
    """TFLite, which is LiteRT now, read by its interpreter."""

    suffix = ".tflite"
    packages = ("ai_edge_litert",)

    def write(self, model: keras.Model, path: Path) -> None:
        """See :class:`ExportFormat`."""
        model.export(str(path), format="litert", verbose=False)

    def open(self, path: Path, model: keras.Model) -> Run:
        """See :class:`ExportFormat`."""
        interpreter = importlib.import_module("ai_edge_litert.interpreter").Interpreter(str(path))
        runner = interpreter.get_signature_runner()
        names = _in_order(model, list(runner.get_input_details()))
        given = _outputs_in_order(model, list(runner.get_output_details()))

        def run(parts: Sequence[np.ndarray]) -> list[np.ndarray]:
            outputs = runner(**dict(zip(names, parts, strict=True)))
            return [np.asarray(outputs[name]) for name in given]

        return run


FORMATS: dict[str, ExportFormat] = {
    "saved_model": SavedModelFolder(),
    "onnx": OnnxFile(),
    "tflite": TfliteFile(),
    "keras": KerasFile(),
}


def _layers_of(model: keras.Model) -> Iterator[keras.layers.Layer]:
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from _layers_of(layer)


def _classes_in(config: Any) -> Iterator[tuple[str, str]]:
    """Yield module and name of every class that a saved configuration names."""
    if isinstance(config, dict):
        if isinstance(config.get("class_name"), str) and "config" in config:
            yield str(config.get("module") or config.get("registered_name") or ""), config["class_name"]
        config = list(config.values())
    if isinstance(config, list):
        for part in config:
            yield from _classes_in(part)


def _packed(model: Any, parts: Sequence[Any]) -> Any:
    return keras.tree.pack_sequence_as(model.input, list(parts))


def _in_order(model: keras.Model, names: list[str]) -> list[str]:
    """Return a file's names of the inputs in the model's order: they are the model's own, or in its order."""
    own = [part.name for part in model.inputs]
    return own if set(own) == set(names) else names


def _outputs_in_order(model: keras.Model, names: list[str]) -> list[str]:
    """Return a file's names of the outputs in the model's order: they are the model's own, or in its order."""
    own = list(model.output) if isinstance(model.output, dict) else []
    return own if set(own) == set(names) else names


def _arrays(outputs: Any) -> list[np.ndarray]:
    return [np.asarray(output) for output in keras.tree.flatten(outputs)]
