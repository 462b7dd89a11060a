"""What a window's row is called in logs: the keys of Stable-Baselines3, which dashboards and scripts expect."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tensor_optix.core.run_view import RunView
from tensor_optix.core.types import EpisodeData

STEP_KEY = "time/total_timesteps"
"""Env steps of training so far: what every row is drawn over."""

WINDOW_KEY = "time/iterations"
"""Windows so far."""

EPISODES_IN_MEAN = 100
"""As in Stable-Baselines3."""

_KEY_OF = {
    "kl": "train/approx_kl",
    "policy_loss": "train/policy_gradient_loss",
    "alpha": "train/ent_coef",
    "epsilon": "rollout/exploration_rate",
    "score": "run/score",
    "champion": "run/champion",
}
_NUMBERS = (int, float)
_NO_DIAGNOSTICS = {"window", "env_steps", "num_gradient_steps", "alarm"}


@dataclass(frozen=True, slots=True)
class WindowFacts:
    """What a window's row is made of, taken as the window ends; the window itself is not kept.

    Args:
        row: Of the history.
        returns: Of the episodes that ended.
        lengths: Of them.
        successes: Of them, as ``info["is_success"]`` told.
        seconds: Of the run so far.
        windows: So far.
        looks_without_gain: So far.
    """

    row: Mapping[str, Any]
    returns: Sequence[float]
    lengths: Sequence[float]
    successes: Sequence[float]
    seconds: float
    windows: int
    looks_without_gain: int


class LogKeys:
    """Turns rows of the history into named numbers.

    ``rollout/``, ``time/`` and ``train/`` are as in Stable-Baselines3: returns, lengths and successes (where
    ``info["is_success"]`` tells) are means over the latest 100 episodes; ``train/entropy_loss`` is minus the entropy.
    What it has no key for goes under ``train/`` by its own name; ``run/`` holds what the loop thinks: score, champion,
    looks without gain.

    Args:
        run: Whose rows they are.
    """

    def __init__(self, run: RunView) -> None:
        self._run = run
        self._returns: deque[float] = deque(maxlen=EPISODES_IN_MEAN)
        self._lengths: deque[float] = deque(maxlen=EPISODES_IN_MEAN)
        self._successes: deque[float] = deque(maxlen=EPISODES_IN_MEAN)
        self._num_updates = float(sum(filter(None, run.history.get("num_gradient_steps", []))))
        self._began: tuple[float, int] | None = None

    def of_window(self, row: Mapping[str, Any], window: EpisodeData) -> dict[str, float]:
        """Return the numbers of one window, every one finite."""
        return self.numbers_of(self.facts_of(row, window))

    def facts_of(self, row: Mapping[str, Any], window: EpisodeData) -> WindowFacts:
        """Return what the numbers of a window that has just ended are worked out from, when there is time."""
        return WindowFacts(
            row=row,
            returns=() if window.completed_returns is None else window.completed_returns,
            lengths=() if window.completed_lengths is None else window.completed_lengths,
            successes=successes_of(window),
            seconds=self._run.seconds,
            windows=self._run.windows,
            looks_without_gain=self._run.looks.without_gain,
        )

    def numbers_of(self, facts: WindowFacts) -> dict[str, float]:
        """Return the numbers of a window, every one finite; windows come in their order."""
        self._returns.extend(map(float, facts.returns))
        self._lengths.extend(map(float, facts.lengths))
        self._successes.extend(facts.successes)
        values = {**self._time(facts), **self._rollout(), **self._train(facts.row)}
        values["run/looks_without_gain"] = float(facts.looks_without_gain)
        return {key: value for key, value in values.items() if math.isfinite(value)}

    def _time(self, facts: WindowFacts) -> dict[str, float]:
        seconds, steps = facts.seconds, int(facts.row["env_steps"] or 0)
        if self._began is None:
            self._began = (0.0, 0) if not self._run.is_resumed else (seconds, steps)
        passed, taken = seconds - self._began[0], steps - self._began[1]
        return {
            STEP_KEY: float(steps),
            WINDOW_KEY: float(facts.windows),
            "time/time_elapsed": seconds,
            "time/fps": taken / passed if passed > 0 else math.nan,
        }

    def _rollout(self) -> dict[str, float]:
        means = {"rollout/ep_rew_mean": self._returns, "rollout/ep_len_mean": self._lengths}
        means["rollout/success_rate"] = self._successes
        return {key: math.fsum(values) / len(values) for key, values in means.items() if values}

    def _train(self, row: Mapping[str, Any]) -> dict[str, float]:
        numbers = {
            name: value for name, value in row.items() if type(value) in _NUMBERS and name not in _NO_DIAGNOSTICS
        }
        self._num_updates += row.get("num_gradient_steps") or 0.0
        values = {_KEY_OF.get(name) or f"train/{name}": float(value) for name, value in numbers.items()}
        if "entropy" in numbers:
            values["train/entropy_loss"] = -numbers["entropy"]
        if "actor_loss" in numbers and "loss" in numbers:
            values["train/critic_loss"] = values["train/loss"]
        if self._num_updates:
            values["train/n_updates"] = self._num_updates
        return values


def successes_of(window: EpisodeData) -> list[float]:
    """Return 1.0 or 0.0 for each episode that ended in a window and whose ``info["is_success"]`` says so."""
    ended = np.asarray(window.dones, bool)
    ended = ended.reshape(len(ended), -1)
    if window.metadata.get("barrier"):  # whatever still ran is cut there, and no episode
        ended = ended[:-1]
    successes = []
    for step in np.flatnonzero(ended.any(axis=1)):
        told = window.infos[step].get("is_success")
        if told is not None:
            values = np.broadcast_to(np.asarray(told, np.float64), ended[step].shape)
            successes += values[ended[step]].tolist()
    return successes
