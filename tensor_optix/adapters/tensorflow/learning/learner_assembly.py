"""Puts together what ``TFAgent`` learns with, for a model and its spaces."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tensor_optix.adapters.tensorflow.learning.policy_learner import PolicyLearner
from tensor_optix.adapters.tensorflow.learning.policy_update import PolicyUpdate
from tensor_optix.adapters.tensorflow.learning.value_baseline import ValueBaseline
from tensor_optix.adapters.tensorflow.models.model_checks import discrete_sizes
from tensor_optix.functional.seeding import derive_rng


def assemble_learner(agent: Any) -> PolicyLearner:
    """Return the learner of a bound agent; nothing is traced before its first window."""
    inputs = agent._inputs
    sizes = discrete_sizes(agent._spaces[0], inputs)
    baseline = ValueBaseline(derive_rng(agent._seed, "baseline"), inputs.shapes, sizes)
    return PolicyLearner(baseline, assemble_update(agent), derive_rng(agent._seed, "learn"))


def assemble_update(agent: Any) -> PolicyUpdate:
    """Return what takes the gradient steps, on the agent's variables and with its sampler's density."""
    inputs = agent._inputs
    part_specs = [
        tf.TensorSpec((None, *shape), dtype) for shape, dtype in zip(inputs.shapes, agent._part_dtypes, strict=True)
    ]
    groups = [(agent.optimizer, agent.model.trainable_variables)]
    if agent._log_std is not None:
        groups.append((agent._spread_optimizer, [agent._log_std]))
    head = agent._sampler
    return PolicyUpdate(agent._outputs, head.density(agent._log_std), groups, part_specs, head.encoded_spec)
