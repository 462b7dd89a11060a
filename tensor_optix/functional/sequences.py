"""Windows cut into sequences, for policies that remember: where states begin anew, and which rows belong together."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def episode_starts(ended: npt.NDArray[np.bool_], only_resets: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return where a window's rows begin an episode, ``[T, N]`` bool; the first row goes on from what is recorded.

    ``first_t = ended_{t-1} or only_resets_{t-1}``: the row after an end, and the row after one that only reset.

    Args:
        ended: Terminated or truncated, ``[T, N]``.
        only_resets: Rows whose step only reset the environment, ``[T, N]``.
    """
    first = np.zeros(ended.shape, np.bool_)
    first[1:] = ended[:-1] | only_resets[:-1]
    return first


def in_sequences(window: npt.NDArray[Any], length: int) -> npt.NDArray[Any]:
    """Cut ``[T, N, ...]`` into sequences of ``length`` steps, ``[length, S, ...]`` with ``S = ceil(T / length) * N``.

    Sequence ``k * N + n`` holds the steps from ``k * length`` on of environment ``n``; behind the end of the window
    it is filled with zeros.

    Args:
        window: One number, or array, for each step.
        length: Steps of a sequence.
    """
    num_steps, num_envs, *rest = window.shape
    num_pieces = -(-num_steps // length)
    padded = np.zeros((num_pieces * length, num_envs, *rest), window.dtype)
    padded[:num_steps] = window
    pieces = padded.reshape(num_pieces, length, num_envs, *rest)
    return np.moveaxis(pieces, 1, 0).reshape(length, num_pieces * num_envs, *rest)
