"""The values that travel between the parts of the loop.

Arrays are time-major: ``[T, ...]`` from one environment, ``[T, N, ...]`` from N of them.
"""

from __future__ import annotations

import copy
import enum
import math
import time
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tensor_optix.core.checks import (
    check_choice,
    check_fields,
    check_instance,
    check_is_number,
    check_mapping,
    received,
)
from tensor_optix.core.rewards import rewards_of_window
from tensor_optix.core.search_space import ParamSpec as ParamSpec
from tensor_optix.core.short_html import html_table
from tensor_optix.exceptions import InvalidArgumentError, InvalidTypeError

StateScope = Literal["policy", "learner", "all"]


class LoopState(enum.Enum):
    """What the loop is doing.

    Attributes:
        ACTIVE: Learning; suggestions every ``base_interval`` windows.
        COOLING: On a plateau; suggestions and greedy evaluations at growing intervals.
        DORMANT: Nothing more is to be gained: the model is trained.
        WATCHDOG: The policy is frozen and only degradation is watched for (live feeds).
    """

    ACTIVE = "active"
    COOLING = "cooling"
    DORMANT = "dormant"
    WATCHDOG = "watchdog"


@dataclass
class EpisodeData:
    """The raw interaction of one window, nothing algorithm-specific.

    Attributes:
        observations: What the policy saw, ``[T, ...]`` or ``[T, N, ...]``; a dict of such
            arrays for Dict observations.
        actions: What it did, as the environment took it, ``[T, ...]`` or ``[T, N, ...]``.
        rewards: ``[T]`` or ``[T, N]``. ``Decimal`` and its like become floats; ``[T, 1]`` with flags ``[T]``
            is taken for ``[T]``: an array of one number is that number.
        terminated: The task ended here, ``[T]`` or ``[T, N]`` bool: no future reward.
        truncated: The episode was cut here: the future is worth what the successor is worth.
        infos: One info dict per step.
        episode_id: Number of the window, rising by 1.
        timestamp: Seconds since the epoch.
        metadata: Free-form notes of the pipeline, for example ``{"barrier": True}``.
        next_observations: The true successor of each step, before any reset; same shape as
            ``observations``.
        valid: ``[T]`` or ``[T, N]`` bool, False on steps that only reset, or that nobody may learn from. None: all
            valid.
        completed_returns: Whole returns of the episodes that ended in this window, also the
            part that ran in earlier windows. Empty: none ended. None: not told. A pipeline tells them in the
            environment's own reward, where wrappers of Gymnasium's change what is learned from (``rewards``).
        completed_lengths: Lengths in steps of the same episodes.
        action_log_probs: What the acting copy recorded, where acting and learning policies
            can differ (live feeds); None elsewhere. NaN where another action was done than it chose.
        policy_version: Version of the acting policy, where recorded.
        action_masks: ``[T, A]`` or ``[T, N, A]`` bool, which options were allowed on ``observations``, True for yes;
            how they lie side by side: ``BatchPipeline``. None: no masks.
        initial_states: The states with which a policy with memory began the window, ``[...]`` or ``[N, ...]`` each.
        next_action_masks: The same as ``action_masks`` of ``next_observations``.

    Raises:
        InvalidTypeError: A field is of a type that cannot be used, or the rewards or flags are no numbers.
        InvalidArgumentError: Rewards and flags are not told for the same steps.
    """

    observations: Any
    actions: Any
    rewards: Any
    terminated: Any
    truncated: Any
    infos: Any
    episode_id: int
    timestamp: float = field(default_factory=time.time)
    metadata: dict[str, Any] = field(default_factory=dict)
    next_observations: Any = None
    valid: Any = None
    completed_returns: Any = None
    completed_lengths: Any = None
    action_log_probs: Any = None
    policy_version: Any = None
    action_masks: Any = None
    initial_states: Any = None
    next_action_masks: Any = None

    def __post_init__(self) -> None:
        check_fields(self, episode_id=int, timestamp=float, metadata=Mapping)
        self.rewards = rewards_of_window(self.rewards, self.terminated)
        lengths = {name: _length_of(name, getattr(self, name)) for name in ("rewards", "terminated", "truncated")}
        if len(set(lengths.values())) > 1:
            raise InvalidArgumentError(
                f"Rewards and flags must be told for the same steps. Received, in steps: {lengths}."
            )

    @property
    def dones(self) -> Any:
        """Terminated or truncated, per step; a plain list when given lists."""
        if isinstance(self.terminated, np.ndarray) or isinstance(self.truncated, np.ndarray):
            return np.logical_or(self.terminated, self.truncated)
        return [bool(a) or bool(b) for a, b in zip(self.terminated, self.truncated, strict=True)]

    @property
    def total_reward(self) -> float:
        """Sum of all rewards of the window."""
        return float(np.sum(self.rewards, dtype=np.float64))

    @property
    def length(self) -> int:
        """T, the number of steps of the window (per environment)."""
        return len(self.rewards)

    @property
    def env_steps(self) -> int:
        """T x N, the number of environment steps the window took."""
        return int(np.size(self.rewards))


@dataclass
class HyperparamSet:
    """Hyperparameters of an agent.

    Attributes:
        params: An open dict; only agents and hyperparameter optimizers look into it.
        episode_id: The window at which it was made.
        timestamp: Seconds since the epoch.
    """

    params: dict[str, Any]
    episode_id: int
    timestamp: float = field(default_factory=time.time)

    def __post_init__(self) -> None:
        if not isinstance(self.params, Mapping):
            raise InvalidTypeError(
                f"`params` must be a dict. Received: {type(self.params).__name__} {self.params!r:.200}. "
                'Write HyperparamSet({"learning_rate": 3e-4}, episode_id=0).'
            )
        check_fields(self, params=Mapping, episode_id=int, timestamp=float)

    def copy(self) -> HyperparamSet:
        """Return an independent copy."""
        return HyperparamSet(copy.deepcopy(self.params), self.episode_id, self.timestamp)


@dataclass
class EvalMetrics:
    """How good a window was.

    Attributes:
        primary_score: Higher is better. NaN: the window gave no evidence.
        metrics: Everything else that was measured.
        episode_id: The window that was scored.
        timestamp: Seconds since the epoch.
        hyperparams: Those of the ``learn`` that made the scored weights; stamped by the loop.
        env_steps: Environment steps taken up to the end of this window; stamped by the loop.
        num_episodes: Episodes that ended in the window; None where not told.
    """

    primary_score: float
    metrics: dict[str, Any]
    episode_id: int
    timestamp: float = field(default_factory=time.time)
    hyperparams: HyperparamSet | None = None
    env_steps: int | None = None
    num_episodes: int | None = None

    def __post_init__(self) -> None:
        check_fields(self, primary_score=float, metrics=Mapping, episode_id=int, timestamp=float)
        check_fields(self, hyperparams=(HyperparamSet, None), env_steps=(int, None), num_episodes=(int, None))

    def beats(self, other: EvalMetrics, margin: float = 0.0) -> bool:
        """Tell whether this score is strictly greater than the other's plus ``margin``."""
        check_instance("other", other, EvalMetrics)
        check_is_number("margin", margin)
        return bool(self.primary_score > other.primary_score + margin)

    @property
    def is_evidence(self) -> bool:
        """Whether the score is a finite number."""
        return math.isfinite(self.primary_score)


@dataclass
class PolicySnapshot:
    """A policy on disk, with the score that it earned.

    Attributes:
        snapshot_id: Name, unique in its run.
        eval_metrics: The score that these weights earned.
        hyperparams: Hyperparameters in force.
        weights_path: Where the agent wrote.
        episode_id: The window in which these weights acted.
        timestamp: Seconds since the epoch.
    """

    snapshot_id: str
    eval_metrics: EvalMetrics
    hyperparams: HyperparamSet
    weights_path: str
    episode_id: int
    timestamp: float = field(default_factory=time.time)

    def __post_init__(self) -> None:
        check_fields(self, snapshot_id=str, eval_metrics=EvalMetrics, hyperparams=HyperparamSet, weights_path=str)
        check_fields(self, episode_id=int, timestamp=float)


@dataclass
class AgentState:
    """What an agent is, in memory: independent of the agent it was taken from.

    Attributes:
        arrays: Named arrays (weights, optimizer slots, statistics, generators' words).
        meta: Everything else, JSON-able.
        scope: ``"policy"``, ``"learner"`` or ``"all"``, see ``BaseAgent.get_state``.
    """

    arrays: dict[str, npt.NDArray[Any]]
    meta: dict[str, Any] = field(default_factory=dict)
    scope: str = "learner"

    def __post_init__(self) -> None:
        check_mapping("arrays", self.arrays)
        for name, array in self.arrays.items():
            check_instance(f"arrays[{name!r}]", array, np.ndarray)
        check_mapping("meta", self.meta)
        check_choice("scope", self.scope, typing.get_args(StateScope))


@dataclass(frozen=True, repr=False)
class EvaluationResult:
    """What a policy reached over whole episodes.

    Attributes:
        mean: Mean return.
        interval: 95 % confidence interval of the mean, ``(low, high)``.
        returns: Return of each episode, ``[num_episodes]``.
        lengths: Length of each episode in steps, ``[num_episodes]``.
        env_steps: Environment steps taken.
        num_cut: Episodes that had not ended when they were cut, at the greatest length there is: no time limit of the
            environment's is known. Their returns are those of a part.
        against: What another policy reached in the very same episodes, by their seeds; None: none was held against.
    """

    mean: float
    interval: tuple[float, float]
    returns: npt.NDArray[np.float64]
    lengths: npt.NDArray[np.int64]
    env_steps: int
    num_cut: int = 0
    against: EvaluationResult | None = None

    def __post_init__(self) -> None:
        check_fields(self, mean=float, interval=tuple, returns=np.ndarray, lengths=np.ndarray, env_steps=int)
        check_fields(self, num_cut=int, against=(EvaluationResult, None))
        if self.returns.ndim != 1 or self.returns.shape != self.lengths.shape:
            raise InvalidArgumentError(
                "`returns` and `lengths` must be one number for each episode, [num_episodes]. "
                f"Received shapes: {self.returns.shape} and {self.lengths.shape}."
            )
        if self.against is not None and self.against.num_episodes != self.num_episodes:
            raise InvalidArgumentError(
                "`against` must hold the same episodes, played by another policy. "
                f"Received {self.against.num_episodes} beside {self.num_episodes}."
            )

    @property
    def num_episodes(self) -> int:
        """Number of episodes played."""
        return len(self.returns)

    @property
    def difference(self) -> float | None:
        """How much more it reached than ``against``, on average; None without one."""
        return None if self.against is None else float(np.mean(self.returns - self.against.returns))

    @property
    def difference_interval(self) -> tuple[float, float] | None:
        """95 % interval of :attr:`difference`, from the differences of episodes with the same seed: what seeds make
        easy or hard is not in it. None without ``against``.
        """
        if self.against is None:
            return None
        from tensor_optix.functional.paired_differences import paired_interval

        return paired_interval(self.returns, self.against.returns)

    def __repr__(self) -> str:
        low, high = self.interval
        more = "" if self.difference is None else f", difference={self.difference:.6g}"
        return (
            f"EvaluationResult(mean={self.mean:.6g}, interval=({low:.6g}, {high:.6g}), "
            f"num_episodes={self.num_episodes}{more})"
        )

    def _repr_html_(self) -> str:
        low, high = self.interval
        rows = {
            "Mean return": f"{self.mean:.2f}",
            "95 % interval": f"{low:.2f} to {high:.2f}",
            "Episodes": f"{self.num_episodes}, of {self.lengths.mean():.1f} steps on average",
            "Cut before their end": self.num_cut or None,
        }
        return html_table("Evaluation", {**rows, **self._comparison()})

    def _comparison(self) -> dict[str, str]:
        if self.against is None or self.difference is None or self.difference_interval is None:
            return {}
        low, high = self.difference_interval
        return {
            "The other one's mean": f"{self.against.mean:.2f}",
            "Difference, paired by seed": f"{self.difference:+.2f} (95 % interval {low:+.2f} to {high:+.2f})",
        }

    def __str__(self) -> str:
        low, high = self.interval
        cut = f", {self.num_cut} of them cut at {int(self.lengths.max()):,} steps" if self.num_cut else ""
        own = f"{self.mean:.2f} (95 % interval {low:.2f} to {high:.2f}, {self.num_episodes} episodes{cut})"
        return "; ".join([own, *(f"{name.lower()}: {value}" for name, value in self._comparison().items())])


def _length_of(name: str, values: Any) -> int:
    """Return how many steps there are numbers or flags for, or raise if there are none."""
    try:
        array = np.asarray(values)
    except ValueError:  # ragged
        array = np.empty(0, dtype=object)
    if array.dtype.kind not in "biuf" or array.ndim == 0:
        raise InvalidTypeError(f"`{name}` must be a sequence of numbers, one for each step. {received(values)}")
    return len(array)
