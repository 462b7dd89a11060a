"""Greedy episodes at regular steps, in an environment of their own."""

from __future__ import annotations

import contextlib
import logging
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from tensor_optix.core.base_agent import BaseAgent
from tensor_optix.core.callbacks import LoopCallback
from tensor_optix.core.checks import check_int, check_seed
from tensor_optix.core.protocols import EnvSource, completed
from tensor_optix.core.run_view import RunView
from tensor_optix.core.storage.agent_files import has_own_state, parked
from tensor_optix.core.types import EpisodeData, EvaluationResult
from tensor_optix.exceptions import InvalidArgumentError
from tensor_optix.pipeline.acting import acting_in_evaluation
from tensor_optix.pipeline.environment_names import EnvironmentName, environment_named
from tensor_optix.pipeline.evaluation import EvaluationEnv

logger = logging.getLogger(__name__)


def asked_masks(run: RunView) -> Any:
    """Return how the run's pipeline finds action masks."""
    return getattr(run.pipeline, "action_mask", "auto")


class RegularPlay(LoopCallback):
    """Base of callbacks that let the policy play while it is trained, without changing the run.

    A copy of the agent acts, the environment is never the one that is trained in, and the episodes are the same each
    time. Where that fails it is said once, and the run goes on without.

    Args:
        env: Where to play: an id, an ``EnvironmentName``, an environment, or a callable that makes one. None: another
            one like that of training, where its name says how to make it.
        every_env_steps: Env steps of training from one time to the next; the first window to reach them.
        num_episodes: Episodes each time.
        seed: Source of the episodes' seeds.

    Attributes:
        env_steps: Env steps that were played here; they are no part of the run's.

    Raises:
        InvalidTypeError: An argument is of the wrong type.
        InvalidArgumentError: A number is out of range.
        UnknownEnvironmentError: No environment is registered under the id.
    """

    def __init__(self, env: EnvSource | str | None, every_env_steps: int, num_episodes: int, seed: int) -> None:
        check_int("every_env_steps", every_env_steps, at_least=1)
        check_int("num_episodes", num_episodes, at_least=1)
        check_seed("seed", seed, optional=False)
        self._given = None if env is None else environment_named(env)
        if isinstance(self._given, EnvironmentName):
            self._given.check()
        self._every_env_steps = every_env_steps
        self._num_episodes = num_episodes
        self._seed = seed
        self._next_env_steps = every_env_steps
        self._run: RunView | None = None
        self.env_steps = 0

    @abstractmethod
    def play(self, run: RunView, env_steps: int) -> None:
        """Play, after so many env steps of training."""

    def begin(self, run: RunView) -> None:
        """Get ready for a run, or for the rest of one. Default: nothing."""

    def close(self) -> None:
        """Let go of everything. Default: nothing."""

    def on_run_start(self, run: RunView) -> None:
        """Take the run."""
        self._run = run

    def on_loop_start(self) -> None:
        """Find out when it is the next time."""
        if self._run is not None:
            self._plan_after(self._run.env_steps["training"])
            self._trying(self.begin, self._run)

    def on_window(self, row: Mapping[str, Any], window: EpisodeData) -> None:
        """Play, if it is time to."""
        if self._run is not None and row["env_steps"] >= self._next_env_steps:
            self._plan_after(row["env_steps"])
            self._trying(self.play, self._run, row["env_steps"])

    def on_loop_stop(self) -> None:
        """Let go of the environment."""
        self._trying(self.close)

    def source(self, run: RunView, **kwargs: Any) -> Any:
        """Return what makes the environment, or is it.

        Args:
            run: Whose environment is meant where none was given.
            **kwargs: Arguments of ``gymnasium.make`` on top, where it is made by name.

        Raises:
            InvalidArgumentError: It is the one that is trained in, or it is not known how to make another.
        """
        kind = type(self).__name__
        source = self._named_as_in(run) if self._given is None else self._given
        if source is None:
            raise InvalidArgumentError(f"How to make another environment is not known: give {kind}(env=...) a callable")
        trained_in = getattr(run.pipeline, "env", None)
        if trained_in is not None and getattr(source, "unwrapped", source) is getattr(trained_in, "unwrapped", None):
            raise InvalidArgumentError(
                "It was given the very environment that is trained in, and playing there would change the run: "
                f"give {kind} another one, or a callable that makes one"
            )
        if isinstance(source, EnvironmentName):
            source = EnvironmentName(source.id, {**source.kwargs, **kwargs}, source.wrappers)
        return source

    def play_in(self, env: EvaluationEnv, run: RunView) -> EvaluationResult:
        """Play in an open environment, and count the steps."""
        result = self._played(env, run)
        self.env_steps += result.env_steps
        return result

    def _played(self, env: EvaluationEnv, run: RunView) -> EvaluationResult:
        agent = completed(run.agent, BaseAgent)  # type: ignore[type-abstract]
        acts_itself = type(agent).acting_copy is BaseAgent.acting_copy and has_own_state(run.agent)
        with parked(run.agent) if acts_itself else contextlib.nullcontext():
            act = acting_in_evaluation(run.agent, env.guard, greedy=True, seed=self._seed)
            return env(act, self._num_episodes, seed=self._seed)

    def _named_as_in(self, run: RunView) -> EnvironmentName | None:
        facts = run.environment
        if facts.get("env_id") is None or facts.get("unnamed"):
            return None
        return EnvironmentName.from_json(facts, "the run")

    def _plan_after(self, env_steps: int) -> None:
        self._next_env_steps = (env_steps // self._every_env_steps + 1) * self._every_env_steps

    def _trying(self, action: Any, *arguments: Any) -> None:
        try:
            action(*arguments)
        except Exception as error:
            run, self._run = self._run, None
            sentence = f"{type(self).__name__} is off: {type(error).__name__}: {error}"
            logger.warning("%s.", sentence.rstrip("."))
            if run is not None:
                run.note(sentence)
