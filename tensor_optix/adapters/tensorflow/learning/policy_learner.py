"""How ``TFAgent`` learns by default: a policy gradient on recent steps, its size under KL control."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tensor_optix.adapters.tensorflow.learning.policy_update import BATCH_SIZE, PolicyUpdate, UpdateResult
from tensor_optix.adapters.tensorflow.learning.recent_steps import RecentSteps, StepLayout
from tensor_optix.adapters.tensorflow.learning.value_baseline import ValueBaseline
from tensor_optix.adapters.tensorflow.learning.window_steps import Steps
from tensor_optix.adapters.tensorflow.saving.state_checks import check_positive, require_same_form
from tensor_optix.core.storage.plain_state import require_like
from tensor_optix.exceptions import NonFiniteError
from tensor_optix.functional.returns import discounted_returns, generalized_advantages, lambda_returns

MEMORY_STEPS = 2048
FACTOR_STEP = 1.5
FACTOR_BOUNDS = (0.01, 10.0)
WEAK_SIGNAL = 0.1
"""Below it the KL of a step is mostly rounding, and says nothing about the learning rate."""


class PolicyLearner:
    """Learns from one window after another.

    Each window joins the recent steps; values are fitted to their lambda-returns; advantages are
    worked out anew for all of them; and some passes of minibatches follow on the clipped surrogate
    loss. The learning rate is multiplied by a factor that holds the policy's step, measured as KL
    divergence, near its target.

    Args:
        baseline: Predicts values.
        update: Takes the gradient steps.
        rng: Draws the minibatches.
        layout: What steps look like.
    """

    def __init__(
        self, baseline: ValueBaseline, update: PolicyUpdate, rng: np.random.Generator, layout: StepLayout
    ) -> None:
        self._baseline = baseline
        self._update = update
        self._rng = rng
        self._recent = RecentSteps(MEMORY_STEPS, layout)
        self._kl_factor = 1.0
        self._usual = UsualSpread()

    def learn(self, steps: Steps, params: Mapping[str, Any]) -> dict[str, float]:
        """Update the policy from one more window.

        Raises:
            NonFiniteError: A loss or gradient is not finite; no variable has changed.
        """
        recent, advantages, explained = self._take_in(steps, params)
        rows = np.flatnonzero(recent.valid.reshape(-1))
        scaled, signal = self._weigh(advantages.reshape(-1)[rows], recent.rewards.reshape(-1)[rows])
        result = self._improve(recent, rows, scaled, signal, num_new=int(steps.valid.sum()), params=params)
        if not result.finite:
            self._recent.forget_newest()
            raise NonFiniteError(
                "A loss or gradient became NaN or infinite; weights and optimizer are as they were before this window. "
                "Lower the learning rate, or bound the scale of observations and rewards."
            )
        self._recent.fill_log_probs(_scattered(result.log_probs, rows, recent.rewards.shape))
        factor = self._kl_factor
        if signal > WEAK_SIGNAL:
            # A step shortened by s moves the policy by s^2 in KL.
            target = params["kl_target"] * fresh_share(steps.size) * signal**2
            self._kl_factor = adapted_factor(factor, result.diagnostics["kl"], target)
        return {
            **result.diagnostics,
            "kl_factor": factor,
            "signal": signal,
            "explained_variance": explained,
            "base_rate": result.base_rate,
        }

    def returns_of(self, steps: Steps, params: Mapping[str, Any]) -> np.ndarray:
        """Return discounted returns ``[T, N]`` of a window, bootstrapped where it was cut."""
        self._take_in(steps, params)
        features = self._baseline.features(steps.successors)
        next_values = steps.next_values(np.zeros(steps.rewards.shape), self._baseline.predict(features))
        discounts = params["gamma"] * ~steps.terminated
        return discounted_returns(steps.rewards, discounts, ~steps.cut, next_values)

    def reseed(self, rng: np.random.Generator) -> None:
        """Draw minibatches from another generator."""
        self._rng = rng

    def use_update(self, update: PolicyUpdate) -> None:
        """Take gradient steps with another update of the same variables."""
        self._update = update

    def on_world_change(self) -> None:
        """Forget what the old world taught about values, and how far a step may go."""
        self._recent.clear()
        self._baseline.reset()
        self._kl_factor = 1.0
        self._usual = UsualSpread()

    def state_dict(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return arrays and JSON-able values that :meth:`load_state_dict` takes."""
        arrays = {f"baseline.{name}": array for name, array in self._baseline.state_dict().items()}
        arrays |= {f"recent.{name}": array for name, array in self._recent.state_dict().items()}
        usual = [self._usual.count, self._usual.mean_square]
        return arrays, {"kl_factor": self._kl_factor, "usual_spread": usual, "generator": self._rng.bit_generator.state}

    def check_state(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
        """Raise unless :meth:`load_state_dict` can take this."""
        usual = [self._usual.count, self._usual.mean_square]
        own = {"kl_factor": self._kl_factor, "usual_spread": usual, "generator": self._rng.bit_generator.state}
        require_like(meta, own, "learner")
        check_positive("learner", kl_factor=meta["kl_factor"])
        require_same_form(_below("baseline.", arrays), self._baseline.state_dict(), "baseline")
        self._recent.check_state(_below("recent.", arrays))

    def load_state_dict(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
        """Become the learner whose ``state_dict`` this is."""
        self._baseline.load_state_dict(_below("baseline.", arrays))
        self._recent.load_state_dict(_below("recent.", arrays))
        self._kl_factor = float(meta["kl_factor"])
        self._usual = UsualSpread(*meta["usual_spread"])
        self._rng.bit_generator.state = meta["generator"]

    def _take_in(self, steps: Steps, params: Mapping[str, Any]) -> tuple[Steps, np.ndarray, float]:
        """Add a window, fit values, and return all recent steps with their advantages ``[T, N]``."""
        self._baseline.observe(steps.valid_observations())
        self._recent.append(steps)
        recent = self._recent.all()
        shape, valid = recent.rewards.shape, recent.valid.reshape(-1)
        seen = self._baseline.features(recent.flat_observations())
        after = self._baseline.features(recent.successors)
        gamma, lambda_ = params["gamma"], params["gae_lambda"]
        discounts = gamma * ~recent.terminated

        values = self._baseline.predict(seen).reshape(shape)
        next_values = recent.next_values(values, self._baseline.predict(after))
        targets = lambda_returns(recent.rewards, discounts, recent.continues, next_values, lambda_)
        explained = _explained_variance(values[-len(steps.rewards) :], targets[-len(steps.rewards) :])
        self._baseline.fit(seen[valid], targets.reshape(-1)[valid])

        values = self._baseline.predict(seen).reshape(shape)
        next_values = recent.next_values(values, self._baseline.predict(after))
        advantages = generalized_advantages(recent.rewards, discounts, recent.continues, values, next_values, lambda_)
        return recent, advantages, explained

    def _weigh(self, advantages: np.ndarray, rewards: np.ndarray) -> tuple[np.ndarray, float]:
        """Return advantages of mean 0 and unit spread, and how strong a signal they were."""
        spread = float(advantages.std())
        self._usual = self._usual.after(spread)
        scaled = (advantages - advantages.mean()) / (spread if spread > 0 else 1.0)
        return scaled.astype(np.float32), signal_strength(spread, _rms(rewards), self._usual.value)

    def _improve(
        self,
        recent: Steps,
        rows: np.ndarray,
        advantages: np.ndarray,
        signal: float,
        num_new: int,
        params: Mapping[str, Any],
    ) -> UpdateResult:
        num_steps = max(1, round(params["num_epochs"] * num_new / BATCH_SIZE))
        return self._update(
            [part[rows] for part in recent.flat_observations()],
            recent.actions.reshape(-1, *recent.actions.shape[2:])[rows],
            advantages,
            recent.log_probs.reshape(-1)[rows],
            minibatches(self._rng, len(rows), num_steps, BATCH_SIZE),
            {
                "learning_rate_factor": self._kl_factor * signal,
                "clip_ratio": params["clip_ratio"],
                "entropy_coef": params["entropy_coef"],
                "kl_limit": 2.0 * params["kl_target"] * fresh_share(num_new),
            },
        )


def fresh_share(num_new: int) -> float:
    """Return which share of the memory is new: a window that renews a tenth may move a tenth as far."""
    return min(1.0, num_new / MEMORY_STEPS)


def adapted_factor(factor: float, kl: float, target: float) -> float:
    """Return the learning-rate factor for the next update: down after a step too far, up after one too short."""
    low, high = FACTOR_BOUNDS
    if kl > 2.0 * target:
        return max(low, factor / FACTOR_STEP)
    if kl < 0.5 * target:
        return min(high, factor * FACTOR_STEP)
    return factor


@dataclass(frozen=True)
class UsualSpread:
    """The root mean square of all spreads of advantages so far, each window counting alike."""

    count: int = 0
    mean_square: float = 0.0

    @property
    def value(self) -> float:
        """The usual spread; 0 before the first."""
        return math.sqrt(self.mean_square)

    def after(self, spread: float) -> UsualSpread:
        """Return the usual spread with one more counted in."""
        count = self.count + 1
        return UsualSpread(count, self.mean_square + (spread**2 - self.mean_square) / count)


def signal_strength(spread: float, reward_scale: float, usual_spread: float) -> float:
    """Return by how much a step is to be shortened, in [0, 1].

    Advantages are brought to unit spread before they are learned from. Where nothing that was tried
    made a difference, as at the top of a task or before its first reward, that blows the baseline's
    noise up to full size, and steps of full size on noise wear a good policy out. So steps shrink
    with the spread, once it is below both a typical reward and what has been usual.
    """
    enough = min(reward_scale, usual_spread)
    return min(1.0, spread / enough) if enough > 0 else 1.0


def minibatches(rng: np.random.Generator, num_rows: int, num_steps: int, batch_size: int) -> np.ndarray:
    """Return row numbers ``[num_steps, batch_size]`` int32: shuffled passes, one after another."""
    needed = num_steps * batch_size
    passes = [rng.permutation(num_rows) for _ in range(-(-needed // num_rows))]
    return np.concatenate(passes)[:needed].reshape(num_steps, batch_size).astype(np.int32)


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))


def _explained_variance(values: np.ndarray, targets: np.ndarray) -> float:
    spread = float(np.var(targets))
    return 1.0 - float(np.var(targets - values)) / spread if spread > 0 else 0.0


def _scattered(values: np.ndarray, rows: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    full = np.zeros(int(np.prod(shape)), np.float32)
    full[rows] = values
    return full.reshape(shape)


def _below(prefix: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
