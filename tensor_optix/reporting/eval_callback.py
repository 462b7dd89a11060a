"""Regular evaluation, as Stable-Baselines3's ``EvalCallback`` keeps it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from tensor_optix.core.protocols import EnvSource
from tensor_optix.core.run_view import RunView
from tensor_optix.core.storage.atomic_files import replacing
from tensor_optix.pipeline.evaluation import EvaluationEnv
from tensor_optix.reporting.shared.regular_play import RegularPlay, asked_masks
from tensor_optix.reporting.shared.run_files import checked_place, place_of

EVALUATIONS_FILE = "evaluations.npz"
"""Its name in the run's folder: that of Stable-Baselines3 and its zoo."""

_ARRAYS = ("timesteps", "results", "ep_lengths", "env_steps")


class EvalCallback(RegularPlay):
    """Plays greedy episodes at regular steps and keeps returns and lengths in ``evaluations.npz``.

    The file has ``timesteps`` ``[k]``, ``results`` and ``ep_lengths`` ``[k, num_episodes]``, as Stable-Baselines3's,
    and in ``env_steps`` ``[k]`` what the playing cost, which is no part of the run's count. Loggers write
    ``eval/mean_reward``, ``eval/mean_ep_length`` and ``eval/std_reward``. The loop does not look at any of it: which
    policy is champion is decided by episodes of its own.

    Args:
        env: Where to play: an id, an ``EnvironmentName``, an environment, or a callable that makes one. None: another
            one like that of training, where its name says how to make it.
        every_env_steps: Env steps of training from one evaluation to the next.
        num_episodes: Episodes of each; the same ones each time.
        seed: Source of the episodes' seeds.
        path: File to write; default: ``evaluations.npz`` in the run's folder.

    Raises:
        InvalidTypeError: An argument is of the wrong type.
        InvalidArgumentError: A number is out of range.
        UnknownEnvironmentError: No environment is registered under the id.
        CheckpointError: The file's folder cannot be written to.

    Example:
        >>> callbacks = [EvalCallback("CartPole-v1", every_env_steps=5_000, num_episodes=20)]
    """

    def __init__(
        self,
        env: EnvSource | str | None = None,
        *,
        every_env_steps: int = 10_000,
        num_episodes: int = 10,
        seed: int = 0,
        path: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__(env, every_env_steps, num_episodes, seed)
        self._file_given = checked_place(path)
        self._path = Path(EVALUATIONS_FILE)
        self._env: EvaluationEnv | None = None
        self.evaluations: dict[str, Any] = {name: [] for name in _ARRAYS}

    def begin(self, run: RunView) -> None:
        """Open the environment, and go on behind the evaluations so far."""
        self._path = place_of(self._file_given, run, EVALUATIONS_FILE)
        self.evaluations = {name: [] for name in _ARRAYS}
        if run.windows and self._path.exists():
            self._take_over(run.env_steps["training"])
        self.env_steps = int(sum(self.evaluations["env_steps"]))
        self._env = EvaluationEnv(
            self.source(run), gathered=lambda: run.environment_state, action_mask=asked_masks(run)
        )
        self._env.__enter__()

    def play(self, run: RunView, env_steps: int) -> None:
        """Evaluate, keep the result, and publish it."""
        if self._env is None:
            return
        result = self.play_in(self._env, run)
        row = {"timesteps": env_steps, "results": result.returns, "ep_lengths": result.lengths}
        for name, value in {**row, "env_steps": result.env_steps}.items():
            self.evaluations[name].append(value)
        self._save()
        spread, length = float(np.std(result.returns)), float(np.mean(result.lengths))
        run.publish(**{"eval/mean_reward": result.mean, "eval/std_reward": spread, "eval/mean_ep_length": length})

    def close(self) -> None:
        """Close the environment, if it was made here."""
        if self._env is not None:
            env, self._env = self._env, None
            env.close()

    def _save(self) -> None:
        with replacing(self._path, flush=False) as (partial,), partial.open("wb") as file:
            arrays: dict[str, Any] = {name: np.array(values) for name, values in self.evaluations.items()}
            np.savez(file, **arrays)

    def _take_over(self, env_steps: int) -> None:
        with np.load(self._path, allow_pickle=False) as kept:
            arrays = {name: kept[name] for name in _ARRAYS}
        is_before = arrays["timesteps"] <= env_steps
        fits = arrays["results"].shape[1:] == (self._num_episodes,)
        if fits:
            self.evaluations = {name: list(array[is_before]) for name, array in arrays.items()}
