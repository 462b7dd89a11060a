"""Steps a Gymnasium environment without pause and cuts the stream into windows."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

from tensor_optix.core.base_agent import BaseAgent
from tensor_optix.core.base_pipeline import BasePipeline
from tensor_optix.core.checks import check_int
from tensor_optix.core.types import EpisodeData, EvaluationResult
from tensor_optix.exceptions import EnvironmentFailureError, InvalidTypeError, NotBoundError
from tensor_optix.functional.seeding import derive_seed, fresh_seed
from tensor_optix.pipeline.env_guard import EnvGuard, is_vector, open_env, space_of
from tensor_optix.pipeline.episode_ledger import EpisodeLedger
from tensor_optix.pipeline.episode_player import play_single, play_vector, rowwise
from tensor_optix.pipeline.single_env import SingleEnvCollector
from tensor_optix.pipeline.vector_env import VectorEnvCollector
from tensor_optix.pipeline.window_builder import WindowBuilder


class BatchPipeline(BasePipeline):
    """Windows of exactly ``window_size`` steps from one environment or a vector of them.

    An environment is reset when it ends, never because a window does. Every
    ``barrier_interval_steps`` environment steps a window ends with a *barrier*: what still runs
    counts as truncated, and the next window starts from a seed derived from ``seed``, so that a
    run can be continued from there exactly. ``metadata`` of a window holds ``"barrier"`` (it ended
    with one) and ``"fresh_start"`` (it began with such a reset).

    Args:
        env: ``gym.Env``, ``gym.vector.VectorEnv`` (any autoreset mode), EnvPool's gymnasium
            environments, or a callable that makes one; only a callable can be counted on to work
            again after ``teardown``.
        agent: What acts, or None until ``set_agent``.
        window_size: T, steps of a window; a vector of N environments takes T x N env steps.
        seed: Source of all the environment's randomness. None: the one of ``set_seed``, or drawn.
        barrier_interval_steps: Env steps between barriers; None: only on request.

    Raises:
        InvalidTypeError: ``env`` is no environment, ``agent`` cannot act, or a count is no integer.
        InvalidArgumentError: A count is below 1, or the seed below 0.

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

    def __init__(
        self,
        env: Any,
        agent: Any = None,
        window_size: int = 200,
        *,
        seed: int | None = None,
        barrier_interval_steps: int | None = 20_000,
    ) -> None:
        check_int("window_size", window_size, at_least=1)
        check_int("seed", seed, at_least=0, optional=True)
        check_int("barrier_interval_steps", barrier_interval_steps, at_least=1, optional=True)
        self._source = env
        self._window_size = int(window_size)
        self._seed = seed
        self._seed_was_given = seed is not None
        self._barrier_interval_steps = barrier_interval_steps
        self._agent: Any = None
        if agent is not None:
            self.set_agent(agent)
        self._next_window_id = 0
        self._num_resets = 0
        self._env_steps = 0
        self._steps_since_barrier = 0
        self._barrier_requested = False
        self._collector: SingleEnvCollector | VectorEnvCollector | None = None
        self._open()

    def _open(self) -> None:
        env, self._made_env = open_env(self._source)
        self._collector = VectorEnvCollector(env) if is_vector(env) else SingleEnvCollector(env)
        self._is_vector = isinstance(self._collector, VectorEnvCollector)
        self._num_envs = self._collector.num_envs
        self._ledger = EpisodeLedger(self._num_envs)
        self._needs_reset = True
        self._space = {kind: space_of(env, kind) for kind in ("observation", "action")}

    def setup(self) -> None:
        """Open the environment again where ``teardown`` closed it.

        Raises:
            EnvironmentFailureError: It was handed over as an instance that cannot be used once closed.
        """
        if self._collector is None:
            self._open()
            if not self._made_env:
                self._check_reusable()

    def _check_reusable(self) -> None:
        try:
            self._guard.reset(derive_seed(self.seed, "env", self._num_resets))
        except EnvironmentFailureError as error:
            name, self._collector = self._guard.name, None
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
        if self._agent is None:
            raise NotBoundError("BatchPipeline has no agent to act. Pass `agent=` or call set_agent(agent) first.")
        self._check_open()
        return (self._next_window() for _ in itertools.count())

    def _next_window(self) -> EpisodeData:
        collector, fresh_start = self._check_open(), self._needs_reset
        if fresh_start:
            collector.reset(derive_seed(self.seed, "env", self._num_resets))
            self._num_resets += 1
            self._steps_since_barrier = 0
            self._ledger.forget()
        self._needs_reset = True  # and stays so, should the window never be finished
        window = collector.collect(self._act(), self._window_size)
        self._needs_reset = False
        return self._finish(window, fresh_start)

    def _finish(self, window: WindowBuilder, fresh_start: bool) -> EpisodeData:
        valid = None if window.valid is None else window.by_env(window.valid)
        returns, lengths = self._ledger.update(window.by_env(window.rewards), window.by_env(window.dones), valid)
        self._env_steps += window.rewards.size
        self._steps_since_barrier += window.rewards.size
        barrier = self._barrier_requested or self._barrier_is_due()
        if barrier:
            window.cut()
            self._needs_reset = True
            self._barrier_requested = False
        metadata = {"barrier": barrier, "fresh_start": fresh_start}
        data = window.build(self._next_window_id, returns, lengths, metadata)
        self._next_window_id += 1
        return data

    def _barrier_is_due(self) -> bool:
        interval = self._barrier_interval_steps
        return interval is not None and self._steps_since_barrier >= interval

    def _act(self) -> Callable[[Any], Any]:
        """Return how the agent acts now, on one observation or on all of them."""
        if not self._is_vector:
            return self._agent.act  # type: ignore[no-any-return]
        act_batch = getattr(self._agent, "act_batch", None)
        if act_batch is None or getattr(type(self._agent), "act_batch", None) is BaseAgent.act_batch:
            return rowwise(self._agent.act, self.num_envs, self.action_space)
        return act_batch  # type: ignore[no-any-return]

    def request_barrier(self) -> bool:
        """Make the next window to be collected end with a barrier."""
        self._barrier_requested = True
        return True

    def cut_episodes(self) -> None:
        """Give up the running episodes: the next window starts with a reset from a derived seed."""
        self._needs_reset = True

    def play_episodes(self, act: Callable[[Any], Any], num_episodes: int, *, seed: int) -> EvaluationResult:
        """Play whole seeded episodes in the running environment, between two windows.

        ``act.batch``, where ``act`` has that attribute, maps observations ``[N, ...]`` of a vector
        environment to actions ``[N, ...]``. Each sub-environment plays a fixed share. Where no
        time limit is known, episodes are cut at 10,000 steps.

        Raises:
            NotBoundError: Episodes are still running, or the pipeline is closed.
            EnvironmentFailureError: The environment raised, or gave NaN or infinity.
        """
        check_int("num_episodes", num_episodes, at_least=1)
        check_int("seed", seed, at_least=0)
        collector = self._check_open()
        if not self._needs_reset:
            raise NotBoundError(
                "play_episodes() would cut the running episodes. Call request_barrier() first, and play after the "
                "window whose metadata['barrier'] is True."
            )
        if isinstance(collector, VectorEnvCollector):
            return play_vector(collector.driver, act, num_episodes, seed)
        return play_single(collector.guard, act, num_episodes, seed)

    def teardown(self) -> None:
        """Close the environment."""
        if self._collector is not None:
            self._guard.close()
            self._collector = None

    def _check_open(self) -> SingleEnvCollector | VectorEnvCollector:
        if self._collector is None:
            raise NotBoundError("This BatchPipeline was closed by teardown(). Call setup() to open it again.")
        return self._collector

    @property
    def _guard(self) -> EnvGuard:
        return self._check_open().guard

    @property
    def is_live(self) -> bool:
        """False: nothing happens in the environment unless someone steps it."""
        return False

    @property
    def env(self) -> Any:
        """The environment that is stepped."""
        return self._guard.env

    @property
    def is_vector(self) -> bool:
        """Whether windows have an environment axis."""
        return self._is_vector

    @property
    def num_envs(self) -> int:
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
    def window_size(self) -> int:
        """T, steps of a window."""
        return self._window_size

    @property
    def barrier_interval_steps(self) -> int | None:
        """Env steps between barriers; None: only on request."""
        return self._barrier_interval_steps

    @property
    def agent(self) -> Any:
        """The agent that acts, or None where not told yet."""
        return self._agent

    def set_agent(self, agent: Any) -> None:
        """Take the agent that acts from the next window on.

        Raises:
            InvalidTypeError: It has no ``act`` method.
        """
        if not callable(getattr(agent, "act", None)):
            raise InvalidTypeError(
                f"`agent` must have a method act(observation). Received: {agent!r} of type {type(agent).__name__}."
            )
        self._agent = agent

    @property
    def seed(self) -> int:
        """Source of the environment's randomness; drawn when first asked for and none was given."""
        if self._seed is None:
            self._seed = fresh_seed()
        return self._seed

    def set_seed(self, seed: int) -> None:
        """Take the source of randomness, unless one was given to the constructor."""
        check_int("seed", seed, at_least=0)
        if not self._seed_was_given:
            self._seed = seed

    def state_dict(self) -> dict[str, Any]:
        """Return where the stream stands, JSON-able.

        Taken after a window that ended with a barrier, it is all that is needed to go on exactly;
        otherwise the running episodes are cut.
        """
        return {
            "seed": self.seed,
            "next_window_id": self._next_window_id,
            "num_resets": self._num_resets,
            "env_steps": self._env_steps,
            "barrier_requested": self._barrier_requested,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where ``state_dict`` was taken, with a seeded reset."""
        self._seed = int(state["seed"])
        self._next_window_id = int(state["next_window_id"])
        self._num_resets = int(state["num_resets"])
        self._env_steps = int(state["env_steps"])
        self._barrier_requested = bool(state["barrier_requested"])
        self._needs_reset = True
