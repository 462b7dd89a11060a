"""When XLA pays on a CPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

MAX_WORK = 50_000_000
"""Largest number of weights times rows of a minibatch that is compiled."""


def pays_to_compile(variables: Sequence[Any], batch_size: int) -> bool:
    """Tell whether an update of these weights is bound by the overhead of its operations.

    XLA fuses them, which wins where each operation is small. Large products of matrices and
    convolutions take longer in its code than in TensorFlow's own.

    Args:
        variables: What the update trains.
        batch_size: Rows of a minibatch.
    """
    has_convolutions = any(len(v.shape) > 2 for v in variables)
    work = batch_size * sum(int(np.prod(v.shape)) for v in variables)
    return not has_convolutions and work <= MAX_WORK
