"""How ``TFAgent`` learns by default: a policy gradient on recent steps, over a linear value baseline."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tensor_optix.adapters.tensorflow.learning.on_policy_learner import (
    KLControl,
    OnPolicyLearner,
    advantages_and_returns,
    draw_minibatches,
    explained_variance,
)
from tensor_optix.adapters.tensorflow.learning.recent_steps import RecentSteps, StepLayout
from tensor_optix.adapters.tensorflow.learning.reward_units import RewardLevel, RewardUnits
from tensor_optix.adapters.tensorflow.learning.surrogate_update import StepRule, SurrogateUpdate
from tensor_optix.adapters.tensorflow.learning.value_baseline import ValueBaseline
from tensor_optix.adapters.tensorflow.learning.window_steps import Steps
from tensor_optix.exceptions import NonFiniteError
from tensor_optix.functional.returns import discounted_returns, lambda_returns

MEMORY_STEPS = 2048
BATCH_SIZE = 256
STEP_RULE = StepRule(kl_rows=BATCH_SIZE, oversteps=False, bounds_norm=False, batch_size=BATCH_SIZE)
DIAGNOSTICS = ("loss", "grad_norm", "entropy", "kl", "kl_from_behaviour", "num_gradient_steps")
WEAK_SIGNAL = 0.1
"""Below it the KL of a step is mostly rounding, and says nothing about the learning rate."""


class PolicyLearner(OnPolicyLearner):
    """Learns from one window after another.

    Each window joins the recent steps; values are fitted to their lambda-returns, of rewards less their
    level (:class:`RewardLevel`); advantages are
    worked out anew for all of them; and some passes of minibatches follow on the clipped surrogate
    loss. The learning rate is multiplied by a factor that holds the policy's step, measured as KL
    divergence, near its target.

    Args:
        update: Takes the gradient steps.
        rng: Draws the minibatches.
        baseline: Predicts values.
        layout: What steps look like.
    """

    control = KLControl(step=1.5, low=0.01, high=10.0)

    def __init__(
        self, update: SurrogateUpdate, rng: np.random.Generator, baseline: ValueBaseline, layout: StepLayout
    ) -> None:
        super().__init__(update, rng)
        self._baseline = baseline
        self._recent = RecentSteps(MEMORY_STEPS, layout)
        self._level = RewardLevel()
        self._usual = UsualSpread()

    def learn(self, steps: Steps, params: Mapping[str, Any]) -> dict[str, float]:
        """Update the policy from one more window."""
        if not steps.valid.any():
            told = {"kl_factor": self.kl_factor, "signal": 1.0, "explained_variance": 0.0}
            return dict.fromkeys(DIAGNOSTICS, 0.0) | told
        level_before = self._level.state_dict()
        if self._level.observe(steps.rewards, steps.terminated, steps.ended, steps.valid, steps.fresh_start):
            self._baseline.forget_values()
        recent, advantages, explained = self._take_in(steps, params, self._level.units(params["gamma"]))
        valid, num_new = recent.valid.reshape(-1), int(steps.valid.sum())
        scaled, signal = self._weigh(advantages, recent.rewards.reshape(-1), valid)
        num_steps = max(1, round(params["num_epochs"] * num_new / BATCH_SIZE)) if valid.any() else 0
        batches = draw_minibatches(self._rng, valid, num_steps, BATCH_SIZE)
        rated = self._update.rate(recent)
        settings = {
            "learning_rate_factor": self.kl_factor * signal,
            "clip_ratio": params["clip_ratio"],
            "entropy_coef": params["entropy_coef"],
            "value_coef": 0.0,
            "max_grad_norm": math.inf,
            "kl_limit": 2.0 * params["kl_target"] * fresh_share(num_new),
        }
        try:
            found, log_probs = self._update(rated, scaled, np.zeros_like(scaled), batches, num_steps, settings)
        except NonFiniteError:
            self._recent.forget_newest()
            self._level.load_state_dict(level_before)
            raise
        self._recent.fill_log_probs(log_probs.reshape(recent.rewards.shape))
        factor = self.kl_factor
        if signal > WEAK_SIGNAL:
            # A step shortened by s moves the policy by s^2 in KL.
            target = params["kl_target"] * fresh_share(steps.size) * signal**2
            self.kl_factor = self.control.next_factor(factor, found["kl"], target)
        told = {"kl_factor": factor, "signal": signal, "explained_variance": explained}
        return {name: found[name] for name in DIAGNOSTICS} | told

    def returns_of(self, steps: Steps, params: Mapping[str, Any]) -> np.ndarray:
        """Return discounted returns ``[T, N]`` of a window, bootstrapped where it was cut."""
        self._take_in(steps, params, RewardUnits())
        features = self._baseline.features(steps.successors)
        next_values = steps.next_values(np.zeros(steps.rewards.shape), self._baseline.predict(features))
        discounts = params["gamma"] * ~steps.terminated
        return discounted_returns(steps.rewards, discounts, ~steps.cut, next_values)

    def on_world_change(self) -> None:
        """Forget what the old world taught about values, and how far a step may go."""
        super().on_world_change()
        self._recent.clear()
        self._baseline.reset()
        self._level = RewardLevel()
        self._usual = UsualSpread()

    def lose_place(self) -> None:
        """Forget how far the running episodes are."""
        self._level.lose_place()

    def load_state_dict(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
        """Become the learner whose ``state_dict`` this is."""
        super().load_state_dict(arrays, meta)
        self._usual = UsualSpread(*meta["usual_spread"])

    def _parts(self) -> dict[str, Any]:
        return {"baseline": self._baseline, "recent": self._recent, "level": self._level}

    def _told(self) -> dict[str, Any]:
        return {**super()._told(), "usual_spread": [self._usual.count, self._usual.mean_square]}

    def _take_in(self, steps: Steps, params: Mapping[str, Any], units: RewardUnits) -> tuple[Steps, np.ndarray, float]:
        """Add a window, fit values, and return all recent steps, rewards in ``units``, with advantages ``[T * N]``."""
        self._baseline.observe(steps.valid_observations())
        self._recent.append(steps)
        recent = self._recent.all()
        if not units.is_neutral:
            recent.rewards = np.where(recent.valid, units.convert(recent.rewards, recent.terminated), 0.0)
        valid = recent.valid.reshape(-1)
        seen = self._baseline.features(recent.flat_observations())
        after = self._baseline.features(recent.successors)
        gamma, lambda_ = float(params["gamma"]), float(params["gae_lambda"])

        values = self._baseline.predict(seen)
        next_values = recent.next_values(values.reshape(recent.rewards.shape), self._baseline.predict(after))
        discounts = gamma * ~recent.terminated
        targets = lambda_returns(recent.rewards, discounts, recent.continues, next_values, lambda_).reshape(-1)
        is_new = np.arange(recent.size) >= recent.size - steps.size
        explained = explained_variance(values, targets, is_new)
        self._baseline.fit(seen[valid], targets[valid])

        values, after_values = self._baseline.predict(seen), self._baseline.predict(after)
        advantages, _ = advantages_and_returns(recent, recent.rewards, values, after_values, gamma, lambda_)
        return recent, advantages, explained

    def _weigh(self, advantages: np.ndarray, rewards: np.ndarray, valid: np.ndarray) -> tuple[np.ndarray, float]:
        """Return advantages of mean 0 and unit spread where ``valid``, and how strong a signal they were."""
        counted = advantages[valid]
        spread = float(counted.std())
        self._usual = self._usual.after(spread)
        scaled = (advantages - counted.mean()) / (spread if spread > 0 else 1.0)
        return scaled, signal_strength(spread, _rms(rewards[valid]), self._usual.value)


def fresh_share(num_new: int) -> float:
    """Return which share of the memory is new: a window that renews a tenth may move a tenth as far."""
    return min(1.0, num_new / MEMORY_STEPS)


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


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))
