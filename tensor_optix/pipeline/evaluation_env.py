"""An environment for greedy episodes only, beside the one that is trained in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal

from tensor_optix.core.types import EvaluationResult
from tensor_optix.pipeline.batch_pipeline import BatchPipeline
from tensor_optix.pipeline.stepping.env_state import OF_OTHERS, env_state, not_saved, restore_env_state


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
