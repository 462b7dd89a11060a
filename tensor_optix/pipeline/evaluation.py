"""How good a policy is: whole, fresh, seeded episodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tensor_optix.core.base_agent import BaseAgent, Policy
from tensor_optix.core.checks import check_flags, check_int, check_seed
from tensor_optix.core.protocols import CanAct, EnvSource
from tensor_optix.core.types import EvaluationResult
from tensor_optix.exceptions import InvalidTypeError
from tensor_optix.pipeline.environment_names import environment_named
from tensor_optix.pipeline.stepping.env_guard import EnvGuard, is_vector, open_env, space_of
from tensor_optix.pipeline.stepping.episode_player import SinglePlayer, VectorPlayer
from tensor_optix.pipeline.stepping.vector_env import VectorDriver

Act = Callable[[Any], Any]


def evaluate(
    agent_or_policy: CanAct | Act, env: EnvSource | str, num_episodes: int = 100, *, seed: int = 0, greedy: bool = True
) -> EvaluationResult:
    """Play whole episodes and return their mean return with a 95 % interval.

    Same seed, same episodes (an agent that explores draws from its own generator). In a vector
    environment each sub-environment plays a fixed share. Where no time limit is known, episodes
    are cut at 10,000 steps.

    Args:
        agent_or_policy: An agent, a ``Policy``, or a function of an observation. An agent that says
            ``is_bound`` is left as it is; any other with a ``bind`` method is bound to the spaces.
        env: ``gym.Env``, ``gym.vector.VectorEnv``, a callable that makes one (an ``EnvironmentName`` is one), or an
            id, also as ``module:id``; what is made here is closed here.
        num_episodes: How many episodes.
        seed: Source of the episodes' seeds.
        greedy: The best known action (``act_greedy``, ``act(greedy=True)``) instead of exploring.

    Raises:
        InvalidTypeError: It cannot act, or ``env`` is no environment.
        UnknownEnvironmentError: No environment is registered under the id.
        InvalidArgumentError: A number is out of range.
        EnvironmentFailureError: The environment raised, or gave NaN or infinity.

    Example:
        >>> result = evaluate(lambda observation: 1, "CartPole-v1", num_episodes=10)
        >>> result.num_episodes
        10
    """
    check_int("num_episodes", num_episodes, at_least=1)
    check_seed("seed", seed, optional=False)
    check_flags(greedy=greedy)
    opened, made_here = open_env(environment_named(env))
    driver = VectorDriver(opened) if is_vector(opened) else None
    guard = driver.guard if driver else EnvGuard(opened)
    try:
        num_envs = driver.num_envs if driver else 1
        act = _how_to_act(agent_or_policy, greedy, driver is not None)
        _bind(agent_or_policy, opened, num_envs)
        if driver:
            return VectorPlayer(driver, act(), num_episodes, seed).play(driver)
        return SinglePlayer(act(), num_episodes, seed).play(guard)
    finally:
        if made_here:
            guard.close()


def _bind(agent: Any, env: Any, num_envs: int) -> None:
    """Bind an agent that was never bound.

    No seed is passed: an agent that was bound before must not lose its random state here.
    """
    bind = getattr(agent, "bind", None)
    if bind is None or getattr(agent, "is_bound", False):
        return
    bind(space_of(env, "observation"), space_of(env, "action"), num_envs=num_envs)


def _how_to_act(actor: Any, greedy: bool, batched: bool) -> Callable[[], Act]:
    """Return what makes the function that acts, to be called once the actor is bound.

    Raises:
        InvalidTypeError: ``actor`` cannot act.
    """
    if isinstance(actor, type):
        raise InvalidTypeError(f"`agent_or_policy` is the class {actor.__name__}. Give an object of it.")
    if callable(getattr(actor, "act_greedy", None)):
        return lambda: _act_of_agent(actor, greedy, batched)
    if isinstance(actor, Policy):
        return lambda: _act_of_policy(actor, greedy)
    if callable(getattr(actor, "act", None)):
        return lambda: actor.act
    if callable(actor):
        return lambda: actor
    raise InvalidTypeError(
        "`agent_or_policy` must be an agent or policy with a method act(observation), or a function of an "
        f"observation. Received: {actor!r} of type {type(actor).__name__}."
    )


def _act_of_policy(policy: Policy, greedy: bool) -> Act:
    return _Act(lambda obs: policy.act(obs, greedy=greedy), lambda obs: policy.act_batch(obs, greedy=greedy))


def _act_of_agent(agent: Any, greedy: bool, batched: bool) -> Act:
    one = agent.act_greedy if greedy else agent.act
    if not batched:
        return one  # type: ignore[no-any-return]
    batch = _greedy_batch(agent) if greedy else _own_act_batch(agent)
    return one if batch is None else _Act(one, batch)


def _own_act_batch(agent: Any) -> Act | None:
    """Return ``act_batch`` where the agent has more than the default one, which knows no dicts."""
    own = getattr(type(agent), "act_batch", BaseAgent.act_batch) is not BaseAgent.act_batch
    return agent.act_batch if own else None


def _greedy_batch(agent: Any) -> Act | None:
    own = getattr(agent, "act_batch_greedy", None)
    if own is not None:
        return own  # type: ignore[no-any-return]
    try:
        policy = agent.policy()
    except (AttributeError, NotImplementedError):
        return None
    return lambda observations: policy.act_batch(observations, greedy=True)


class _Act:
    """Acts on one observation, and with ``batch`` on those of all environments at once."""

    def __init__(self, one: Act, batch: Act) -> None:
        self._one = one
        self.batch = batch

    def __call__(self, observation: Any) -> Any:
        return self._one(observation)
