"""Who acts in a pipeline or an evaluation, and how: on one observation, or on those of a whole vector environment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tensor_optix.core.base_agent import BaseAgent, Policy
from tensor_optix.core.base_pipeline import BasePipeline
from tensor_optix.core.checks import check_methods, check_seed, has_method
from tensor_optix.core.mask_layout import takes_masks
from tensor_optix.core.policy_actor import PolicyActor
from tensor_optix.core.protocols import CanAct, completed, original
from tensor_optix.exceptions import InvalidTypeError, NotBoundError
from tensor_optix.functional.seeding import fresh_seed
from tensor_optix.pipeline.stepping.collectors import Act
from tensor_optix.pipeline.stepping.env_guard import EnvGuard
from tensor_optix.pipeline.stepping.episode_player import rowwise


class ActingPipeline(BasePipeline):
    """A pipeline in which an agent acts, and that owns its randomness.

    Args:
        agent: What acts, or None until ``set_agent``.
        seed: Source of all the pipeline's randomness. None: the one of ``set_seed``, or drawn.

    Raises:
        InvalidTypeError: ``agent`` cannot act, or the seed is no integer.
        InvalidArgumentError: The seed is below 0.
    """

    def __init__(self, agent: CanAct | None, seed: int | None) -> None:
        check_seed("seed", seed)
        self._agent: BaseAgent | None = None
        self._seed = seed
        self._seed_was_given = seed is not None
        if agent is not None:
            self.set_agent(agent)

    @property
    def agent(self) -> Any:
        """The agent that acts, or None where not told yet."""
        return original(self._agent)

    def set_agent(self, agent: CanAct) -> None:
        """Take the agent that acts from now on.

        Raises:
            InvalidTypeError: It has no ``act`` method.
        """
        check_methods("agent", agent, "act")
        self._agent = completed(agent, BaseAgent)  # type: ignore[type-abstract]

    @property
    def seed(self) -> int:
        """Source of the pipeline's randomness; drawn when first asked for and none was given."""
        if self._seed is None:
            self._seed = fresh_seed()
        return self._seed

    def set_seed(self, seed: int) -> None:
        """Take the source of randomness, unless one was given to the constructor."""
        check_seed("seed", seed, optional=False)
        if not self._seed_was_given:
            self._seed = seed

    def _acting_agent(self) -> BaseAgent:
        if self._agent is None:
            raise NotBoundError(
                f"{type(self).__name__} has no agent to act with. Pass `agent=` or call set_agent(agent) first."
            )
        return self._agent


def acting_in_training(agent: BaseAgent, guard: EnvGuard) -> Act:
    """Return how an agent acts while it learns: on one observation, or on all of a vector environment."""
    own = original(agent)  # asked at each step, so without a stand-in's call between
    if not guard.is_vector:
        return own.act  # type: ignore[no-any-return]
    return own.act_batch if agent.acts_on_many() else rowwise(own.act, guard.num_envs, guard.space("action"))


def acting_in_evaluation(
    agent_or_policy: Any, guard: EnvGuard, *, greedy: bool, seed: int, name: str = "agent_or_policy"
) -> Act:
    """Return how an agent, a policy or a function acts while it is evaluated.

    A copy of an agent that can give one acts, so that playing changes nothing in it. Any other agent is bound,
    unless it says that it is. No seed is passed: if it was bound before, it must not lose its random state here.

    Args:
        agent_or_policy: What was given.
        guard: Where it is to act.
        greedy: Whether it explores.
        seed: Source of the copy's exploration.
        name: The argument, for messages.

    Raises:
        InvalidTypeError: It cannot act.
    """
    if not _is_agent(agent_or_policy, name):
        return _act_of_policy(agent_or_policy, greedy)
    actor = completed(agent_or_policy, BaseAgent)  # type: ignore[type-abstract]
    spaces = guard.space("observation"), guard.space("action")
    agent = actor.acting_copy(*spaces, seed=seed)
    if agent is None:
        agent = actor
        if not agent.is_bound:
            agent.bind(*spaces, num_envs=guard.num_envs)
    one = agent.act_greedy if greedy else agent.act
    batch = _batch_of(agent, greedy) if guard.is_vector else None
    return one if batch is None else _Act(one, batch, takes_masks(agent))


def acting_as_baseline(baseline: Any) -> Act:
    """Return how what a run is compared with acts, greedily: a policy, a function, or an agent that was bound.

    Args:
        baseline: What was given.

    Raises:
        InvalidTypeError: It cannot act.
        NotBoundError: It is an agent that was never bound.
    """
    if not _is_agent(baseline, "baseline"):
        return _act_of_policy(baseline, greedy=True)
    agent = completed(baseline, BaseAgent)  # type: ignore[type-abstract]
    try:
        return _act_of_policy(agent.policy(), greedy=True)
    except NotImplementedError:
        act = _Act(agent.act_greedy, None, takes_masks(agent))
        act.begin_episodes = agent.begin_episodes
        return act


def _is_agent(actor: Any, name: str) -> bool:
    """Tell whether it is an agent, as far as one must be it to act; else it is a policy or a function.

    Raises:
        InvalidTypeError: It cannot act.
    """
    can_act = any(has_method(actor, name) for name in ("act_greedy", "act"))
    if isinstance(actor, type) and can_act:
        raise InvalidTypeError(f"`{name}` is the class {actor.__name__}. Give an object of it.")
    if can_act:
        return has_method(actor, "act_greedy") or not isinstance(actor, Policy)
    if callable(actor) and not isinstance(actor, type):
        return False
    raise InvalidTypeError(
        f"`{name}` must be an agent or policy with a method act(observation), or a function of an "
        f"observation. Received: {actor!r} of type {type(actor).__name__}."
    )


def _act_of_policy(policy: Any, greedy: bool) -> Act:
    if not isinstance(policy, Policy):
        return policy  # type: ignore[no-any-return]
    return PolicyActor(policy, greedy=greedy)


def _batch_of(agent: BaseAgent, greedy: bool) -> Act | None:
    """Return how an agent acts on many observations at once; None where it only ever acts on one."""
    if not greedy:
        return agent.act_batch if agent.acts_on_many() else None
    try:
        policy = agent.policy()
    except NotImplementedError:
        return None
    return PolicyActor(policy, greedy=True).batch


class _Act:
    """Acts on one observation, and with ``batch`` on those of all environments at once."""

    def __init__(self, one: Act, batch: Act | None, uses_action_masks: bool) -> None:
        self._one = one
        self.batch = batch
        self.uses_action_masks = uses_action_masks
        self.begin_episodes: Callable[[Any], None] | None = None

    def __call__(self, observation: Any, **beside: Any) -> Any:
        return self._one(observation, **beside)
