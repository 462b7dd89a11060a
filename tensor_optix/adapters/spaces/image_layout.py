"""Which observations are images, and where their rows, columns and channels are.

A Box is an image if its bounds *and* its shape say so:

- Its values are pixels: bounds of 0 and 255 everywhere, or 0 and 1 everywhere in a dtype of floats.
- Its shape is ``[H, W]``, ``[H, W, C]`` or ``[C, H, W]``, or one of these behind a stack of frames as
  ``gymnasium.wrappers.FrameStackObservation`` makes it: ``[S, H, W]``, ``[S, H, W, C]``, ``[S, C, H, W]``.
- It is as large as a picture: at least 16 by 16, or as uint8 with 1, 3 or 4 channels at least 5 by 8.
  ``[H, W]`` must be uint8: a matrix of floats is a matrix.

Everything else is numbers, whatever its dtype: a board ``Box(0, 2, (6, 7), uint8)`` is treated as the
same board in float32. Where that is wrong for an environment, its declared bounds are: correct them with
``gymnasium.wrappers.TransformObservation``, or give the agent a model of your own, which gets what it asks for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

CHANNELS = (1, 3, 4)
"""Grey, colour, colour with transparency."""

MAX_FRAMES = 64
"""Most frames or channels behind each other in a thin axis."""

PICTURE_SIDES = (16, 16)
"""Least shorter and longer side, in pixels."""

CHANNELLED_SIDES = (5, 8)
"""The same of uint8 with an axis of channels, which says enough."""


@dataclass(frozen=True)
class ImageLayout:
    """How an image is brought to ``[H, W, C]`` with values in 0..1; frames of a stack become channels.

    Attributes:
        axes: The axes of the observation in the order rows, columns, channels.
        shape: ``(H, W, C)``.
        scale: What values are multiplied by.
    """

    axes: tuple[int, ...]
    shape: tuple[int, int, int]
    scale: float


def image_layout(space: Any) -> ImageLayout | None:
    """Return the layout of a space of images, see the module's docstring; None for any other."""
    if not isinstance(space, gym.spaces.Box) or len(space.shape) not in (2, 3, 4) or 0 in space.shape:
        return None
    scale = _scale(space)
    if scale is None or (len(space.shape) == 2 and space.dtype != np.uint8):
        return None
    for rows, columns, *channels in _candidates(space.shape):
        sizes = [space.shape[axis] for axis in channels]
        has_channels = space.dtype == np.uint8 and any(size in CHANNELS for size in sizes)
        least = CHANNELLED_SIDES if has_channels else PICTURE_SIDES
        sides = sorted((space.shape[rows], space.shape[columns]))
        if sides[0] >= least[0] and sides[1] >= least[1]:
            shape = (space.shape[rows], space.shape[columns], math.prod(sizes))
            return ImageLayout((rows, columns, *channels), shape, scale)
    return None


def is_image(space: Any) -> bool:
    """Tell whether observations of ``space`` are images, or stacks of them."""
    return image_layout(space) is not None


def _scale(space: Any) -> float | None:
    """Return what brings pixels to 0..1; None where the bounds are not those of pixels."""
    if (space.low != 0).any():
        return None
    if (space.high == 255).all():
        return 1.0 / 255.0
    return 1.0 if space.dtype.kind == "f" and (space.high == 1).all() else None


def _candidates(shape: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Yield in which axes rows, columns and channels may be, the likeliest first."""
    if len(shape) == 2:
        yield 0, 1
    elif len(shape) == 3:
        yield from _thin_axis_last_or_first(shape)
    elif shape[0] <= MAX_FRAMES:
        for rows, columns, channel in _thin_axis_last_or_first(shape[1:]):
            yield rows + 1, columns + 1, 0, channel + 1


def _thin_axis_last_or_first(shape: tuple[int, ...]) -> Iterator[tuple[int, int, int]]:
    last, first = (0, 1, 2), (1, 2, 0)
    for is_thin in (_is_of_channels, _is_of_frames):
        for order in (last, first):
            rows, columns, channel = (shape[axis] for axis in order)
            if is_thin(channel, min(rows, columns)):
                yield order


def _is_of_channels(size: int, shorter_side: int) -> bool:
    return size in CHANNELS and size < shorter_side


def _is_of_frames(size: int, shorter_side: int) -> bool:
    return size <= MAX_FRAMES and size < shorter_side
