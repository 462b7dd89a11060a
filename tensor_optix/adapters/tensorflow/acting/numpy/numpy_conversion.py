"""What converting Keras layers to NumPy stands on: the shape of a converter, and how it declines."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tensor_optix.adapters.tensorflow.acting.numpy.numpy_parameters import Parameters
from tensor_optix.adapters.tensorflow.acting.numpy.numpy_program import Emit

Shape = tuple[int | None, ...]

Converter = Callable[[Any, Sequence[Shape], Parameters], Emit]
"""``convert(layer, shapes, parameters)``: takes a layer, the shapes it is called on (batch dimension
first, as None) and what collects its weights; returns what records the layer's calls, or raises
:class:`UnsupportedLayer`."""


class UnsupportedLayer(Exception):  # noqa: N818 - a signal between these modules, not an error
    """This part of a model has no NumPy form here; the model runs as a traced function."""


def row(x: np.ndarray) -> np.ndarray:
    """Return a batch of one without its batch dimension: NumPy broadcasts vectors faster."""
    return x[0] if x.ndim > 1 and len(x) == 1 else x
