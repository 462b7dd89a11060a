"""How good a policy is: whole, fresh, seeded episodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal

from tensor_optix.core.base_agent import BaseAgent, Policy
from tensor_optix.core.checks import check_flags, check_int, check_seed
from tensor_optix.core.protocols import CanAct, EnvSource
from tensor_optix.core.types import EvaluationResult
from tensor_optix.exceptions import InvalidTypeError
from tensor_optix.pipeline.batch_pipeline import BatchPipeline
from tensor_optix.pipeline.environment_names import environment_named
from tensor_optix.pipeline.stepping.env_guard import EnvGuard, is_vector, open_env, space_of
from tensor_optix.pipeline.stepping.env_state import OF_OTHERS, env_state, not_saved, restore_env_state
from tensor_optix.pipeline.stepping.episode_player import SinglePlayer, VectorPlayer
from tensor_optix.pipeline.stepping.vector_env import VectorDriver

Act = Callable[[Any], Any]


def evaluate(
    agent_or_policy: CanAct | Act, env: EnvSource | str, num_episodes: int = 100, *, seed: int = 0, greedy: bool = True
) -> EvaluationResult:
    """Play whole episodes and return their mean return with a 95 % interval.

    Nothing changes in the agent: a copy of it acts (``acting_copy``), on the weights it has now, and
    explores from a generator of its own. Same seed, same episodes. In a vector environment each
    sub-environment plays a fixed share. Where no time limit is known, episodes are cut at 10,000 steps.

    Args:
        agent_or_policy: An agent, a ``Policy``, or a function of an observation. An agent that cannot
            give a copy of itself acts as it is, and is bound to the spaces unless it says ``is_bound``.
        env: ``gym.Env``, ``gym.vector.VectorEnv``, a callable that makes one (an ``EnvironmentName`` is one), or an
            id, also as ``module:id``; what is made here is closed here.
        num_episodes: How many episodes.
        seed: Source of the episodes' seeds.
        greedy: The best known action (``act_greedy``, ``act(greedy=True)``) instead of exploring.

    Raises:
        InvalidTypeError: It cannot act, or ``env`` is no environment.
        UnsupportedSpaceError: The agent cannot act in this environment's spaces.
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
        _require_actor(agent_or_policy)
        actor = _ready(agent_or_policy, opened, num_envs, seed)
        act = _how_to_act(actor, greedy, driver is not None)
        if driver:
            return VectorPlayer(driver, act, num_episodes, seed).play(driver)
        return SinglePlayer(act, num_episodes, seed).play(guard)
    finally:
        if made_here:
            guard.close()


class EvaluationEnv:
    """Plays greedy episodes; what its wrappers carry from one to the next is part of the run's state.

    Use it in a ``with`` statement: what was made is closed at its end, an environment that was given stays open.

    Args:
        env: The environment, or a callable that makes one.
        on_env_error: What the pipeline does where its environment fails; here the same, if ``env`` is a callable.

    Attributes:
        not_saved: See ``BatchPipeline``.
        not_restored: See ``BatchPipeline``.
    """

    state_of_others: ClassVar[tuple[str, ...]] = OF_OTHERS

    def __init__(self, env: Any, on_env_error: Literal["raise", "restart"] = "raise") -> None:
        can_be_made_anew = callable(env) and not callable(getattr(env, "step", None))
        self._source = env
        self._on_env_error: Literal["raise", "restart"] = on_env_error if can_be_made_anew else "raise"
        self._opened: BatchPipeline | None = None if can_be_made_anew else BatchPipeline(env)
        self.not_saved: list[str] = []
        self.not_restored: list[str] = []

    @property
    def _pipeline(self) -> BatchPipeline:
        """What plays; it makes the environment when it is first needed."""
        if self._opened is None:
            self._opened = BatchPipeline(self._source, on_env_error=self._on_env_error)
        return self._opened

    def __enter__(self) -> EvaluationEnv:
        self._pipeline.setup()
        return self

    def __exit__(self, *exception: object) -> None:
        self._pipeline.teardown()

    def __call__(self, act: Callable[[Any], Any], num_episodes: int, *, seed: int) -> EvaluationResult:
        """Play whole seeded episodes, see ``BatchPipeline.play_episodes``."""
        return self._pipeline.play_episodes(act, num_episodes, seed=seed)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know of the environment at the end of a run, in sentences."""
        return tuple(f"evaluation_env: {note}" for note in self._pipeline.notes)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the wrappers."""
        states = env_state(self._pipeline.env)
        self.not_saved = not_saved(states)
        return {"env": states}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Give the wrappers their state back."""
        self.not_restored = restore_env_state(self._pipeline.env, state["env"])


def _ready(actor: Any, env: Any, num_envs: int, seed: int) -> Any:
    """Return what acts in ``env``: a copy of an agent that can give one, so that playing changes nothing in it.

    Any other agent is bound, unless it says that it is. No seed is passed: if it was bound before,
    it must not lose its random state here.
    """
    spaces = space_of(env, "observation"), space_of(env, "action")
    make_copy = getattr(actor, "acting_copy", None)
    acting = make_copy(*spaces, seed=seed) if callable(make_copy) else None
    if acting is not None:
        return acting
    bind = getattr(actor, "bind", None)
    if bind is not None and not getattr(actor, "is_bound", False):
        bind(*spaces, num_envs=num_envs)
    return actor


def _require_actor(actor: Any) -> None:
    """Raise unless ``actor`` can act.

    Raises:
        InvalidTypeError: It cannot.
    """
    can_act = any(callable(getattr(actor, name, None)) for name in ("act_greedy", "act"))
    if isinstance(actor, type) and can_act:
        raise InvalidTypeError(f"`agent_or_policy` is the class {actor.__name__}. Give an object of it.")
    if can_act or (callable(actor) and not isinstance(actor, type)):
        return
    raise InvalidTypeError(
        "`agent_or_policy` must be an agent or policy with a method act(observation), or a function of an "
        f"observation. Received: {actor!r} of type {type(actor).__name__}."
    )


def _how_to_act(actor: Any, greedy: bool, batched: bool) -> Act:
    if callable(getattr(actor, "act_greedy", None)):
        return _act_of_agent(actor, greedy, batched)
    if isinstance(actor, Policy):
        return _act_of_policy(actor, greedy)
    return getattr(actor, "act", actor)  # type: ignore[no-any-return]


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
