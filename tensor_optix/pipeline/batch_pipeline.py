"""Steps a Gymnasium environment without pause and cuts the stream into windows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Literal

from tensor_optix.core.checks import check_callable, check_flags, check_int, check_seed
from tensor_optix.core.protocols import CanAct, EnvSource
from tensor_optix.core.storage.stateful import Stateful
from tensor_optix.core.types import EpisodeData, EvaluationResult
from tensor_optix.exceptions import EnvironmentFailureError, NotBoundError
from tensor_optix.functional.seeding import derive_seed
from tensor_optix.pipeline.acting import ActingPipeline, acting_in_training
from tensor_optix.pipeline.environment_facts import environment_facts
from tensor_optix.pipeline.process_settings import SETTLED_OBJECTS
from tensor_optix.pipeline.stepping.action_masks import AskedMasks, check_asked, check_asked_of
from tensor_optix.pipeline.stepping.env_keeper import EnvKeeper
from tensor_optix.pipeline.stepping.env_state import restore_env_state
from tensor_optix.pipeline.stepping.window_builder import EpisodeReturns, WindowBuilder

BARRIER_INTERVAL_STEPS = 20_000
BARRIER_INTERVAL_STEPS_PER_ENV = 2_500


class BatchPipeline(ActingPipeline, Stateful):
    """Windows of exactly ``window_size`` steps from one environment or a vector of them; the last of a budget may be
    shorter.

    An environment is reset when it ends, never because a window does. Every
    ``barrier_interval_steps`` environment steps a window ends with a *barrier*: what still runs
    counts as truncated, and the next window starts from a seed derived from ``seed``, so that a
    run can be continued from there exactly. ``metadata`` of a window holds ``"barrier"`` (it ended
    with one) and ``"fresh_start"`` (it began with such a reset).

    Args:
        env: ``gym.Env``, ``gym.vector.VectorEnv`` (any autoreset mode), EnvPool's gymnasium
            environments, or a callable that makes one. An instance is left open by
            ``teardown``, unless ``close_env`` is set.
        agent: What acts, or None until ``set_agent``.
        window_size: T, steps of a window; a vector of N environments takes T x N env steps.
        seed: Source of all the environment's randomness. None: the one of ``set_seed``, or drawn.
        barrier_interval_steps: Env steps between barriers; None: only on request. "auto": what the agent
            asks for, else 20,000; at least 2,500 for each environment, so that long episodes end between two.
        on_env_error: What to do where the environment raises, or gives NaN or infinity: ``"raise"``,
            or ``"restart"``, which needs a callable: a new environment goes on in the same window.
            The broken step is dropped, what ran counts as truncated, and its return is not counted; an
            episode of an evaluation is played anew. ``metadata["num_env_restarts"]`` and :attr:`notes`
            say how often.

        action_mask: Where it is told which actions are allowed, for agents that take masks: ``"auto"``, in
            ``info["action_mask"]``, by the environment's ``action_masks()``, or in a Dict observation's key
            ``"action_mask"``, the first of these that is there after the first reset; a callable
            ``(observation, info) -> mask`` of one environment; or None, and no mask is read. Masks are ``[A]``, one
            flag for each action of a Discrete space, the options of all choices side by side for a MultiDiscrete,
            two for each bit (may it be 0, may it be 1) for a MultiBinary one.

    Attributes:
        close_env: Whether ``teardown`` also closes an environment that was given as an instance. What the pipeline made
            is always closed; an instance belongs to whoever made it.

    Raises:
        InvalidTypeError: ``env`` is no environment, ``agent`` cannot act, or a count is no integer.
        InvalidArgumentError: A count is below 1, the seed below 0, ``on_env_error`` is unknown, or an
            instance should be made anew.

    Example:
        >>> import gymnasium as gym
        >>> class Right:
        ...     def act(self, observation):
        ...         return 1
        >>> pipeline = BatchPipeline(gym.make("CartPole-v1"), Right(), window_size=50, seed=0)
        >>> window = next(pipeline.episodes())
        >>> window.observations.shape, window.rewards.shape
        ((50, 4), (50,))
        >>> pipeline.teardown()
    """

    _STATE = ("_seed", "_next_window_id", "_num_resets", "_env_steps", "_barrier_requested")
    _STATE_KINDS: ClassVar[dict[str, Any]] = {**dict.fromkeys(_STATE, int), "_barrier_requested": bool}
    state_of_others, state_may_lack = EnvKeeper.state_of_others, EnvKeeper.state_may_lack

    def __init__(
        self,
        env: EnvSource,
        agent: CanAct | None = None,
        window_size: int = 200,
        *,
        seed: int | None = None,
        barrier_interval_steps: int | Literal["auto"] | None = "auto",
        on_env_error: Literal["raise", "restart"] = "raise",
        action_mask: AskedMasks = "auto",
        close_env: bool = False,
    ) -> None:
        check_flags(close_env=close_env)
        check_asked(action_mask, None)
        check_int("window_size", window_size, at_least=1)
        if not (isinstance(barrier_interval_steps, str) and barrier_interval_steps == "auto"):
            check_int("barrier_interval_steps", barrier_interval_steps, at_least=1, optional=True)
        super().__init__(agent, seed)
        self._window_size = int(window_size)
        self._next_window_id = 0
        self._num_resets = 0
        self._env_steps = 0
        self._steps_since_barrier = 0
        self._barrier_requested = False
        self._num_steps = self._window_size
        self._window: WindowBuilder | None = None
        self._env = EnvKeeper(env, on_env_error, close_instance=close_env, action_mask=action_mask)
        self._look_at_env()
        check_asked(action_mask, self.action_space)
        self._barrier_interval_steps = barrier_interval_steps

    def _look_at_env(self) -> None:
        guard = self._env.guard
        self._is_vector, self._num_envs = guard.is_vector, guard.num_envs
        self._episodes = EpisodeReturns(self._num_envs)
        self._needs_reset = True
        self._space = {kind: guard.space(kind) for kind in ("observation", "action")}
        self._env_facts = environment_facts(self._env.source, guard.env)

    def setup(self) -> None:
        """Open the environment again where ``teardown`` closed it.

        Raises:
            EnvironmentFailureError: It was handed over as an instance that cannot be used once closed.
        """
        self._num_steps = self._window_size
        if not self._env.is_open:
            self._env.open()
            self._look_at_env()
            if self._env.closes_instance:
                self._check_reusable()

    def _check_reusable(self) -> None:
        try:
            self._env.guard.reset(derive_seed(self.seed, "env", self._num_resets))
        except EnvironmentFailureError as error:
            name = self._env.guard.name
            self._env.close()
            raise EnvironmentFailureError(
                f"Environment {name} was closed by teardown() and cannot be used again ({error}). "
                "Pass a callable that makes the environment, and it is rebuilt."
            ) from error

    def episodes(self) -> Iterator[EpisodeData]:
        """Yield windows without end; a second generator goes on where the first one stopped.

        Raises:
            NotBoundError: No agent was given, or the pipeline is closed.
            EnvironmentFailureError: The environment raised, or gave NaN or infinity.
        """
        self._acting_agent()  # which raises where there is none
        self.check_agent()
        _ = self._env.collector  # which raises where it is closed
        return self._windows()

    def check_agent(self) -> None:
        """Raise ``InvalidArgumentError`` where masks were asked for and the agent, which is bound, takes none."""
        check_asked_of(self._env.action_mask, self.agent)

    @property
    def action_mask(self) -> AskedMasks:
        """How action masks are found."""
        return self._env.action_mask

    def _windows(self) -> Iterator[EpisodeData]:
        with SETTLED_OBJECTS:
            while True:
                yield self._next_window()

    def _next_window(self) -> EpisodeData:
        fresh_start, failures = self._needs_reset, 0
        self._window = None
        while self._window is None or self._window.num_taken < self._window.num_steps:
            try:
                self._advance()
            except EnvironmentFailureError as error:
                failures += 1
                self._env.begin_anew(error, failures, self._window)
                self._needs_reset = True
        self._needs_reset, self._num_steps = False, self._window_size
        return self._finish(self._window, fresh_start or 0 in self._window.restarts)

    def _advance(self) -> None:
        """Fill the window as far as the environment goes."""
        collector = self._env.collector
        if self._needs_reset:
            self._env.reset(derive_seed(self.seed, "env", self._num_resets))
            self._num_resets += 1
        if self._window is None:
            if self._needs_reset:
                self._steps_since_barrier = 0
                self._episodes.forget()
            self._window = collector.open_window(self._num_steps)
        self._needs_reset = True  # and stays so, should the window never be finished
        collector.fill(self._window, acting_in_training(self._acting_agent(), collector.guard))

    def _finish(self, window: WindowBuilder, fresh_start: bool) -> EpisodeData:
        returns, lengths = self._episodes.update_window(window)
        window.cut_at_restarts()
        self._env_steps += window.rewards.size
        self._steps_since_barrier += window.rewards.size
        barrier = self._barrier_requested or self._barrier_is_due()
        if barrier:
            window.cut()
            self._needs_reset = True
            self._barrier_requested = False
        metadata: dict[str, Any] = {"barrier": barrier, "fresh_start": fresh_start}
        if window.num_steps < self._window_size:
            metadata["cut_short"] = True
        if window.own_rewards is not None:
            metadata["returns_in_own_reward"] = True
        if window.restarts:
            metadata["num_env_restarts"] = len(window.restarts)
        data = window.build(self._next_window_id, returns, lengths, metadata)
        self._next_window_id += 1
        return data

    def _barrier_is_due(self) -> bool:
        interval = self.barrier_interval_steps
        return interval is not None and self._steps_since_barrier >= interval

    def request_barrier(self) -> bool:
        """Make the next window to be collected end with a barrier."""
        self._barrier_requested = True
        return True

    def limit_window(self, env_steps: int) -> bool:
        """Let the next window have no more steps than all environments together can take of so many env steps.

        Raises:
            InvalidArgumentError: They are fewer than there are environments.
        """
        check_int("env_steps", env_steps, at_least=self._num_envs)
        self._num_steps = min(self._window_size, env_steps // self._num_envs)
        return True

    def cut_episodes(self) -> None:
        """Give up the running episodes: the next window starts with a reset from a derived seed."""
        self._needs_reset = True

    def play_episodes(self, act: Callable[[Any], Any], num_episodes: int, *, seed: int) -> EvaluationResult:
        """Play whole seeded episodes in the running environment, between two windows.

        ``act.batch``, where ``act`` has that attribute, maps observations ``[N, ...]`` of a vector
        environment to actions ``[N, ...]``. Each sub-environment plays a fixed share. Where no
        time limit is known, episodes are cut at 10,000 steps, or ``act.max_episode_steps`` if that is less.

        Raises:
            NotBoundError: Episodes are still running, or the pipeline is closed.
            EnvironmentFailureError: The environment raised, or gave NaN or infinity.
        """
        if not (self._is_vector and "batch" in dir(act)):
            check_callable("act", act, takes="(observation) -> action", optional=False)
        check_int("num_episodes", num_episodes, at_least=1)
        check_seed("seed", seed, optional=False)
        _ = self._env.collector
        if not self._needs_reset:
            raise NotBoundError(
                "play_episodes() would cut the running episodes. Call request_barrier() first, and play after the "
                "window whose metadata['barrier'] is True."
            )
        return self._env.play(act, num_episodes, seed)

    def teardown(self) -> None:
        """Let go of the environment, and close it where it was made here, or ``close_env`` says so."""
        self._env.close()

    @property
    def on_env_error(self) -> str:  # type: ignore[override]
        """What is done where the environment fails: ``"raise"`` or ``"restart"``."""
        return self._env.on_error

    @property
    def not_saved(self) -> list[str]:  # type: ignore[override]
        """What of the environment's state :meth:`state_dict` leaves out, as far as that is known, in phrases."""
        return self._env.not_saved

    @property
    def not_restored(self) -> list[str]:  # type: ignore[override]
        """What of it the latest :meth:`load_state_dict` could not give back, in phrases."""
        return self._env.not_restored

    @property
    def notes(self) -> tuple[str, ...]:  # type: ignore[override]
        """What the user should know of the environment at the end of a run, in sentences."""
        return self._env.notes

    @property
    def num_env_restarts(self) -> int:
        """How often the environment was made anew because it failed."""
        return self._env.num_env_restarts

    @property
    def is_live(self) -> bool:
        """False: nothing happens in the environment unless someone steps it."""
        return False

    @property
    def env(self) -> Any:
        """The environment that is stepped."""
        return self._env.guard.env

    @property
    def env_id(self) -> str | None:  # type: ignore[override]
        """Name of the environment (``module:id`` where it was given so), where it has one."""
        return self._env_facts["env_id"]  # type: ignore[no-any-return]

    def describe_environment(self) -> dict[str, Any]:
        """Return what makes the environment again, as :func:`environment_facts` tells it."""
        return dict(self._env_facts)

    def environment_state(self) -> dict[str, Any]:
        """Return the state of all layers of the environment that have one, by their place."""
        return dict(self._env.state_dict()["env"])

    def restore_environment_state(self, state: dict[str, Any]) -> None:
        """Give the layers of the environment back what :meth:`environment_state` returned."""
        restore_env_state(self._env.guard.env, state)

    @property
    def is_vector(self) -> bool:
        """Whether windows have an environment axis."""
        return self._is_vector

    @property
    def num_envs(self) -> int:  # type: ignore[override]
        """How many environments step together."""
        return self._num_envs

    @property
    def observation_space(self) -> Any:
        """Space of one environment's observation."""
        return self._space["observation"]

    @property
    def action_space(self) -> Any:
        """Space of one environment's action."""
        return self._space["action"]

    @property
    def window_size(self) -> int:  # type: ignore[override]
        """T, steps of a window."""
        return self._window_size

    @property
    def barrier_interval_steps(self) -> int | None:  # type: ignore[override]
        """Env steps between barriers; None: only on request."""
        if self._barrier_interval_steps != "auto":
            return self._barrier_interval_steps
        asked_for = None if self._agent is None else self._agent.barrier_interval_steps
        return max(asked_for or BARRIER_INTERVAL_STEPS, BARRIER_INTERVAL_STEPS_PER_ENV * self._num_envs)

    def state_dict(self) -> dict[str, Any]:
        """Return where the stream stands, JSON-able.

        Taken after a window that ended with a barrier, it is all that is needed to go on exactly;
        otherwise the running episodes are cut.
        """
        return {**super().state_dict(), "seed": self.seed, **self._env.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where ``state_dict`` was taken, with a seeded reset."""
        super().load_state_dict(state)
        self._env.load_state_dict(state)
        self._needs_reset = True
