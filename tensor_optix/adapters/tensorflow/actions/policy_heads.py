"""What each kind of action space needs: how to sample, how to weigh, and how many outputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import gymnasium as gym
import numpy as np
import tensorflow as tf

from tensor_optix.adapters.tensorflow.actions.action_sampling import ActionSampler, DiscreteSampler, GaussianSampler
from tensor_optix.adapters.tensorflow.actions.distributions import Categorical, ClippedGaussian, Distribution
from tensor_optix.adapters.tensorflow.actions.multi_action_sampling import MultiBinarySampler, MultiDiscreteSampler
from tensor_optix.adapters.tensorflow.actions.multi_distributions import Bernoulli, MultiCategorical
from tensor_optix.exceptions import UnsupportedSpaceError


@dataclass(frozen=True)
class PolicyHead:
    """The acting and the learning half of a policy over one action space.

    Attributes:
        sampler: From outputs to actions, and from actions to encoded ones, in NumPy.
        action_spec: Shape and dtype of encoded actions, batch first.
        make_distribution: From the log of the spread (None where there is none) to the density.
        outputs_mean: What each output stands for, for error messages.
    """

    sampler: ActionSampler
    action_spec: tf.TensorSpec
    make_distribution: Callable[[Any], Distribution]
    outputs_mean: str

    @property
    def has_spread(self) -> bool:
        """Whether a learned spread belongs to the policy."""
        return isinstance(self.sampler, GaussianSampler)


def head_for(action_space: Any, initial_std: float) -> PolicyHead:
    """Return the head for a Discrete, MultiDiscrete, MultiBinary or float Box space.

    Args:
        action_space: Space of one action.
        initial_std: First spread of a Box's Gaussian, where 1 is half the width of the Box.

    Raises:
        UnsupportedSpaceError: The space is of another kind.
    """
    if isinstance(action_space, gym.spaces.Discrete):
        sampler = DiscreteSampler(int(action_space.n), int(action_space.start))
        return PolicyHead(sampler, _row(tf.int32), lambda _: Categorical(), "one logit per action")
    if isinstance(action_space, gym.spaces.MultiDiscrete):
        choices = MultiDiscreteSampler.for_space(action_space)
        spec = _row(tf.int32, len(choices.sizes))
        return PolicyHead(choices, spec, lambda _: MultiCategorical(choices.sizes), "one logit per option")
    if isinstance(action_space, gym.spaces.MultiBinary):
        bits = MultiBinarySampler.for_space(action_space)
        return PolicyHead(bits, _row(tf.float32, bits.num_outputs), lambda _: Bernoulli(), "one log-odds per bit")
    if isinstance(action_space, gym.spaces.Box) and np.issubdtype(action_space.dtype, np.floating):
        return _box_head(GaussianSampler.for_bounds(action_space.low, action_space.high, initial_std))
    raise UnsupportedSpaceError(
        "Actions must be Discrete, MultiDiscrete, MultiBinary, or a Box of floats. "
        f"Received: {action_space}. Wrap the environment so that its actions are one of these."
    )


def head_in(head: PolicyHead, sampler: ActionSampler) -> PolicyHead:
    """Return the head of the same policy where another sampler takes its outputs."""
    return _box_head(sampler) if isinstance(sampler, GaussianSampler) else replace(head, sampler=sampler)


def _box_head(box: GaussianSampler) -> PolicyHead:
    bounds = [box.to_units(bound) for bound in (box.low, box.high)]
    return PolicyHead(
        box,
        _row(tf.float32, box.num_outputs),
        lambda log_std: ClippedGaussian(log_std, *bounds),
        "one mean per action dimension",
    )


def _row(dtype: Any, *sizes: int) -> tf.TensorSpec:
    return tf.TensorSpec((None, *sizes), dtype)
