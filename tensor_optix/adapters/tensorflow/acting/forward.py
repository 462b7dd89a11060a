"""What every compiled forward pass offers."""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from tensor_optix.exceptions import NotBoundError

Outputs = np.ndarray | tuple[np.ndarray, ...]
"""One float32 array, or for a model of several outputs one each, in Keras's flat order."""


class Forward(ABC):
    """A model's forward pass at inference (``training=False``), ready for acting.

    Observations are arrays, or dicts or tuples of arrays for models of several inputs. Results are
    new arrays each time. All methods may be called from any thread.

    Attributes:
        kind: "numpy", or "traced" for one TensorFlow function.
    """

    kind: str

    @abstractmethod
    def __call__(self, observations: Any) -> Outputs:
        """Return the outputs ``[B, K]`` for a batch of observations ``[B, ...]``.

        Raises:
            IncompatibleModelError: The observations do not have the shapes that the model takes.
        """

    @abstractmethod
    def one(self, observation: Any) -> Outputs:
        """Return the outputs ``[K]`` for one observation, with as little overhead as possible.

        Raises:
            IncompatibleModelError: The observation does not have the shape that the model takes.
        """

    @abstractmethod
    def refresh(self) -> None:
        """Take over the model's current weights and statistics: call it after every change of them.

        Raises:
            NotBoundError: This is a snapshot, which never changes.
        """

    @abstractmethod
    def snapshot(self) -> "Forward":
        """Return a frozen copy on weights of its own, for use while the model trains on."""


def frozen_error() -> NotBoundError:
    """Return the error for a snapshot that is asked to refresh."""
    return NotBoundError(
        "A snapshot of a forward pass is frozen and has no model to refresh from. "
        "Refresh the forward pass it was taken from, and take a new snapshot."
    )
