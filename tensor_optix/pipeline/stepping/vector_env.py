"""Stepping several environments at once, in any of Gymnasium's autoreset modes."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from tensor_optix.core.rewards import as_rewards
from tensor_optix.exceptions import EnvironmentFailureError, InvalidArgumentError, NotBoundError
from tensor_optix.pipeline.stepping import envpool_support
from tensor_optix.pipeline.stepping.env_guard import EnvGuard, space_of
from tensor_optix.pipeline.stepping.space_layout import Layout, Reader, copy_of, reader, writer
from tensor_optix.pipeline.stepping.window_builder import WindowBuilder
from tensor_optix.pipeline.stepping.worker_processes import workers_that_reset_again

ActBatch = Callable[[Any], Any]
BoolArray = npt.NDArray[np.bool_]


class Autoreset(enum.Enum):
    """When a vector environment resets a sub-environment that ended (Gymnasium's names).

    Attributes:
        NEXT_STEP: With the next step, whose action is ignored.
        SAME_STEP: At once; the successor is in ``info["final_obs"]``.
        DISABLED: Never: whoever steps it resets it, by mask.
    """

    NEXT_STEP = "NextStep"
    SAME_STEP = "SameStep"
    DISABLED = "Disabled"

    @classmethod
    def of(cls, env: Any) -> Autoreset:
        """Return the mode of ``env``; Gymnasium 1.0 does not tell and knows only the first."""
        mode = (getattr(env, "metadata", None) or {}).get("autoreset_mode")
        if mode is None:
            return cls.NEXT_STEP
        try:
            return cls(getattr(mode, "value", mode))
        except ValueError:
            raise InvalidArgumentError(
                f"The vector environment's metadata['autoreset_mode'] must be one of {[m.value for m in cls]}. "
                f"Received: {mode!r}."
            ) from None


class VectorDriver:
    """One vector environment, and which of its sub-environments have ended.

    Attributes:
        guard: The environment.
        num_envs: N.
        mode: When sub-environments are reset.
        ended: Sub-environments whose last step ended an episode and that have not been reset
            since, ``[N]``; always False in same-step mode. The caller of ``step`` assigns it.
        step_limit: Where an episode that is played is cut; None before anyone asked.
    """

    step_limit: float | None = None

    def __init__(self, env: Any) -> None:
        if envpool_support.is_envpool(env):
            envpool_support.check_synchronous(env)
            self.num_envs = int(envpool_support.config_of(env)["num_envs"])
        else:
            self.num_envs = int(env.num_envs)
        self.guard = EnvGuard(env)
        self.mode = Autoreset.of(env)
        self._workers = workers_that_reset_again(env) if self.mode is Autoreset.NEXT_STEP else None
        nothing = np.zeros(self.num_envs, np.bool_)
        self._ended: BoolArray = nothing if self._workers is None else self._workers.known_to_reset(nothing)

    @property
    def ended(self) -> BoolArray:
        """See the class."""
        return self._ended

    @ended.setter
    def ended(self, ended: BoolArray) -> None:
        self._ended = ended
        if self._workers is not None:
            self._workers.note(ended)

    def reset(self, seed: int) -> Any:
        """Start fresh episodes in all sub-environments; they get ``seed``, ``seed + 1``, ..."""
        observations = self.guard.reset(seed, prepare=self._finish_resets)
        self.ended = np.zeros(self.num_envs, np.bool_)
        return observations

    def _finish_resets(self) -> None:
        if self._workers is not None:
            self._workers.reset(self._workers.known_to_reset(self._ended))

    def reset_ended(self) -> Any:
        """Reset the sub-environments that have ended (mode DISABLED) and return all observations."""
        observations = self.guard.reset(options={"reset_mask": self.ended.copy()})
        self.ended = np.zeros(self.num_envs, np.bool_)
        return observations


class VectorEnvCollector:
    """Fills windows ``[T, N, ...]`` from a vector environment.

    Attributes:
        num_envs: N.
    """

    def __init__(self, env: Any) -> None:
        self.driver = VectorDriver(env)
        self.guard = self.driver.guard
        self.num_envs = self.driver.num_envs
        self._observations: Any = None
        self._layout: Layout | None = None
        self._action_layout: Layout | None = None

    def reset(self, seed: int) -> None:
        """Start fresh episodes in all sub-environments from ``seed``."""
        self._observations = copy_of(self.driver.reset(seed))
        if self._layout is None:
            self._layout = Layout.of(self._observations, space_of(self.guard.env, "observation"), batched=True)

    def open_window(self, num_steps: int) -> WindowBuilder:
        """Return an empty window of ``num_steps`` steps."""
        if self._layout is None:
            raise NotBoundError("reset() comes before open_window().")
        return WindowBuilder(self._layout, num_steps, (self.num_envs,))

    def fill(self, window: WindowBuilder, act: ActBatch) -> None:
        """Step until the window is full, acting with ``act`` on all observations at once."""
        window.note_ended(self.driver.ended)
        try:
            self._step(window, act)
        except Exception:
            # an agent that chokes on NaN must not be blamed for what the environment gave it
            window.check_finite(self.guard)
            raise
        window.check_finite(self.guard)

    def go_on_from(self, broken: Any) -> None:
        """Fill windows as ``broken`` did, from a new environment."""
        self._layout, self._action_layout = broken._layout, broken._action_layout

    def _step(self, window: WindowBuilder, act: ActBatch) -> None:
        step, observe, put_observation = self.guard.step, window.observation, window.put_observation
        rewards, terminated, truncated, infos = window.rewards, window.terminated, window.truncated, window.infos
        put_action = None if self._action_layout is None else window.open_actions(self._action_layout)
        after_step = {
            Autoreset.NEXT_STEP: None,
            Autoreset.SAME_STEP: self._take_final_observations,
            Autoreset.DISABLED: self._reset_ended,
        }[self.driver.mode]
        start = window.num_taken
        put_observation(start, self._observations)
        for t in range(start, window.num_steps):
            actions = act(observe(t))
            observations, rewards_t, terminated_t, truncated_t, info = step(actions)
            try:
                if put_action is None:
                    put_action = window.open_actions(self._note_actions(actions))
                put_action(t, actions)
                rewards[t] = as_rewards(rewards_t, self.num_envs)
                terminated[t] = terminated_t
                truncated[t] = truncated_t
                put_observation(t + 1, observations)
                if after_step is not None:
                    after_step(window, t, info)
            except (TypeError, ValueError, KeyError, OverflowError) as error:
                raise self.guard.unusable(error) from error
            infos.append(info)
        self._observations = observe(window.num_steps)
        if self.driver.mode is Autoreset.NEXT_STEP:
            ended = window.dones[-1]
            window.mask_resets()
            self.driver.ended = ended

    def _take_final_observations(self, window: WindowBuilder, t: int, info: Any) -> None:
        ended = window.terminated[t] | window.truncated[t]
        if not np.count_nonzero(ended):
            return
        final = _final_observation_of(info)
        if final is None:
            raise EnvironmentFailureError(
                f"Environment {self.guard.name}: an episode ended at step {self.guard.num_steps} in same-step "
                "autoreset mode, but info has no 'final_obs', so its last observation is lost. Use next-step mode."
            )
        for n in np.flatnonzero(ended).tolist():
            window.keep_successor((t, n), final(n))

    def _reset_ended(self, window: WindowBuilder, t: int, info: Any) -> None:
        np.logical_or(window.terminated[t], window.truncated[t], out=self.driver.ended)
        ended = np.flatnonzero(self.driver.ended).tolist()
        if not ended:
            return
        row = window.observation(t + 1)
        last, put = reader(row), writer(row)
        for n in ended:
            window.keep_successor((t, n), last(n))
        fresh = reader(self.driver.reset_ended())
        for n in ended:
            put(n, fresh(n))

    def _note_actions(self, actions: Any) -> Layout:
        self._action_layout = Layout.of(actions, space_of(self.guard.env, "action"), batched=True)
        return self._action_layout


def _final_observation_of(info: Any) -> Reader | None:
    """Return what reads an environment's last observation; None where it is not told."""
    if isinstance(info, list):  # of one dict each, from gymnasium.wrappers.vector.DictInfoToList
        return lambda n: info[n].get("final_obs", info[n].get("final_observation"))
    finals = info.get("final_obs", info.get("final_observation"))
    return None if finals is None else reader(finals)
