"""How good a policy is: whole, fresh, seeded episodes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from tensor_optix.core.checks import check_flags, check_int, check_seed, has_method
from tensor_optix.core.protocols import CanAct, EnvSource
from tensor_optix.core.storage.stateful import WithState
from tensor_optix.core.types import EvaluationResult
from tensor_optix.pipeline.acting import acting_in_evaluation
from tensor_optix.pipeline.environment_names import environment_named
from tensor_optix.pipeline.stepping.env_guard import open_env
from tensor_optix.pipeline.stepping.env_keeper import EnvKeeper
from tensor_optix.pipeline.stepping.env_kinds import kind_of

logger = logging.getLogger(__name__)

Act = Callable[[Any], Any]


def evaluate(
    agent_or_policy: CanAct | Act, env: EnvSource | str, num_episodes: int = 100, *, seed: int = 0, greedy: bool = True
) -> EvaluationResult:
    """Play whole episodes and return their mean return with a 95 % interval.

    Nothing changes in the agent: a copy of it acts (``acting_copy``), on the weights it has now, and
    explores from a generator of its own. Same seed, same episodes. In a vector environment each
    sub-environment plays a fixed share. Where no time limit is known, episodes are cut at 10,000 steps.
    Returns are in the environment's own reward, below Gymnasium's ``NormalizeReward``, ``TransformReward``
    and ``ClipReward``; where these are in other processes and it cannot be read, a warning says so.

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
    kind = kind_of(opened)
    guard = kind.guard(opened)
    try:
        act = acting_in_evaluation(agent_or_policy, guard, greedy=greedy, seed=seed)
        return kind.player(guard, act, num_episodes, seed).play(guard)
    finally:
        for note in guard.reward_notes():
            logger.warning("%s.", note[:1].upper() + note[1:])
        guard.let_go()
        if made_here:
            guard.close()


class EvaluationEnv(WithState):
    """Plays greedy episodes; what its wrappers carry from one to the next is part of the run's state.

    Use it in a ``with`` statement: what was made is closed at its end, an environment that was given stays open.

    Args:
        env: The environment, or a callable that makes one.
        on_env_error: What the pipeline does where its environment fails; here the same, if ``env`` is a callable.
    """

    state_of_others = EnvKeeper.state_of_others

    def __init__(self, env: Any, on_env_error: str = "raise") -> None:
        can_be_made_anew = callable(env) and not has_method(env, "step")
        self._source = env
        self._on_env_error = on_env_error if can_be_made_anew else "raise"
        self._opened: EnvKeeper | None = None if can_be_made_anew else EnvKeeper(env)

    @property
    def _env(self) -> EnvKeeper:
        """The environment, made when it is first needed."""
        if self._opened is None:
            self._opened = EnvKeeper(self._source, self._on_env_error)
        return self._opened

    def __enter__(self) -> EvaluationEnv:
        if not self._env.is_open:
            self._env.open()
        return self

    def __exit__(self, *exception: object) -> None:
        self._env.close()

    def __call__(self, act: Callable[[Any], Any], num_episodes: int, *, seed: int) -> EvaluationResult:
        """Play whole seeded episodes, see ``BatchPipeline.play_episodes``."""
        return self._env.play(act, num_episodes, seed)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know of the environment at the end of a run, in sentences."""
        return tuple(f"evaluation_env: {note}" for note in self._env.notes)

    @property
    def not_saved(self) -> list[str]:  # type: ignore[override]
        """See ``BatchPipeline``."""
        return self._env.not_saved

    @property
    def not_restored(self) -> list[str]:  # type: ignore[override]
        """See ``BatchPipeline``."""
        return self._env.not_restored

    def state_dict(self) -> dict[str, Any]:
        """Return what the wrappers carry from one episode to the next; how the environment fared is not kept."""
        return {"env": self._env.state_dict()["env"]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Give the wrappers back what they carried."""
        self._env.load_state_dict({**self._env.state_dict(), **state})
