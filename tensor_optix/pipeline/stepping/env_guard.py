"""Calls an environment, and names what goes wrong in it."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np

from tensor_optix.exceptions import EnvironmentFailureError, InvalidTypeError, NonFiniteError, TensorOptixError
from tensor_optix.pipeline.stepping.action_masks import ActionMasks, AskedMasks
from tensor_optix.pipeline.stepping.own_reward import OwnReward, read_own_reward, reward_wrappers
from tensor_optix.pipeline.stepping.space_layout import is_finite
from tensor_optix.pipeline.stepping.worker_processes import (
    end_broken_workers_of,
    interrupts_withheld,
    watch_workers_of,
    withhold_interrupts_from,
)

logger = logging.getLogger(__name__)

MAX_STEPS_WITHOUT_TIME_LIMIT = 10_000
"""Where an episode is cut in an environment that is not known to end them."""

STEP_RESULT = "(observation, reward, terminated, truncated, info)"


def open_env(env: Any) -> tuple[Any, bool]:
    """Return an environment for ``env``, and whether it was made here.

    Args:
        env: ``gym.Env``, ``gym.vector.VectorEnv`` (or alike: ``reset`` and ``step``), or a
            callable without arguments that makes one.

    Raises:
        InvalidTypeError: It is none of these.
        EnvironmentFailureError: The callable raised, or a process of the environment has ended.
    """
    if is_env(env):
        watch_workers_of(env)
        try:
            withhold_interrupts_from(env)
        except EOFError as error:
            end_broken_workers_of(env)
            raise EnvironmentFailureError(f"`env` cannot be used: {error}. Make it anew.") from error
        return env, False
    if isinstance(env, str):
        raise InvalidTypeError(f"`env` must be an environment. Received the id {env!r}: pass gym.make({env!r}).")
    if not callable(env):
        raise InvalidTypeError(
            "`env` must be a gymnasium.Env, a gymnasium.vector.VectorEnv or a callable that makes one. "
            f"Received: {env!r} of type {type(env).__name__}."
        )
    try:
        with interrupts_withheld():
            made = env()
    except TensorOptixError:
        raise
    except Exception as error:
        raise EnvironmentFailureError(f"The callable given as `env` raised {type(error).__name__}: {error}") from error
    if not is_env(made):
        raise InvalidTypeError(
            f"The callable given as `env` must return an environment. It returned: {made!r} of type "
            f"{type(made).__name__}."
        )
    watch_workers_of(made)
    return made, True


def is_env(env: Any) -> bool:
    """Tell whether it can be stepped; what makes an environment cannot."""
    return not isinstance(env, type) and callable(getattr(env, "reset", None)) and callable(getattr(env, "step", None))


def has_time_limit(env: Any) -> bool:
    """Tell whether a wrapper ends its episodes, whatever its spec says: one that is not registered has no spec."""
    while env is not None:
        if isinstance(env, gym.wrappers.TimeLimit):
            return True
        env = vars(env).get("env") if hasattr(env, "__dict__") else None
    return False


class EnvGuard:
    """One environment, called so that a failure names it, the step and the cause.

    Other kinds of environment derive from it; ``env_kinds`` lists them.

    Attributes:
        env: The environment; an EnvPool is replaced when it is seeded.
        name: How messages call it.
        is_vector: Whether it steps several environments at once.
        num_envs: How many.
        steps_taken: How often it was stepped.
        reset_info: What the latest reset told.
        asked_masks: How its action masks are found, see :class:`ActionMasks`; to be set before the first reset.
    """

    reset_info: Any = None
    asked_masks: AskedMasks = "auto"
    is_vector: ClassVar[bool] = False
    num_envs = 1

    def __init__(self, env: Any) -> None:
        self.env = env
        spec = getattr(env, "spec", None)
        self.name = getattr(spec, "id", None) or type(getattr(env, "unwrapped", env)).__name__
        self.steps_taken = 0
        self._shape = None if self.is_vector else getattr(self.space("observation"), "shape", None)

    @classmethod
    def serves(cls, env: Any) -> bool:
        """Tell whether this is the guard for an environment: for any that no other kind serves."""
        return True

    def space(self, kind: str) -> Any:
        """Return the space of ONE environment's ``"observation"`` or ``"action"``, None where unknown."""
        return getattr(self.env, f"{kind}_space", None)

    @functools.cached_property
    def step_limit(self) -> float:
        """Where an episode that is played is cut; infinity where the environment is known to end them."""
        return float("inf") if self._has_time_limit() else MAX_STEPS_WITHOUT_TIME_LIMIT

    @functools.cached_property
    def masks(self) -> ActionMasks:
        """Its action masks, and what else acting is handed beside observations."""
        return ActionMasks(self, self.asked_masks)

    @functools.cached_property
    def own_reward(self) -> OwnReward | None:
        """What reads the reward below the wrappers that change it; None where none does, or none can."""
        return read_own_reward(self.env)

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        """Reset and return the observation.

        Args:
            seed: Of the environment; None: it goes on with what it has.
            options: Of the environment.

        Raises:
            EnvironmentFailureError: It raised, or does not speak Gymnasium's API.
        """
        try:
            result = self._reset(seed, options)
        except Exception as error:
            self._end_if_broken(error)
            raise EnvironmentFailureError(
                f"Environment {self.name}: reset() raised after {self.steps_taken} steps: "
                f"{type(error).__name__}: {error}"
            ) from error
        if not (isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], Mapping | list)):
            raise EnvironmentFailureError(
                f"Environment {self.name}: reset() must return (observation, info), as Gymnasium's API has it. "
                f"Received: {result!r:.200}."
            )
        if self.own_reward is not None:
            self.own_reward.take()  # what was paid while it was reset belongs to no step
        self._check_shape(result[0], "reset()")
        self.reset_info = result[1]
        return result[0]

    def _reset(self, seed: int | None, options: dict[str, Any] | None) -> Any:
        """Return what the environment's own ``reset`` does."""
        given = {key: value for key, value in (("seed", seed), ("options", options)) if value is not None}
        return self.env.reset(**given)

    def _has_time_limit(self) -> bool:
        """Tell whether every episode is known to end."""
        return self._limits(lambda: self.env.spec) or has_time_limit(self.env)

    @staticmethod
    def _limits(find_spec: Callable[[], Any]) -> bool:
        try:
            spec = find_spec()
        except Exception:  # it has none, or cannot tell
            return False
        return getattr(spec, "max_episode_steps", None) is not None

    def step(self, action: Any) -> Any:
        """Step and return Gymnasium's five values.

        Raises:
            EnvironmentFailureError: It raised, or does not speak Gymnasium's API.
            NonFiniteError: It raised because the agent's action is NaN or infinite.
        """
        try:
            result = self.env.step(action)
        except Exception as error:
            self._end_if_broken(error)
            if not is_finite(action):
                raise NonFiniteError(
                    f"The agent gave environment {self.name} an action that is NaN or infinite at step "
                    f"{self.steps_taken + 1}: {action!r:.200}. Look into the agent's weights and its act()."
                ) from error
            raise EnvironmentFailureError(
                f"Environment {self.name}: step {self.steps_taken + 1} raised {type(error).__name__}: {error} "
                f"(the action was {action!r:.200} of type {type(action).__name__})"
            ) from error
        self.steps_taken += 1
        if not isinstance(result, tuple) or len(result) != 5:
            raise self._not_five_values(result)
        self._check_shape(result[0], f"step {self.steps_taken}")
        return result

    def _check_shape(self, observation: Any, what: str) -> None:
        if type(observation) is np.ndarray and self._shape is not None and observation.shape != self._shape:
            raise EnvironmentFailureError(
                f"Environment {self.name}: {what} returned an observation of shape {observation.shape}. "
                f"Expected {self._shape}, as its observation_space has it."
            )

    def _not_five_values(self, result: Any) -> EnvironmentFailureError:
        count = f"{len(result)} values" if isinstance(result, tuple) else f"{result!r:.200}"
        legacy = " The old API's `done` must be told apart into terminated and truncated." if count[0] == "4" else ""
        return EnvironmentFailureError(
            f"Environment {self.name}: step {self.steps_taken} returned {count}. "
            f"Expected Gymnasium's five: {STEP_RESULT}.{legacy}"
        )

    def unusable(self, error: Exception) -> EnvironmentFailureError:
        """Return the error for a step whose values cannot be stored."""
        return EnvironmentFailureError(
            f"Environment {self.name}: step {self.steps_taken} took or returned a value that does not fit the ones "
            f"before it: {type(error).__name__}: {error}"
        )

    def not_finite(self, what: str, where: str = "") -> EnvironmentFailureError:
        """Return the error for a reward or observation that is no usable number."""
        return EnvironmentFailureError(
            f"Environment {self.name} returned {what} that is NaN or infinite{where}. "
            "Nothing was learned from it; mend the environment, or wrap it so that it clips or raises."
        )

    def reward_notes(self) -> tuple[str, ...]:
        """Return, in a sentence, whose reward returns are told in, where that is not the environment's own."""
        names = [*([] if self.own_reward else reward_wrappers(self.env)), *self._reward_wrappers_out_of_reach()]
        told = f"returns are told in the reward of {', '.join(names)}: the environment's own cannot be read"
        return (told,) if names else ()

    def _reward_wrappers_out_of_reach(self) -> list[str]:
        """Return the names of wrappers in other processes that change rewards, as far as that can be told."""
        return []

    def let_go(self) -> None:
        """Leave the environment as it was before this."""
        own_reward = vars(self).pop("own_reward", None)  # nothing to undo where it was never read
        if own_reward is not None:
            own_reward.remove()

    def close(self) -> None:
        """Close the environment; a failure to close is logged, it loses nothing."""
        self.let_go()
        close = getattr(self.env, "close", None)
        if close is None:
            return
        try:
            end_broken_workers_of(self.env)
            close()
        except Exception as error:
            logger.warning("Environment %s could not be closed.", self.name, exc_info=True)
            self._end_if_broken(error)

    def _end_if_broken(self, error: Exception) -> None:
        """End what is left of an environment one of whose processes has ended: closing it would wait for that one."""
        if isinstance(error, EOFError):
            end_broken_workers_of(self.env)
