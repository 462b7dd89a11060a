"""What fills windows: from one environment, or from several at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tensor_optix.core.rewards import as_reward, as_rewards
from tensor_optix.exceptions import EnvironmentFailureError, NotBoundError
from tensor_optix.pipeline.stepping.action_masks import info_of
from tensor_optix.pipeline.stepping.env_guard import EnvGuard
from tensor_optix.pipeline.stepping.episode_beginnings import Beginnings, remembered, told_beginnings
from tensor_optix.pipeline.stepping.space_layout import Layout, Reader, copy_of, reader, writer
from tensor_optix.pipeline.stepping.vector_env import Autoreset, VectorGuard
from tensor_optix.pipeline.stepping.window_builder import WindowBuilder

Act = Callable[..., Any]
"""Maps one observation to one action, or observations ``[N, ...]`` to actions ``[N, ...]``; one that takes masks is
handed ``action_mask=``, or ``action_masks=``, where there are any."""


_THE_ONE = np.ones(1, np.bool_)
"""Which environment begins an episode, of one."""


class Collector(ABC):
    """Fills windows from a guarded environment, across the ends of its episodes.

    Attributes:
        guard: The environment.
    """

    guard: EnvGuard

    def __init__(self, guard: Any) -> None:
        self.guard = guard
        self._observation: Any = None
        self._info: Any = None
        self._layout: Layout | None = None
        self._action_layout: Layout | None = None

    def reset(self, seed: int) -> None:
        """Start fresh episodes from ``seed``."""
        self._observation, self._info = copy_of(self.guard.reset(seed)), self.guard.reset_info
        self._beginnings = self._all_begin()
        if self._layout is None:
            self._layout = self._layout_of(self._observation, "observation")

    def open_window(self, num_steps: int) -> WindowBuilder:
        """Return an empty window of ``num_steps`` steps."""
        if self._layout is None:
            raise NotBoundError("reset() comes before open_window().")
        return WindowBuilder(self._layout, num_steps, (self.guard.num_envs,) if self.guard.is_vector else ())

    def fill(self, window: WindowBuilder, act: Act) -> None:
        """Step until the window is full, acting with ``act``."""
        self._begin(window)
        tell = told_beginnings(act)
        if tell is not None:
            self._beginnings.tell(tell)
            window.begin_with(remembered(act, self.guard.num_envs))
        try:
            self._step(window, act)
        except Exception:
            # an agent that chokes on NaN must not be blamed for what the environment gave it
            window.check_finite(self.guard)
            raise
        window.check_finite(self.guard)

    def go_on_from(self, broken: Collector) -> None:
        """Fill windows as ``broken`` did, from a new environment."""
        self._layout, self._action_layout = broken._layout, broken._action_layout

    def _all_begin(self) -> Beginnings:
        return Beginnings(self.guard.num_envs, resets_by_a_step=False)

    @abstractmethod
    def _begin(self, window: WindowBuilder) -> None:
        """Settle what the window before left behind."""

    @abstractmethod
    def _step(self, window: WindowBuilder, act: Act) -> None:
        """Step until the window is full."""

    def _masks(self, window: WindowBuilder, act: Act, over: Any) -> tuple[Any, Mapping[str, Any], Any]:
        """Return the masks that acting is handed, what it is handed beside observations, and where masks are kept."""
        masks = self.guard.masks.serve(act, self._observation, self._info, over=over, warns=True)
        if masks is None:
            return None, {}, None
        kept = window.open_masks(masks.layout.size)
        kept[window.num_taken] = masks.now
        return masks, masks.beside, kept

    def _layout_of(self, example: Any, kind: str) -> Layout:
        return Layout.of(example, self.guard.space(kind), batched=self.guard.is_vector)

    def _note_actions(self, actions: Any) -> Layout:
        self._action_layout = self._layout_of(actions, "action")
        return self._action_layout


class SingleEnvCollector(Collector):
    """Fills windows from one environment; resets it when an episode ended and goes on."""

    _episode_over = False

    def reset(self, seed: int) -> None:
        """Start a fresh episode from ``seed``."""
        super().reset(seed)
        self._episode_over = False

    def _begin(self, window: WindowBuilder) -> None:
        if self._episode_over:
            self._observation, self._info = self.guard.reset(), self.guard.reset_info
            self._episode_over, self._beginnings = False, self._all_begin()

    def _step(self, window: WindowBuilder, act: Act) -> None:
        step, observe, put_observation = self.guard.step, window.observation, window.put_observation
        rewards, add_info, last = window.rewards, window.infos.append, window.num_steps - 1
        put_action = None if self._action_layout is None else window.open_actions(self._action_layout)
        own_reward = self.guard.own_reward
        own_rewards = window.rewards if own_reward is None else window.open_own_rewards()
        start = window.num_taken
        put_observation(start, self._observation)
        masks, beside, kept_masks = self._masks(window, act, False)
        tell = told_beginnings(act)
        for t in range(start, window.num_steps):
            action = act(observe(t), **beside)
            observation, reward, terminated, truncated, info = step(action)
            if masks is not None:
                masks.follow(observation, info, terminated, truncated)
            try:
                if put_action is None:
                    put_action = window.open_actions(self._note_actions(action))
                put_action(t, action)
                rewards[t] = reward if type(reward) is float else as_reward(reward)
                if own_reward is not None:
                    own_rewards[t] = own_reward.take()
                if terminated or truncated:
                    window.terminated[t], window.truncated[t] = terminated, truncated
                    self._episode_over = t == last
                    if t < last:
                        window.keep_successor(t, observation)
                        observation = self._begun_anew(window, t, masks)
                        if tell is not None:
                            tell(_THE_ONE)
                put_observation(t + 1, observation)
                if masks is not None:
                    kept_masks[t + 1] = masks.now
            except (TypeError, ValueError, KeyError, OverflowError) as error:
                raise self.guard.unusable(error) from error
            add_info(info)
        self._observation = window.observation(window.num_steps)
        self._info = None if masks is not None else window.infos[-1]

    def _begun_anew(self, window: WindowBuilder, t: int, masks: Any) -> Any:
        """Return the first observation of the next episode."""
        if masks is not None:
            window.keep_final_mask(t, masks.now)
        observation = self.guard.reset()
        if masks is not None:
            masks.follow(observation, self.guard.reset_info)
        return observation


class VectorEnvCollector(Collector):
    """Fills windows ``[T, N, ...]`` from a vector environment, acting on all observations at once."""

    guard: VectorGuard

    def _all_begin(self) -> Beginnings:
        return Beginnings(self.guard.num_envs, resets_by_a_step=self.guard.mode is Autoreset.NEXT_STEP)

    def _begin(self, window: WindowBuilder) -> None:
        window.note_ended(self.guard.ended)

    def _step(self, window: WindowBuilder, act: Act) -> None:
        step, observe, put_observation = self.guard.step, window.observation, window.put_observation
        rewards, terminated, truncated, infos = window.rewards, window.terminated, window.truncated, window.infos
        put_action = None if self._action_layout is None else window.open_actions(self._action_layout)
        after_step = {
            Autoreset.NEXT_STEP: None,
            Autoreset.SAME_STEP: self._take_final_observations,
            Autoreset.DISABLED: self._reset_ended,
        }[self.guard.mode]
        own_reward = self.guard.own_reward
        own_rewards = rewards if own_reward is None else window.open_own_rewards()
        start, num_envs = window.num_taken, self.guard.num_envs
        put_observation(start, self._observation)
        masks, beside, kept_masks = self._masks(window, act, self.guard.ended)
        tell = told_beginnings(act)
        for t in range(start, window.num_steps):
            if tell is not None:
                self._beginnings.tell(tell)
            actions = act(observe(t), **beside)
            observations, rewards_t, terminated_t, truncated_t, info = step(actions)
            try:
                if put_action is None:
                    put_action = window.open_actions(self._note_actions(actions))
                put_action(t, actions)
                rewards[t] = as_rewards(rewards_t, num_envs)
                if own_reward is not None:
                    own_rewards[t] = own_reward.take()
                terminated[t] = terminated_t
                truncated[t] = truncated_t
                if tell is not None:
                    self._beginnings.follow(terminated[t] | truncated[t])
                put_observation(t + 1, observations)
                if masks is not None:
                    masks.follow(observations, info, *self.guard.shown_ends(terminated[t], truncated[t]))
                    kept_masks[t + 1] = masks.now
                if after_step is not None:
                    after_step(window, t, info, masks)
            except (TypeError, ValueError, KeyError, OverflowError) as error:
                raise self.guard.unusable(error) from error
            infos.append(info)
        self._observation = observe(window.num_steps)
        self._info = None if masks is not None else infos[-1]
        if self.guard.mode is Autoreset.NEXT_STEP:
            ended = window.dones[-1]
            window.mask_resets()
            self.guard.ended = ended

    def _take_final_observations(self, window: WindowBuilder, t: int, info: Any, masks: Any) -> None:
        ended = window.terminated[t] | window.truncated[t]
        if not np.count_nonzero(ended):
            return
        final = _final_observation_of(info)
        if final is None:
            raise EnvironmentFailureError(
                f"Environment {self.guard.name}: an episode ended at step {self.guard.steps_taken} in same-step "
                "autoreset mode, but info has no 'final_obs', so its last observation is lost. Use next-step mode."
            )
        for n in np.flatnonzero(ended).tolist():
            window.keep_successor((t, n), final(n))
            if masks is not None:
                is_asked = not window.terminated[t, n]
                final_info = _final_info_of(info, n)
                window.keep_final_mask((t, n), masks.final(final(n), final_info) if is_asked else masks.everything)

    def _reset_ended(self, window: WindowBuilder, t: int, info: Any, masks: Any) -> None:
        np.logical_or(window.terminated[t], window.truncated[t], out=self.guard.ended)
        ended = np.flatnonzero(self.guard.ended).tolist()
        if not ended:
            return
        row = window.observation(t + 1)
        last, put = reader(row), writer(row)
        for n in ended:
            window.keep_successor((t, n), last(n))
        observations = self.guard.reset_ended()
        fresh = reader(observations)
        for n in ended:
            put(n, fresh(n))
        if masks is not None:
            for n in ended:
                window.keep_final_mask((t, n), masks.now[n])
            masks.follow_reset(observations, self.guard.reset_info, ended)
            window.open_masks(masks.layout.size)[t + 1] = masks.now


def _final_observation_of(info: Any) -> Reader | None:
    """Return what reads an environment's last observation; None where it is not told."""
    if isinstance(info, list):  # of one dict each, from gymnasium.wrappers.vector.DictInfoToList
        return lambda n: info[n].get("final_obs", info[n].get("final_observation"))
    finals = info.get("final_obs", info.get("final_observation"))
    return None if finals is None else reader(finals)


def _final_info_of(info: Any, n: int) -> Any:
    """Return what an environment told with its last observation."""
    if isinstance(info, list):
        return info[n].get("final_info") or {}
    finals = info.get("final_info")
    return {} if finals is None else info_of(finals, n) or {}
