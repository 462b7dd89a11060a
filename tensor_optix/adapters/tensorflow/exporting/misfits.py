"""Which layers of a model a format cannot hold."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import keras

from tensor_optix.adapters.tensorflow.acting.numpy.numpy_graph import graph_of
from tensor_optix.adapters.tensorflow.exporting.formats import ExportFormat, Run
from tensor_optix.adapters.tensorflow.saving.policy_export import one_row_of_zeros
from tensor_optix.exceptions import CheckpointError, ExportError


def written_and_read(kind: ExportFormat, model: keras.Model, path: Path, format_name: str) -> Run:
    """Write a model, and return what the format's own runtime makes of it.

    Raises:
        ExportError: The format cannot hold it; its layers that are to blame are named.
        CheckpointError: Nothing can be written there.
    """
    try:
        kind.write(model, path)
        return kind.open(path, model)
    except OSError as error:
        raise CheckpointError(f"{path.parent.parent.as_posix()} cannot be written to: {error}") from error
    except Exception as error:  # converters and runtimes raise whatever they like
        blamed = [f"{layer.name!r} ({type(layer).__name__})" for layer in _misfits(kind, model, path)]
        named = f" What it cannot hold: {', '.join(blamed)}." if blamed else ""
        first_line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ExportError(
            f"The format {format_name!r} cannot hold this model.{named} Take another format, or other layers. "
            f"What was said: {first_line:.300}"
        ) from error


def _misfits(kind: ExportFormat, model: keras.Model, path: Path) -> Iterator[keras.layers.Layer]:
    """Yield the layers that cannot be written and read alone, either."""
    for layer in _leaves(model):
        place = path.with_name(f"alone{kind.suffix}")
        try:
            alone = keras.Model(layer.input, layer.output)
            alone(keras.tree.map_structure(one_row_of_zeros, alone.input))
            kind.write(alone, place)
            kind.open(place, alone)
        except Exception:
            yield layer
        finally:
            shutil.rmtree(place, ignore_errors=True)
            place.unlink(missing_ok=True)


def _leaves(model: keras.Model) -> Iterator[keras.layers.Layer]:
    for layer in model.layers:
        if isinstance(layer, keras.Model) and graph_of(layer) is not None:
            yield from _leaves(layer)
        elif not isinstance(layer, keras.layers.InputLayer):
            yield layer
