"""What steps the world and cuts its stream into windows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tensor_optix.core.types import EpisodeData, EvaluationResult

EpisodeBoundaryFn = Callable[[int, float, Any], bool]
"""``(step_count, elapsed_seconds, last_observation) -> bool``: whether a window ends here."""


def can_play(pipeline: BasePipeline) -> bool:
    """Tell whether greedy episodes may be played in a pipeline's own environment; trying it may still fail."""
    return type(pipeline).play_episodes is not BasePipeline.play_episodes


class BasePipeline(ABC):
    """Interface of every source of windows.

    The loop calls ``setup`` once, draws from one ``episodes`` generator for the whole run, and
    calls ``teardown`` however the run ends. Nobody learns inside a window: between two items of
    the generator the agent's weights may change, within one they never do.

    Attributes:
        agent: Who acts; None until told.
        observation_space: Of one environment; None where it is not known.
        action_space: Of one environment; None where it is not known, and the agent is not bound then.
        num_envs: How many environments step together.
        env_id: What the environment is registered as; None where it is not.
        window_size: Steps of a window; None where they vary.
        barrier_interval_steps: Env steps between the barriers that come by themselves, see ``request_barrier``; None:
            none do, 0: not told.
        on_env_error: What is done where the environment fails: ``"raise"``, or ``"restart"`` it.
        notes: What the user should know at the end, in sentences.
        action_mask: How action masks are found, see ``BatchPipeline``.
    """

    agent: Any = None
    observation_space: Any = None
    action_space: Any = None
    num_envs: int = 1
    env_id: str | None = None
    window_size: int | None = None
    barrier_interval_steps: int | None = 0
    on_env_error: str = "raise"
    notes: Sequence[str] = ()
    action_mask: Any = "auto"

    @abstractmethod
    def setup(self) -> None:
        """Get ready to step: called before the first window of a run."""

    @abstractmethod
    def episodes(self) -> Iterator[EpisodeData]:
        """Yield windows without end."""

    @abstractmethod
    def teardown(self) -> None:
        """Let go of everything; must be safe to call twice."""

    @property
    @abstractmethod
    def is_live(self) -> bool:
        """Whether the stream goes on whether or not anyone learns from it."""

    def set_agent(self, agent: Any) -> None:
        """Take the agent that acts."""
        self.agent = agent

    def check_agent(self) -> None:  # nothing was asked for
        """Raise where the agent, which is bound now, cannot do what this pipeline was asked for. Default: nothing."""

    def describe_environment(self) -> dict[str, Any]:
        """Return what a run's folder should say of the environment, JSON-able. Default: nothing."""
        return {}

    def environment_state(self) -> dict[str, Any]:
        """Return what the environment's wrappers have gathered, as ``to_exact`` takes it. Default: nothing."""
        return {}

    def restore_environment_state(self, state: dict[str, Any]) -> None:
        """Give the wrappers back what :meth:`environment_state` returned. Default: nothing."""

    def request_stop(self) -> None:
        """End the stream soon, where it may be waiting for its source; from any thread. Default: nothing."""

    def set_seed(self, seed: int) -> None:
        """Take the source of the pipeline's randomness, unless it was given one. Default: nothing."""

    def request_barrier(self) -> bool:
        """Ask that the next window end with a reset from a derived seed.

        Returns:
            Whether this pipeline can do that. The window's ``metadata["barrier"]`` tells when it
            happened. Default: it cannot.
        """
        return False

    def limit_window(self, env_steps: int) -> bool:
        """Let the next window take no more than so many env steps.

        Called before each window of a run whose env steps are limited; never with less than one step of every
        environment. A window that is shorter for it has ``metadata["cut_short"]``.

        Args:
            env_steps: What the run may still train with, of all environments together.

        Returns:
            Whether it will not. Default: this pipeline cannot cut windows; a run then ends before the one that
            would take too much, as far as its size is known.
        """
        return False

    def cut_episodes(self) -> None:
        """Give up the running episodes; called at the end of a run, after its last window. Default: nothing."""

    def give_way(self) -> None:
        """Let others run; called before each step of greedy episodes, wherever they are played. Default: nothing."""

    def play_episodes(self, act: Callable[[Any], Any], num_episodes: int, *, seed: int) -> EvaluationResult | None:
        """Play whole seeded episodes in the running environment, between two windows.

        Only called after a window that ended with a barrier, before the first one, or after
        ``cut_episodes``.

        Args:
            act: Maps one observation to one action.
            num_episodes: How many episodes to play.
            seed: Seeds of the episodes derive from it: same seed, same episodes.

        Returns:
            The result, or None where this pipeline cannot play (the default).
        """
        return None
