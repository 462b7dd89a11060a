"""A window as learners read it: time-major steps, checked; N = 1 for a single environment.

On-policy learners read :class:`Steps`, whose observations are parts as the model takes them. A replay reads
:class:`RawSteps`, whose observations and actions are the environment's own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tensor_optix.adapters.tensorflow.acting.model_inputs import ModelInputs
from tensor_optix.adapters.tensorflow.actions.action_sampler import ActionSampler
from tensor_optix.core.mask_layout import MaskLayout
from tensor_optix.core.types import EpisodeData
from tensor_optix.exceptions import NonFiniteError
from tensor_optix.functional.sequences import episode_starts

logger = logging.getLogger(__name__)

Named = tuple[str, np.ndarray, np.ndarray]
"""What an array holds, the array ``[T, N, ...]``, and where it counts, ``[T, N]``."""


@dataclass
class Steps:
    """The steps that an on-policy learner learns from.

    Attributes:
        observations: One array ``[T, N, ...]`` per part of an observation.
        successors: One array ``[C, ...]`` per part: the true successors of the C steps in ``cut``,
            in row-major order.
        cut: ``[T, N]`` bool, where row t + 1 is not the successor of row t.
        actions: Encoded actions ``[T, N]`` or ``[T, N, K]``.
        rewards: ``[T, N]`` float64.
        terminated: ``[T, N]`` bool.
        ended: ``[T, N]`` bool, terminated or truncated.
        continues: ``[T, N]`` bool, where row t + 1 belongs to the same episode.
        valid: ``[T, N]`` bool, False on steps that only reset.
        log_probs: ``[T, N]`` float32 of the policy that acted; NaN where not known yet.
        fresh_start: Whether the window began with a reset of its own.
        first: ``[T, N]`` bool, where states begin anew, but for the first row.
        initial_states: What the policy remembered at the first row, as the window tells it; None where it does not.
        masks: ``[T, N, A]`` bool, what was allowed on ``observations``; None: everything.
    """

    observations: list[np.ndarray]
    successors: list[np.ndarray]
    cut: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    terminated: np.ndarray
    ended: np.ndarray
    continues: np.ndarray
    valid: np.ndarray
    log_probs: np.ndarray
    fresh_start: bool = False
    first: np.ndarray | None = None
    initial_states: Any = None
    masks: np.ndarray | None = None

    @property
    def size(self) -> int:
        """T x N."""
        return int(self.rewards.size)

    def flat_observations(self) -> list[np.ndarray]:
        """Return one array ``[T * N, ...]`` per part."""
        return [part.reshape(self.size, *part.shape[2:]) for part in self.observations]

    def valid_observations(self) -> list[np.ndarray]:
        """Return one array ``[B, ...]`` per part, of the steps that are valid."""
        rows = self.valid.reshape(-1)
        return [part[rows] for part in self.flat_observations()]

    def behaviour_log_probs(self, own: np.ndarray) -> np.ndarray:
        """Return the log-probabilities ``[T * N]`` of the policy that acted: ``own`` where they are not known yet."""
        recorded = self.log_probs.reshape(-1)
        return np.where(np.isnan(recorded), own, recorded)

    def next_values(self, values: np.ndarray, successor_values: np.ndarray) -> np.ndarray:
        """Return the value of each step's successor, ``[T, N]``.

        Args:
            values: Of ``observations``, ``[T, N]``.
            successor_values: Of ``successors``, ``[C]``.
        """
        result = np.empty_like(values)
        result[:-1] = values[1:]
        result[self.cut] = successor_values
        return result


@dataclass(frozen=True)
class RawSteps:
    """The steps that a replay remembers.

    Attributes:
        window_id: Number of the window.
        fresh_start: Whether it began with a reset of its own.
        observations: One array ``[T, N, ...]`` per part of an observation.
        successors: The same for the observations after each step; empty where they are not told.
        actions: ``[T, N, ...]``.
        rewards: ``[T, N]`` float32.
        terminated: ``[T, N]`` bool.
        truncated: ``[T, N]`` bool.
        valid: ``[T, N]`` bool, False on steps that only reset.
        follows: ``[T - 1, N]`` bool, where step t + 1 goes on with the episode of step t.
        is_step: ``[T, N]`` bool, where the whole transition is known.
        needs_end: ``[T, N]`` bool, where the successor is no step of this window.
        by_others: ``[T, N]`` bool, where the action was not the policy's choice: nothing goes on into such a step.
        masks: ``[T, N, A]`` bool, what was allowed on ``observations``; None: everything.
        next_masks: The same of ``successors``.
    """

    window_id: int
    fresh_start: bool
    observations: list[np.ndarray]
    successors: list[np.ndarray]
    actions: np.ndarray
    rewards: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    valid: np.ndarray
    follows: np.ndarray
    is_step: np.ndarray
    needs_end: np.ndarray
    by_others: np.ndarray
    masks: np.ndarray | None = None
    next_masks: np.ndarray | None = None


def chosen_by_others(window: EpisodeData) -> np.ndarray | None:
    """Return where the action was not the policy's choice, in the shape of the rewards; None where it always was.

    A live feed tells of such steps by a log-probability that is NaN.
    """
    if window.action_log_probs is None:
        return None
    others = np.isnan(np.asarray(window.action_log_probs, np.float64)).reshape(np.shape(window.rewards))
    return others if others.any() else None


def own_choices(window: EpisodeData) -> EpisodeData:
    """Return the window as a learner takes it that can learn from its policy's own actions alone.

    How likely another's action was is not known, so that no ratio could weigh it: such steps are no longer ``valid``,
    and what comes before them bootstraps from the observation that they were chosen on.
    """
    others = chosen_by_others(window)
    if others is None:
        return window
    if others.all():
        logger.warning(
            "No action of window %d was chosen by the agent's policy, which can learn from its own alone. "
            "Use DQNAgent or SACAgent where others act.",
            window.episode_id,
        )
    return replace(window, valid=~others if window.valid is None else ~others & np.asarray(window.valid, bool))


def read_steps(
    window: EpisodeData, inputs: ModelInputs, sampler: ActionSampler, dtypes: Sequence[Any] | None = None
) -> Steps:
    """Return the window's steps for an on-policy learner.

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
    told = Told(window)
    kept = inputs.dtypes if dtypes is None else dtypes
    ended = told.terminated | told.truncated
    continues = np.zeros(told.shape, bool)
    continues[:-1] = ~ended[:-1] & told.valid[1:]
    cut = ~continues
    seen = _as_kept(flat_parts(window, inputs), kept)
    after = seen if window.next_observations is None else _as_kept(flat_parts(window, inputs, after=True), kept)
    encoded = sampler.encode(window.actions)
    recorded = window.action_log_probs
    log_probs = np.full(told.shape, np.nan, np.float32)
    if recorded is not None:
        log_probs = np.asarray(recorded, np.float32).reshape(told.shape)
    only_resets = ~told.valid if recorded is None else ~told.valid & ~np.isnan(log_probs)  # others' are steps, too
    steps = Steps(
        observations=[part.reshape(*told.shape, *part.shape[1:]) for part in seen],
        successors=[part[cut.reshape(-1)] for part in after],
        cut=cut,
        actions=encoded.reshape(*told.shape, *encoded.shape[1:]),
        rewards=np.where(told.valid, told.rewards, 0.0),
        terminated=told.terminated,
        ended=ended,
        continues=continues,
        valid=told.valid,
        log_probs=log_probs,
        fresh_start=told.fresh_start,
        first=episode_starts(ended, only_resets),
        initial_states=getattr(window, "initial_states", None),
        masks=told.masks(window.action_masks, sampler.mask_layout),
    )
    everywhere = np.ones(told.shape, bool)
    after = [part.reshape(*told.shape, *part.shape[1:]) for part in after]
    named = [("observation", part, everywhere) for part in steps.observations]
    named += [("observation", part, cut) for part in after]
    _require_finite([*named, ("reward", steps.rewards, everywhere)], window.episode_id)
    return steps


def read_raw_steps(window: EpisodeData, example: Any, mask_layout: MaskLayout | None = None) -> RawSteps:
    """Return the window's steps for a replay of observations that are nested as ``example`` is.

    Args:
        window: What a pipeline yielded.
        example: One observation.
        mask_layout: Of what was allowed; None: that is not looked at.

    Raises:
        NonFiniteError: Anything that would be learned from is NaN or infinite.
    """
    told = Told(window)
    observations = [told.with_envs(part) for part in flat_leaves(example, window.observations)]
    knows_ends = window.next_observations is not None
    successors = [told.with_envs(part) for part in flat_leaves(example, window.next_observations)] if knows_ends else []
    follows = told.valid[:-1] & told.valid[1:] & ~told.terminated[:-1] & ~told.truncated[:-1]
    for seen, after in zip(observations, successors, strict=False):
        follows &= (after[:-1] == seen[1:]).all(axis=tuple(range(2, seen.ndim)))
    others = chosen_by_others(window)
    by_others = np.zeros(told.shape, np.bool_) if others is None else others.reshape(told.shape)
    follows &= ~by_others[1:]
    goes_on = np.zeros(told.shape, np.bool_)
    goes_on[:-1] = follows
    steps = RawSteps(
        window_id=window.episode_id,
        fresh_start=told.fresh_start,
        observations=observations,
        successors=successors,
        actions=told.with_envs(window.actions),
        rewards=told.rewards.astype(np.float32),
        terminated=told.terminated,
        truncated=told.truncated,
        valid=told.valid,
        follows=follows,
        is_step=told.valid if knows_ends else told.valid & (told.terminated | goes_on),
        needs_end=told.valid & ~told.terminated & ~goes_on & knows_ends,
        by_others=by_others,
        masks=told.masks(window.action_masks, mask_layout),
        next_masks=told.masks(window.next_action_masks, mask_layout),
    )
    named = [("observation", part, steps.valid) for part in observations]
    named += [("observation", part, steps.needs_end) for part in successors]
    named += [("action", steps.actions, steps.valid), ("reward", steps.rewards, steps.valid)]
    _require_finite(named, window.episode_id)
    return steps


def flat_parts(window: EpisodeData, inputs: ModelInputs, *, after: bool = False) -> list[np.ndarray]:
    """Return one array ``[T * N, ...]`` per part of the observations, or of those ``after`` each step."""
    num_axes, num_rows = np.ndim(window.rewards), int(np.size(window.rewards))
    observations = window.next_observations if after else window.observations
    rows = _map_arrays(observations, lambda array: array.reshape(num_rows, *array.shape[num_axes:]))
    return inputs.flat(rows, batched=True)


def flat_leaves(example: Any, nested: Any) -> Iterator[Any]:
    """Yield the arrays in ``nested``, in the order of ``example``: an array, or a dict or tuple of them."""
    if isinstance(example, Mapping):
        for key, part in example.items():
            yield from flat_leaves(part, nested[key])
    elif isinstance(example, tuple):
        for part, value in zip(example, nested, strict=True):
            yield from flat_leaves(part, value)
    else:
        yield nested


def nested_like(example: Any, leaves: Sequence[Any]) -> Any:
    """Return what :func:`flat_leaves` took apart, nested as ``example`` is."""
    remaining = iter(leaves)

    def build(part: Any) -> Any:
        if isinstance(part, Mapping):
            return {key: build(value) for key, value in part.items()}
        return tuple(build(value) for value in part) if isinstance(part, tuple) else next(remaining)

    return build(example)


class Told:
    """What a window tells of each step, ``[T, N]``."""

    def __init__(self, window: EpisodeData) -> None:
        self.rewards = _two_axes(window.rewards, np.float64)
        self.shape = self.rewards.shape
        self.terminated = _two_axes(window.terminated, np.bool_)
        self.truncated = _two_axes(window.truncated, np.bool_)
        self.valid = np.ones(self.shape, np.bool_) if window.valid is None else _two_axes(window.valid, np.bool_)
        self.fresh_start = bool(window.metadata.get("fresh_start", False))
        self._num_axes = np.ndim(window.rewards)

    def masks(self, given: Any, layout: MaskLayout | None) -> np.ndarray | None:
        """Return masks ``[T, A]`` or ``[T, N, A]`` as ``[T, N, A]``; None where none are told, or none are taken.

        Raises:
            InvalidTypeError: These are no flags.
            InvalidArgumentError: They are of another shape, or other numbers than 0 and 1.
        """
        if given is None or layout is None:
            return None
        leading = self.shape if self._num_axes == 2 else self.shape[:1]
        return layout.read(given, leading).reshape(*self.shape, layout.size)

    def with_envs(self, array: Any) -> np.ndarray:
        """Return an array ``[T, ...]`` or ``[T, N, ...]`` as ``[T, N, ...]``."""
        plain: np.ndarray = np.asarray(array)
        return plain.reshape(*self.shape, *plain.shape[self._num_axes :])


def _two_axes(values: Any, dtype: Any) -> np.ndarray:
    array = np.asarray(values, dtype)
    return array if array.ndim == 2 else array.reshape(-1, 1)


def _as_kept(parts: Sequence[np.ndarray], dtypes: Sequence[Any]) -> list[np.ndarray]:
    return [np.asarray(part, dtype) for part, dtype in zip(parts, dtypes, strict=True)]


def _map_arrays(tree: Any, function: Callable[[np.ndarray], np.ndarray]) -> Any:
    if isinstance(tree, dict):
        return {key: _map_arrays(value, function) for key, value in tree.items()}
    if isinstance(tree, tuple):
        return tuple(_map_arrays(value, function) for value in tree)
    return function(np.asarray(tree))


def _require_finite(named: Sequence[Named], window_id: int) -> None:
    """Raise if anything is NaN or infinite where it counts; the error says what, and at which step."""
    for name, array, counts in named:
        if array.dtype.kind != "f" or np.isfinite(array).all():
            continue
        bad = ~np.isfinite(array).all(axis=tuple(range(2, array.ndim))) & counts
        if bad.any():
            step, env = (int(i) for i in np.argwhere(bad)[0])
            raise NonFiniteError(
                f"Window {window_id} holds {int(bad.sum())} steps whose {name} is NaN or infinite, the first at step "
                f"{step} of environment {env}. Nothing was learned from it. "
                "Look into the environment, or clip what it returns."
            )
