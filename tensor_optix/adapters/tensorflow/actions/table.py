"""Which kinds of action there are for policy gradients: a new one is a file beside this one, and a line here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tensor_optix.adapters.tensorflow.actions.action_sampler import PolicyHead
from tensor_optix.adapters.tensorflow.actions.clipped_gaussian import GaussianSampler
from tensor_optix.adapters.tensorflow.actions.discrete import DiscreteSampler
from tensor_optix.adapters.tensorflow.actions.multi_binary import MultiBinarySampler
from tensor_optix.adapters.tensorflow.actions.multi_discrete import MultiDiscreteSampler
from tensor_optix.exceptions import UnsupportedSpaceError

KINDS: list[type[PolicyHead]] = [
    DiscreteSampler,
    MultiDiscreteSampler,
    MultiBinarySampler,
    GaussianSampler,
]

ONE_OUTPUT_EACH: tuple[type[PolicyHead], ...] = (DiscreteSampler, GaussianSampler)
"""Those in which a model gives one number per action, or per dimension of an action."""


def head_for(action_space: Any, kinds: Sequence[type[PolicyHead]] | None = None) -> PolicyHead:
    """Return how a policy acts and learns in ``action_space``.

    Args:
        action_space: Space of one action.
        kinds: Those that the caller serves; all, if not given.

    Raises:
        UnsupportedSpaceError: The space is of none of these kinds.
    """
    kinds = KINDS if kinds is None else kinds
    for kind in kinds:
        if kind.serves(action_space):
            return kind.for_space(action_space)
    served = ", ".join(kind.served for kind in kinds[:-1]) + (", or " if len(kinds) > 2 else " or ")
    raise UnsupportedSpaceError(
        f"Actions must be {served if len(kinds) > 1 else ''}{kinds[-1].served}. Received: {action_space}. "
        "Wrap the environment so that its actions are one of these, or use another agent."
    )
