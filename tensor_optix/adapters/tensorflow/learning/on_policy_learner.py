"""What on-policy learners share: one clipped-surrogate update, its size under KL control, rewards in one unit."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tensor_optix.adapters.tensorflow.learning.surrogate_update import StepRule, SurrogateUpdate
from tensor_optix.adapters.tensorflow.learning.window_steps import Steps
from tensor_optix.adapters.tensorflow.saving.state_checks import check_generator, check_positive
from tensor_optix.core.storage.plain_state import require_like
from tensor_optix.functional.linear_baseline import merge_moments
from tensor_optix.functional.returns import discounted_sums, generalized_advantages

_EPSILON = 1e-8
_LARGEST_REWARD = 10.0
"""After scaling, beyond what is usual."""


@dataclass(frozen=True)
class KLControl:
    """How the learning rate follows what updates come to, measured as KL divergence from the policy before.

    Attributes:
        step: By how much the factor on the learning rate changes after one update.
        low: The smallest factor.
        high: The largest one.
        min_share_taken: An update that ends after a smaller share of its gradient steps went too fast.
    """

    step: float
    low: float
    high: float
    min_share_taken: float = 0.0

    def next_factor(self, factor: float, kl: float, target: float, share_taken: float = 1.0) -> float:
        """Return the learning-rate factor of the next update.

        Down where this one went more than twice as far as it should, or reached its limit so soon that most
        minibatches were never used; up where it went less than half as far.

        Args:
            factor: That of this update.
            kl: Of this update.
            target: What it should be.
            share_taken: Share of the planned gradient steps that were taken.
        """
        if share_taken < self.min_share_taken or kl > 2.0 * target:
            return max(self.low, factor / self.step)
        return min(self.high, factor * self.step) if kl < 0.5 * target else factor


class OnPolicyLearner(ABC):
    """Learns from one window after another; what from, and what values are, is each learner's own.

    Args:
        update: Takes the gradient steps.
        rng: Draws the minibatches.

    Attributes:
        kl_factor: What the KL control multiplies the learning rate by.
    """

    control: ClassVar[KLControl]

    def __init__(self, update: SurrogateUpdate, rng: np.random.Generator) -> None:
        self._update = update
        self._rng = rng
        self.kl_factor = 1.0

    @abstractmethod
    def learn(self, steps: Steps, params: Mapping[str, Any]) -> dict[str, float]:
        """Update the policy from one more window, and return diagnostics.

        Raises:
            NonFiniteError: A loss or gradient is not finite; no variable has changed.
        """

    def reseed(self, rng: np.random.Generator) -> None:
        """Draw minibatches from another generator."""
        self._rng = rng

    @property
    def rule(self) -> StepRule:
        """How the gradient steps of an update follow each other."""
        return self._update.rule

    def use_update(self, update: SurrogateUpdate) -> None:
        """Take gradient steps with another update of the same variables."""
        self._update = update

    def on_world_change(self) -> None:
        """Forget how far a step may go."""
        self.kl_factor = 1.0

    def lose_place(self) -> None:  # noqa: B027  # a learner that counts no steps has none to lose
        """Forget how far the running episodes are: the learner is what it was earlier, the environments are not."""

    def _parts(self) -> dict[str, Any]:
        """Return what else has a state, by the name that it is saved by."""
        return {}

    def _told(self) -> dict[str, Any]:
        """Return what else there is to save, JSON-able."""
        return {"kl_factor": self.kl_factor, "generator": self._rng.bit_generator.state}

    def state_dict(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return arrays and JSON-able values that :meth:`load_state_dict` takes."""
        parts = self._parts().items()
        arrays = {f"{name}.{key}": array for name, part in parts for key, array in part.state_dict().items()}
        return arrays, self._told()

    def check_state(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
        """Raise unless :meth:`load_state_dict` can take this."""
        require_like(meta, self._told(), "learner", is_fixed=True)
        check_positive("learner", kl_factor=meta["kl_factor"])
        check_generator("learner", meta["generator"])
        for name, part in self._parts().items():
            part.check_state(_below(name, arrays))

    def load_state_dict(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
        """Become the learner whose ``state_dict`` this is."""
        for name, part in self._parts().items():
            part.load_state_dict(_below(name, arrays))
        self.kl_factor = float(meta["kl_factor"])
        self._rng.bit_generator.state = meta["generator"]


def _below(name: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    prefix = f"{name}."
    return {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}


def draw_minibatches(
    rng: np.random.Generator, valid: np.ndarray, num_steps: int, batch_size: int, capacity: int | None = None
) -> np.ndarray:
    """Draw shuffled passes over the valid rows, one after another, cut into minibatches.

    Args:
        rng: Shuffles each pass.
        valid: Which rows may be drawn, ``[B]`` bool; at least one where ``num_steps`` is not 0.
        num_steps: How many minibatches.
        batch_size: Rows of each.
        capacity: Length of the first axis, where it is more; what is not drawn is 0.

    Returns:
        Row numbers ``[capacity, batch_size]`` int32.
    """
    batches = np.zeros((num_steps if capacity is None else capacity, batch_size), np.int32)
    if num_steps:
        rows, needed = np.flatnonzero(valid).astype(np.int32), num_steps * batch_size
        passes = np.tile(rows, (-(-needed // len(rows)), 1))
        batches[:num_steps] = rng.permuted(passes, axis=1).reshape(-1)[:needed].reshape(-1, batch_size)
    return batches


def advantages_and_returns(
    steps: Steps, rewards: np.ndarray, values: np.ndarray, successor_values: np.ndarray, gamma: float, gae_lambda: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return generalized advantages and the values' targets ``A_t + v_t``, both ``[T * N]`` float64.

    Args:
        steps: The steps.
        rewards: Their rewards as they are learned from, ``[T, N]``.
        values: ``v_t``, ``[T * N]``.
        successor_values: Of ``steps.successors``, ``[C]``.
        gamma: Discount of a step that does not terminate.
        gae_lambda: Mixing of longer and shorter returns.
    """
    grid = np.asarray(values, np.float64).reshape(rewards.shape)
    discounts = gamma * (1.0 - steps.terminated)
    following = steps.next_values(grid, successor_values)
    advantages = generalized_advantages(rewards, discounts, steps.continues, grid, following, gae_lambda)
    return advantages.reshape(-1), (advantages + grid).reshape(-1)


def standardized(x: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return ``x`` shifted and scaled so that it has mean 0 and variance 1 where ``mask``."""
    counted = x[mask] if mask.any() else x
    standard: np.ndarray = (x - counted.mean()) / (counted.std() + _EPSILON)
    return standard


def explained_variance(values: np.ndarray, returns: np.ndarray, mask: np.ndarray) -> float:
    """Return the share of the returns' variance that the values explain where ``mask``; 0 if there is none."""
    spread = np.var(returns[mask]) if mask.any() else 0.0
    return float(1.0 - np.var(returns[mask] - values[mask]) / spread) if spread > 0.0 else 0.0


class RewardScaler:
    """Divides rewards by the running standard deviation of the return so far.

    The return so far of an environment is ``y_t = gamma * y_{t-1} + reward_t``, started anew with
    each episode. Rewards are divided only, never shifted: a shift would reward longer or shorter
    episodes. See "Implementation Matters in Deep Policy Gradients" (Engstrom et al., 2020).
    """

    def __init__(self) -> None:
        self._count, self._mean, self._variance = 0.0, np.zeros(1), np.zeros(1)
        self._carried = np.zeros(0)

    def scale(self, rewards: np.ndarray, ended: np.ndarray, valid: np.ndarray, gamma: float) -> np.ndarray:
        """Take one more window into the spread and return its rewards in units of it, float64.

        What is more than 10 spreads away from 0 and from the usual return so far is cut off there.

        Args:
            rewards: ``[T, N]``, 0 where not valid.
            ended: ``[T, N]`` bool, terminated or truncated.
            valid: ``[T, N]`` bool.
            gamma: Discount.
        """
        num_envs = rewards.shape[1]
        carried = self._carried if len(self._carried) == num_envs else np.zeros(num_envs)
        decays = gamma * ~ended
        # The recurrence runs forward in time: backwards on the reversed window.
        first = rewards[:1] + carried
        so_far = discounted_sums(
            np.concatenate([rewards[:0:-1], first]), np.concatenate([decays[-2::-1], np.zeros((1, num_envs))])
        )[::-1]
        self._carried = decays[-1] * so_far[-1]
        seen = so_far[valid][:, None]
        if len(seen):
            self._count, self._mean, self._variance = merge_moments(self._count, self._mean, self._variance, seen)
        usual = float(self._mean[0]) / self.spread
        return np.clip(rewards / self.spread, min(usual, 0.0) - _LARGEST_REWARD, max(usual, 0.0) + _LARGEST_REWARD)

    @property
    def spread(self) -> float:
        """What rewards are divided by; 1 until returns differ."""
        spread = float(np.sqrt(self._variance[0]))
        return spread if spread > 0.0 else 1.0

    def on_world_change(self) -> None:
        """Forget the spread of the old world."""
        self.__init__()  # type: ignore[misc]

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return arrays that :meth:`load_state_dict` takes."""
        return {
            "count": np.array(self._count),
            "mean": self._mean.copy(),
            "variance": self._variance.copy(),
            "carried": self._carried.copy(),
        }

    def check_state(self, state: Mapping[str, Any]) -> None:
        """Raise unless :meth:`load_state_dict` can take this."""
        require_like(state, self.state_dict(), "reward scaler")

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Become the scaler whose ``state_dict`` this is."""
        self._count = float(state["count"])
        self._mean, self._variance, self._carried = (np.array(state[k]) for k in ("mean", "variance", "carried"))
