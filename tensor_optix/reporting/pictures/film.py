"""A short film of one episode, as an animated GIF that any browser shows."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

from tensor_optix.core.protocols import CanAct
from tensor_optix.exceptions import EnvironmentFailureError, MissingExtraError
from tensor_optix.pipeline.evaluation import evaluate

MOST_FRAMES = 120
MOST_SECONDS = 12.0
MOST_BYTES = 1_500_000
WIDTH = 320
"""Of a film: short enough to be watched, small enough to be sent."""

_COLOURS = 64
_USUAL_FPS = 30.0


@dataclass(frozen=True)
class Film:
    """A film of one greedy episode.

    Attributes:
        gif: The file.
        caption: What is seen: steps, return, and how fast it is shown.
    """

    gif: bytes
    caption: str


def film_of(agent: CanAct, env: Any, *, seed: int = 0) -> Film:
    """Play one greedy episode and film it.

    Args:
        agent: Who plays.
        env: One environment made with ``render_mode="rgb_array"``; it stays open.
        seed: Of the episode.

    Raises:
        EnvironmentFailureError: It draws no pictures, or fails while it plays.
        MissingExtraError: Pillow is not installed, which comes with Matplotlib, or what the environment draws with.
    """
    image_class = _pillow()
    if getattr(env, "render_mode", None) != "rgb_array":
        raise EnvironmentFailureError(
            f'A film needs an environment made with render_mode="rgb_array". Received: {env}, which has '
            f"render_mode={getattr(env, 'render_mode', None)!r}."
        )
    keeper = _FrameKeeper(env)
    try:
        played = evaluate(agent, keeper, 1, seed=seed)
    except gym.error.DependencyNotInstalled as error:
        raise MissingExtraError(f"Filming needs more: {error}.") from error
    frames = [image_class.fromarray(frame) for frame in keeper.frames]
    if not frames:
        raise EnvironmentFailureError(f"{env} drew no pictures of the episode.")
    fps = float(env.metadata.get("render_fps") or _USUAL_FPS)
    milliseconds = min(1000.0 * keeper.every / fps, 1000.0 * MOST_SECONDS / len(frames))
    gif, num_shown = _small_gif(frames, milliseconds)
    speed = 1000.0 * keeper.every / fps / milliseconds
    shown = "at its own speed" if speed < 1.05 else f"{speed:.3g} times as fast as it is"
    told = f"{int(played.lengths[0]):,} steps, return {played.mean:,.2f}"
    return Film(gif, f"One greedy episode of the champion: {told}; {num_shown} pictures, {shown}.")


class _FrameKeeper(gym.Wrapper):  # type: ignore[misc]
    """Keeps pictures of an episode, evenly spaced, and never more than there is room for."""

    def __init__(self, env: Any) -> None:
        super().__init__(env)
        self.frames: list[np.ndarray] = []
        self.every = 1
        self._num_seen = 0

    def reset(self, **arguments: Any) -> Any:
        first = self.env.reset(**arguments)
        self.frames, self.every, self._num_seen = [], 1, 0
        self._look()
        return first

    def step(self, action: Any) -> Any:
        outcome = self.env.step(action)
        self._look()
        return outcome

    def _look(self) -> None:
        if self._num_seen % self.every == 0:
            frame = self.env.render()
            if isinstance(frame, np.ndarray) and frame.ndim == 3:
                self.frames.append(_shrunk(frame))
        self._num_seen += 1
        if len(self.frames) > MOST_FRAMES:
            self.frames, self.every = self.frames[::2], 2 * self.every


def _shrunk(frame: np.ndarray) -> np.ndarray:
    """Return a picture no wider than a film is: large ones are not kept."""
    image = _pillow().fromarray(frame.astype(np.uint8))
    if image.width > WIDTH:
        image = image.resize((WIDTH, max(1, round(image.height * WIDTH / image.width))))
    return np.asarray(image.convert("RGB"))


def _small_gif(frames: list[Any], milliseconds: float) -> tuple[bytes, int]:
    """Return a GIF, of every second, fourth, ... picture where all of them are too large, and how many it shows."""
    every = 1
    while True:
        shown = [frame.quantize(_COLOURS) for frame in frames[::every]]
        file = io.BytesIO()
        duration = max(20, round(milliseconds * every))
        shown[0].save(file, "GIF", save_all=True, append_images=shown[1:], duration=duration, loop=0, optimize=True)
        if file.tell() <= MOST_BYTES or len(shown) <= 2:
            return file.getvalue(), len(shown)
        every *= 2


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtraError("Films need Pillow, which comes with Matplotlib: pip install matplotlib.") from error
    return Image
