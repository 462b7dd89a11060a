"""Stepping one environment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tensor_optix.core.rewards import as_reward
from tensor_optix.exceptions import NotBoundError
from tensor_optix.pipeline.stepping.env_guard import EnvGuard, space_of
from tensor_optix.pipeline.stepping.space_layout import Layout, copy_of
from tensor_optix.pipeline.stepping.window_builder import WindowBuilder

Act = Callable[[Any], Any]


class SingleEnvCollector:
    """Fills windows from one environment; resets it when an episode ended and goes on.

    Attributes:
        num_envs: 1.
    """

    num_envs = 1

    def __init__(self, env: Any) -> None:
        self.guard = EnvGuard(env)
        self._observation: Any = None
        self._episode_over = False
        self._layout: Layout | None = None
        self._action_layout: Layout | None = None

    def reset(self, seed: int) -> None:
        """Start a fresh episode from ``seed``."""
        self._observation = copy_of(self.guard.reset(seed))
        self._episode_over = False
        if self._layout is None:
            self._layout = Layout.of(self._observation, space_of(self.guard.env, "observation"))

    def open_window(self, num_steps: int) -> WindowBuilder:
        """Return an empty window of ``num_steps`` steps."""
        if self._layout is None:
            raise NotBoundError("reset() comes before open_window().")
        return WindowBuilder(self._layout, num_steps)

    def fill(self, window: WindowBuilder, act: Act) -> None:
        """Step until the window is full, acting with ``act``."""
        if self._episode_over:
            self._observation = self.guard.reset()
            self._episode_over = False
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

    def _step(self, window: WindowBuilder, act: Act) -> None:
        step, observe, put_observation = self.guard.step, window.observation, window.put_observation
        rewards, add_info, last = window.rewards, window.infos.append, window.num_steps - 1
        put_action = None if self._action_layout is None else window.open_actions(self._action_layout)
        start = window.num_taken
        put_observation(start, self._observation)
        for t in range(start, window.num_steps):
            action = act(observe(t))
            observation, reward, terminated, truncated, info = step(action)
            try:
                if put_action is None:
                    put_action = window.open_actions(self._note_actions(action))
                put_action(t, action)
                rewards[t] = reward if type(reward) is float else as_reward(reward)
                if terminated or truncated:
                    window.terminated[t], window.truncated[t] = terminated, truncated
                    self._episode_over = t == last
                    if t < last:
                        window.keep_successor(t, observation)
                        observation = self.guard.reset()
                put_observation(t + 1, observation)
            except (TypeError, ValueError, KeyError, OverflowError) as error:
                raise self.guard.unusable(error) from error
            add_info(info)
        self._observation = window.observation(window.num_steps)

    def _note_actions(self, action: Any) -> Layout:
        self._action_layout = Layout.of(action, space_of(self.guard.env, "action"))
        return self._action_layout
