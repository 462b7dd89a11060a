"""What ``bind`` makes of an agent: a fresh one, or what it was, in a new environment with another seed.

A fresh agent is made anew for each seed, so that a run depends on its seed alone. One that has
learned, was loaded or was given a state is never made anew: it is only reseeded. Where the user put
weights of their own into a fresh one, its networks stay and the rest is made around them.
"""

from __future__ import annotations

import copy
import logging
from typing import Any

import gymnasium as gym

from tensor_optix.adapters.tensorflow.acting.noise_stream import NoiseStream
from tensor_optix.adapters.tensorflow.models.model_checks import example_of
from tensor_optix.adapters.tensorflow.models.served_spaces import Spaces, bounds_differ, require_served
from tensor_optix.adapters.tensorflow.saving.agent_arrays import digest
from tensor_optix.adapters.tensorflow.saving.attached_copies import attached_copies
from tensor_optix.core.checks import check_instance, check_int, check_seed
from tensor_optix.exceptions import UnsupportedSpaceError
from tensor_optix.functional.seeding import derive_rng

logger = logging.getLogger(__name__)


def bind(agent: Any, spaces: Spaces, seed: int | None, num_envs: int = 1) -> None:
    """Get an agent ready for the spaces of an environment, and seed all its randomness.

    Raises:
        UnsupportedSpaceError: The agent cannot act there, or what it holds was learned elsewhere.
        IncompatibleModelError: The user's model does not fit.
        InvalidTypeError: A space, a count or a seed is none.
    """
    for name, space in zip(("observation_space", "action_space"), spaces, strict=True):
        check_instance(name, space, gym.spaces.Space)
    check_int("num_envs", num_envs, at_least=1)
    check_seed("seed", seed)
    seed = None if seed is None else int(seed)
    if agent._sampler is None:
        _make(agent, spaces, seed)
    elif agent._has_learned:
        _go_on(agent, spaces, seed)
    elif holds_own_weights(agent):
        agent._keep_networks()
        _make(agent, spaces, seed)
        if getattr(agent, "normalize_observations", False):
            logger.warning(
                "The networks hold weights of your own, and %s will normalise observations from its first window on. "
                "If they were trained on observations as they are, make the agent with normalize_observations=False.",
                type(agent).__name__,
            )
    elif agent._spaces != spaces or seed not in (None, agent._seed):
        _make(agent, spaces, seed)


def weights_digest(agent: Any) -> str:
    """Return a checksum of all weights of the agent's networks."""
    groups = [*agent._policy_variables(), *agent._learner_variables()]
    return digest([v for name, variables in groups if not name.startswith("optimizer") for v in variables])


def holds_own_weights(agent: Any) -> bool:
    """Tell whether someone else changed the networks since they were made."""
    return bool(agent._weights_as_made != weights_digest(agent))


def acting_copy(agent: Any, spaces: Spaces, seed: int) -> Any:
    """Return an agent that acts as this one, on its weights of now, in an environment of these spaces.

    Raises:
        UnsupportedSpaceError: The agent cannot act there.
        IncompatibleModelError: The user's model does not fit.
    """
    twin = copy.copy(agent)
    vars(twin).update(attached_copies(agent))
    if agent._sampler is None:
        twin.optimizer = type(agent.optimizer).from_config(agent.optimizer.get_config())
        twin.bind(*spaces, seed=agent._seed)
    else:
        known = _known_spaces(agent, spaces)
        require_served(known, spaces, agent._sampler)
        agent.refresh()  # weights that were set from outside count, too
        twin._sampler = agent._sampler.in_space(known[1], spaces[1])
        twin._forward = agent._forward.snapshot()
    twin._noise = NoiseStream(derive_rng(seed, "explore"), twin._sampler.draw_noise)
    return twin


def _make(agent: Any, spaces: Spaces, seed: int | None) -> None:
    """Make everything anew, but models that the user gave."""
    sampler = agent._sampler_for(spaces[1])
    example = example_of(spaces[0])
    earlier_seed = agent._seed
    agent._seed = earlier_seed if seed is None else seed
    try:
        inputs = agent._fit_models(*spaces, sampler, example)
    except Exception:
        agent._seed = earlier_seed
        raise
    agent._spaces = spaces
    agent._assemble(inputs, sampler, example)


def _go_on(agent: Any, spaces: Spaces, seed: int | None) -> None:
    """Keep all that was learned; what is random follows the new seed."""
    known = _known_spaces(agent, spaces)
    require_served(known, spaces, agent._sampler)
    if bounds_differ(known[1], spaces[1]):
        logger.warning(
            "The agent learned to act in %s; here actions are in %s. They keep their scale, and stay inside both.",
            known[1],
            spaces[1],
        )
    if agent._spaces != known:
        agent._spaces, agent._architecture = known, None
    agent._serve(agent._sampler.in_space(known[1], spaces[1]))
    agent.refresh()
    if seed not in (None, agent._seed):
        agent._reseed(seed)


def _known_spaces(agent: Any, spaces: Spaces) -> Spaces:
    """Return the spaces that the networks were made for, as far as is known where nobody ever called ``bind``.

    Raises:
        IncompatibleModelError: The model takes no such observations.
        UnsupportedSpaceError: The actions are other ones than it took so far.
    """
    if agent._spaces[1] is not None:
        known: Spaces = agent._spaces
        return known
    agent._inputs.flat(example_of(spaces[0]), batched=False)
    size = agent._sampler.num_outputs
    if not isinstance(spaces[1], gym.spaces.Discrete) or spaces[1].n != size:
        raise UnsupportedSpaceError(
            f"Without bind() the agent took its {size} outputs for the logits of {size} actions; this environment's "
            f"actions are in {spaces[1]}. Call bind(observation_space, action_space) before it acts or learns."
        )
    return spaces[0], gym.spaces.Discrete(size)
