"""Keeps an environment open, and replaces one that failed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, ClassVar

from tensor_optix.core.checks import check_choice
from tensor_optix.core.storage.stateful import Stateful
from tensor_optix.core.types import EvaluationResult
from tensor_optix.exceptions import EnvironmentFailureError, InvalidArgumentError, NotBoundError
from tensor_optix.pipeline.stepping.action_masks import AskedMasks
from tensor_optix.pipeline.stepping.collectors import Collector
from tensor_optix.pipeline.stepping.env_guard import EnvGuard, is_env, open_env
from tensor_optix.pipeline.stepping.env_kinds import kind_of
from tensor_optix.pipeline.stepping.env_state import OF_OTHERS, EnvMemory, env_state, not_saved, restore_env_state
from tensor_optix.pipeline.stepping.window_builder import BadStepError, WindowBuilder

logger = logging.getLogger(__name__)

ON_ENV_ERROR = ("raise", "restart")

MAX_FAILURES = 5
"""How often a new environment takes the place of one that failed, in one window or for one evaluated episode."""


class EnvKeeper(Stateful):
    """One environment, or a vector of them, with what steps it.

    Args:
        source: The environment, or a callable that makes one.
        on_error: ``"raise"``, or ``"restart"``, which needs a callable.
        close_instance: Whether to close an environment that was given as an instance.
        open_now: Whether to call a callable at once, or when :meth:`open` is.
        action_mask: How action masks are found, see :class:`ActionMasks`.

    Attributes:
        source: What was given.
        made_here: Whether ``source`` is a callable.
        num_env_restarts: How often the environment was replaced because it failed.
        last_env_error: Why, the last time.
        num_lost_episodes: How many episodes it cost that were being evaluated; these were played anew.
        not_restored: What of it the latest ``load_state_dict`` could not give back.

    Raises:
        InvalidArgumentError: ``on_error`` is unknown, or an instance should be made anew.
    """

    _STATE: ClassVar[tuple[str, ...]] = ("num_env_restarts", "last_env_error", "num_lost_episodes")
    _STATE_KINDS: ClassVar[dict[str, Any]] = {"num_env_restarts": int, "last_env_error": str, "num_lost_episodes": int}
    state_of_others = OF_OTHERS
    state_may_lack = ("num_lost_episodes",)

    def __init__(
        self,
        source: Any,
        on_error: str = "raise",
        *,
        close_instance: bool = False,
        open_now: bool = True,
        action_mask: AskedMasks = "auto",
    ) -> None:
        check_choice("on_env_error", on_error, ON_ENV_ERROR)
        self.source = source
        self.made_here = not is_env(source)
        self._on_error = on_error
        self._close_instance = close_instance
        self.action_mask = action_mask
        self._collector: Collector | None = None
        self.num_env_restarts = 0
        self.last_env_error = ""
        self._reward_notes: tuple[str, ...] = ()
        self.num_lost_episodes = 0
        self.not_restored: list[str] = []
        self._lost: list[str] = []
        self._memory = EnvMemory()
        if open_now or not callable(source) or not self.made_here:
            self.open()
        if on_error == "restart" and not self.made_here:
            raise InvalidArgumentError(
                'on_env_error="restart" needs a callable that makes the environment anew. '
                f"Received the instance {self.guard.name}: pass lambda: gym.make(...)."
            )

    @property
    def on_error(self) -> str:
        """What is done where it fails: ``"raise"`` or ``"restart"``."""
        return self._on_error

    @property
    def is_open(self) -> bool:
        """Whether there is an environment to step."""
        return self._collector is not None

    @property
    def collector(self) -> Collector:
        """What steps the environment.

        Raises:
            NotBoundError: It was closed.
        """
        if self._collector is None:
            raise NotBoundError("This BatchPipeline was closed by teardown(). Call setup() to open it again.")
        return self._collector

    @property
    def guard(self) -> EnvGuard:
        """The environment itself, guarded."""
        return self.collector.guard

    @property
    def closes_instance(self) -> bool:
        """Whether an environment is closed that somebody else made."""
        return self._close_instance and not self.made_here

    def open(self) -> None:
        """Make the environment, or take the one that was given."""
        env, _ = open_env(self.source)
        self._kind = kind_of(env)
        guard = self._kind.guard(env)
        guard.asked_masks = self.action_mask
        self._collector = self._kind.collector(guard)

    def close(self) -> None:
        """Let go of the environment, and close what was not given as an instance; safe to call twice."""
        if self._collector is not None:
            self.guard.let_go()
            is_given = self.guard.env is self.source  # an EnvPool is made anew when it is seeded
            if self._close_instance or not is_given:
                self.guard.close()
            self._collector = None

    def reset(self, seed: int) -> None:
        """Start fresh episodes from ``seed``."""
        self._memory.before_reset(self.guard.env)
        self.collector.reset(seed)
        self._memory.after_reset(self.guard.env)

    def begin_anew(self, error: EnvironmentFailureError, num_failures: int, window: WindowBuilder | None) -> None:
        """Let a new environment take the place of one that failed, or give up.

        Args:
            error: How it failed.
            num_failures: How often by now, in this window.
            window: What was being filled; it keeps the steps before the one that failed.

        Raises:
            EnvironmentFailureError: It was not to be replaced, or that did not help.
        """
        if self._on_error == "raise":
            raise error
        if num_failures > MAX_FAILURES:
            raise EnvironmentFailureError(
                f"The environment failed {num_failures} times in a row, although it was made anew each time. "
                f"The last error: {error}"
            ) from error
        if window is not None:
            window.begin_anew(error.num_good if isinstance(error, BadStepError) else window.num_taken)
        broken = self.collector
        broken.guard.close()
        self.open()
        self.collector.go_on_from(broken)
        self.num_env_restarts += 1
        self.last_env_error = str(error)
        logger.warning("The environment failed and is made anew. %s", error)

    def play(self, act: Callable[[Any], Any], num_episodes: int, seed: int) -> EvaluationResult:
        """Play whole seeded episodes; one in which the environment had to be replaced is played once more.

        Raises:
            EnvironmentFailureError: It failed, and was not to be replaced, or that did not help.
        """
        player = self._kind.player(self.guard, act, num_episodes, seed)
        while True:
            try:
                return player.play(self.guard)
            except EnvironmentFailureError as error:
                num_lost = player.break_off()
                self.begin_anew(error, player.num_failures, None)
                self.num_lost_episodes += num_lost

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know of it at the end, in sentences."""
        if self._collector is not None:
            self._reward_notes = self.guard.reward_notes()
        told = self._reward_notes
        if not self.num_env_restarts:
            return told
        times = f"{self.num_env_restarts} times" if self.num_env_restarts > 1 else "once"
        note = f"the environment failed and was made anew {times}; last: {self.last_env_error}"
        lost = self.num_lost_episodes
        if not lost:
            return (*told, note)
        episodes = f"{lost} episodes" if lost > 1 else "one episode"
        return (*told, note, f"{episodes} of evaluations broke off with it, counted for nothing, and played anew")

    @property
    def not_saved(self) -> list[str]:  # type: ignore[override]
        """What of the environment's state :meth:`state_dict` leaves out, as far as that is known, in phrases."""
        return [*self._lost, *self._memory.phrases()]

    def state_dict(self) -> dict[str, Any]:
        """Return how it fared, and what its wrappers carry from one episode to the next."""
        env = env_state(self.guard.env) if self.is_open else {}
        self._lost = not_saved(env)
        return {**super().state_dict(), "env": env}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Become what ``state_dict`` returned."""
        super().load_state_dict(state)
        if self.is_open:
            self.not_restored = restore_env_state(self.guard.env, state["env"])
