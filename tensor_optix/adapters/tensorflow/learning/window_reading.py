"""From an ``EpisodeData`` window to the steps an agent learns from, checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tensor_optix.adapters.tensorflow.acting.model_inputs import ModelInputs
from tensor_optix.adapters.tensorflow.actions.action_sampler import ActionSampler
from tensor_optix.adapters.tensorflow.learning.recent_steps import Steps
from tensor_optix.core.types import EpisodeData
from tensor_optix.exceptions import NonFiniteError


def read_steps(
    window: EpisodeData, inputs: ModelInputs, sampler: ActionSampler, dtypes: Sequence[Any] | None = None
) -> Steps:
    """Return the window's steps, time-major ``[T, N]``.

    Where ``next_observations`` are missing, a step that was cut off takes its own observation as
    its successor: the nearest thing known.

    Args:
        window: What a pipeline yielded.
        inputs: How observations reach the model.
        sampler: How actions are encoded.
        dtypes: In which each part is kept; those that the model takes, if not given.

    Raises:
        NonFiniteError: An observation or a reward is NaN or infinite.
    """
    rewards = _two_axes(window.rewards, np.float64)
    lead, num_axes = rewards.shape, np.ndim(window.rewards)
    terminated, truncated = _two_axes(window.terminated, bool), _two_axes(window.truncated, bool)
    valid = np.ones(lead, bool) if window.valid is None else _two_axes(window.valid, bool)
    ended = terminated | truncated
    continues = np.zeros(lead, bool)
    continues[:-1] = ~ended[:-1] & valid[1:]
    kept = inputs.dtypes if dtypes is None else dtypes
    flat = _flat_parts(window.observations, inputs, lead, num_axes, kept)
    after = window.next_observations
    after_parts = flat if after is None else _flat_parts(after, inputs, lead, num_axes, kept)
    cut = ~continues
    encoded = sampler.encode(window.actions)
    steps = Steps(
        observations=[part.reshape(*lead, *part.shape[1:]) for part in flat],
        successors=[part[cut.reshape(-1)] for part in after_parts],
        cut=cut,
        actions=encoded.reshape(*lead, *encoded.shape[1:]),
        rewards=np.where(valid, rewards, 0.0),
        terminated=terminated,
        ended=ended,
        continues=continues,
        valid=valid,
        log_probs=_log_probs(window.action_log_probs, lead),
    )
    _require_finite(steps, window.episode_id)
    return steps


def _two_axes(values: Any, dtype: Any) -> np.ndarray:
    array = np.asarray(values, dtype)
    return array if array.ndim == 2 else array.reshape(-1, 1)


def _flat_parts(
    observations: Any, inputs: ModelInputs, lead: tuple[int, ...], num_axes: int, dtypes: Any
) -> list[np.ndarray]:
    """Return one array ``[T * N, ...]`` per input."""
    flat = _map_arrays(observations, lambda array: array.reshape(lead[0] * lead[1], *array.shape[num_axes:]))
    parts = inputs.flat(flat, batched=True)
    return [np.asarray(part, dtype) for part, dtype in zip(parts, dtypes, strict=True)]


def _map_arrays(tree: Any, function: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _map_arrays(value, function) for key, value in tree.items()}
    if isinstance(tree, tuple):
        return tuple(_map_arrays(value, function) for value in tree)
    return function(np.asarray(tree))


def _log_probs(recorded: Any, lead: Sequence[int]) -> np.ndarray:
    if recorded is None:
        return np.full(lead, np.nan, np.float32)
    return np.asarray(recorded, np.float32).reshape(lead)


def _require_finite(steps: Steps, episode_id: int) -> None:
    named = [("observation", part) for part in (*steps.observations, *steps.successors)]
    for name, array in [*named, ("reward", steps.rewards)]:
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            bad = np.argwhere(~np.isfinite(array))[0]
            raise NonFiniteError(
                f"Window {episode_id} holds {len(np.argwhere(~np.isfinite(array)))} {name} values that are NaN or "
                f"infinite, the first at {tuple(int(i) for i in bad)}. Nothing was learned from it. "
                "Look into the environment, or clip what it returns."
            )
