"""How good a policy is: whole, fresh, seeded episodes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from tensor_optix.core.checks import check_flags, check_int, check_seed
from tensor_optix.core.protocols import CanAct, EnvSource
from tensor_optix.core.types import EvaluationResult
from tensor_optix.exceptions import StateMismatchError
from tensor_optix.pipeline.acting import acting_in_evaluation
from tensor_optix.pipeline.environment_names import environment_named
from tensor_optix.pipeline.stepping.action_masks import AskedMasks, check_asked
from tensor_optix.pipeline.stepping.collectors import Act
from tensor_optix.pipeline.stepping.env_guard import is_env, open_env
from tensor_optix.pipeline.stepping.env_keeper import EnvKeeper
from tensor_optix.pipeline.stepping.env_kinds import kind_of
from tensor_optix.pipeline.stepping.env_state import env_state, restore_env_state
from tensor_optix.pipeline.stepping.fresh_wrappers import give_statistics

logger = logging.getLogger(__name__)


def evaluate(
    agent_or_policy: CanAct | Act,
    env: EnvSource | str,
    num_episodes: int = 100,
    *,
    seed: int = 0,
    greedy: bool = True,
    action_mask: AskedMasks = "auto",
    against: CanAct | Act | None = None,
) -> EvaluationResult:
    """Play whole episodes and return their mean return with a 95 % interval.

    Nothing changes in the agent: a copy of it acts (``acting_copy``), on the weights it has now, and
    explores from a generator of its own. Same seed, same episodes. In a vector environment each
    sub-environment plays a fixed share. Where no time limit is known (a spec's ``max_episode_steps``, or a
    ``gymnasium.wrappers.TimeLimit``), episodes are cut at 10,000 steps; ``num_cut`` of the result says how many were.
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
        action_mask: Where it is told which actions are allowed, as ``BatchPipeline`` takes it; for who takes masks.
        against: Another agent, policy or function, which then plays the very same episodes, in wrappers that are what
            they were: ``difference`` of the result, and its interval, are paired by seed. Its own result is
            ``against`` of the result.

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
    check_asked(action_mask, None)
    opened, made_here = open_env(environment_named(env))
    kind = kind_of(opened)
    guard = kind.guard(opened)
    guard.asked_masks = action_mask
    try:
        act = acting_in_evaluation(agent_or_policy, guard, greedy=greedy, seed=seed)
        if against is None:
            return kind.player(guard, act, num_episodes, seed).play(guard)
        other = acting_in_evaluation(against, guard, greedy=greedy, seed=seed, name="against")
        carried = env_state(guard.env)
        played = kind.player(guard, act, num_episodes, seed).play(guard)
        restore_env_state(guard.env, carried)
        return replace(played, against=kind.player(guard, other, num_episodes, seed).play(guard))
    finally:
        for note in guard.reward_notes():
            logger.warning("%s.", note[:1].upper() + note[1:])
        guard.let_go()
        if made_here:
            guard.close()


class EvaluationEnv(EnvKeeper):
    """Plays greedy episodes; what its wrappers carry from one to the next is part of the run's state.

    Use it in a ``with`` statement: what was made is closed at its end, an environment that was given stays open.

    Args:
        env: The environment, or a callable that makes one.
        on_env_error: What the pipeline does where its environment fails; here the same, if ``env`` is a callable.
        gathered: Tells what the wrappers of the environment that is trained in have gathered. Those here are given
            their statistics before they play: a policy knows only what it saw through them.
        action_mask: How action masks are found, as in the environment that is trained in.
    """

    _STATE = ()  # how the environment fared is not kept

    def __init__(
        self,
        env: Any,
        on_env_error: str = "raise",
        gathered: Callable[[], Mapping[str, Any]] = lambda: {},
        action_mask: AskedMasks = "auto",
    ) -> None:
        super().__init__(env, "raise" if is_env(env) else on_env_error, open_now=False, action_mask=action_mask)
        self._gathered = gathered
        self._not_given = ""

    def __enter__(self) -> EvaluationEnv:
        if not self.is_open:
            self.open()
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __call__(self, act: Callable[[Any], Any], num_episodes: int, *, seed: int) -> EvaluationResult:
        """Play whole seeded episodes, see ``BatchPipeline.play_episodes``."""
        statistics = self._gathered()
        if statistics:
            try:
                give_statistics(self.guard.env, statistics, own_states=False)
            except StateMismatchError as error:
                self._not_given = f"its wrappers do not have the statistics of training: {error}"
        return self.play(act, num_episodes, seed)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know of the environment at the end of a run, in sentences."""
        own = [self._not_given] if self._not_given else []
        return tuple(f"evaluation_env: {note}" for note in (*super().notes, *own))
