"""Videos of greedy episodes, by Gymnasium's recorder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium as gym

from tensor_optix.core.loop.result_file import read_environment_state
from tensor_optix.core.protocols import EnvSource
from tensor_optix.core.run_result import RunResult
from tensor_optix.core.run_view import RunView
from tensor_optix.exceptions import InvalidArgumentError
from tensor_optix.pipeline.evaluation import EvaluationEnv
from tensor_optix.pipeline.stepping.env_guard import open_env
from tensor_optix.reporting.shared.extras import required
from tensor_optix.reporting.shared.regular_play import RegularPlay, asked_masks
from tensor_optix.reporting.shared.run_files import checked_place, place_of

VIDEO_FOLDER = "videos"
"""Its name in the run's folder."""


class VideoCallback(RegularPlay):
    """Films greedy episodes at regular steps, and the champion at the end, into MP4 files.

    Args:
        env: An id, an ``EnvironmentName``, or a callable that makes an environment with ``render_mode="rgb_array"``.
            None: another one like that of training, where its name says how to make it.
        every_env_steps: Env steps of training from one video to the next.
        num_episodes: Episodes of each time, a file each.
        seed: Source of the episodes' seeds.
        folder: Where to write; default: ``videos`` in the run's folder.

    Raises:
        MissingExtraError: What writes videos is not installed (``pip install "tensor-optix[video]"``).
        InvalidTypeError: An argument is of the wrong type.
        InvalidArgumentError: A number is out of range.
        UnknownEnvironmentError: No environment is registered under the id.
        CheckpointError: The folder cannot be written to.
    """

    def __init__(
        self,
        env: EnvSource | str | None = None,
        *,
        every_env_steps: int = 50_000,
        num_episodes: int = 1,
        seed: int = 0,
        folder: str | os.PathLike[str] | None = None,
    ) -> None:
        required("moviepy", "video", "VideoCallback")
        super().__init__(env, every_env_steps, num_episodes, seed)
        self._folder_given = checked_place(folder)
        self._folder = Path(VIDEO_FOLDER)
        self._source: Any = None

    def begin(self, run: RunView) -> None:
        """Find out where to write."""
        self._folder = place_of(self._folder_given, run, VIDEO_FOLDER)
        self._source = self.source(run, render_mode="rgb_array")

    def play(self, run: RunView, env_steps: int) -> None:
        """Film the policy as it is now."""
        self._film(run, f"steps-{env_steps:010d}", run.environment_state)

    def on_run_end(self, result: RunResult) -> None:
        """Film the champion, which the agent holds by now."""
        if self._run is not None and result.champion is not None:
            gathered = {} if result.run_dir is None else read_environment_state(Path(result.run_dir))
            self._trying(self._film, self._run, "champion", gathered)

    def _film(self, run: RunView, name: str, gathered: Mapping[str, Any]) -> None:
        with EvaluationEnv(lambda: self._filmed(name), gathered=lambda: gathered, action_mask=asked_masks(run)) as env:
            self.play_in(env, run)

    def _filmed(self, name: str) -> gym.Env[Any, Any]:
        env, _ = open_env(self._source)
        if getattr(env, "render_mode", None) not in ("rgb_array", "rgb_array_list") or not isinstance(env, gym.Env):
            raise InvalidArgumentError(
                f'A video needs one environment with render_mode="rgb_array". Received: {env} with '
                f"render_mode={getattr(env, 'render_mode', None)!r}"
            )
        return gym.wrappers.RecordVideo(
            env, str(self._folder), episode_trigger=lambda number: True, name_prefix=name, disable_logger=True
        )
