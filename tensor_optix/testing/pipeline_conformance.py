"""What any pipeline must keep to, as tests that users can run on their own."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import numpy as np

from tensor_optix.core.base_agent import BaseAgent
from tensor_optix.core.base_pipeline import BasePipeline
from tensor_optix.core.types import EpisodeData
from tensor_optix.pipeline.stepping.action_masks import mask_layout, options_taken
from tensor_optix.testing.checking import check, is_same


class PipelineConformance:
    """Subclass it in a test module as ``Test...``, and say how pipeline and agent are made; pytest finds the rest.

    Attributes:
        num_windows: How many windows are looked at; episodes should end in them.

    Example:
        >>> class TestMine(PipelineConformance):
        ...     def make_agent(self):
        ...         return make_agent("CartPole-v1", seed=0)
        ...
        ...     def make_pipeline(self):
        ...         return BatchPipeline(lambda: gym.make("CartPole-v1"), window_size=50)
    """

    num_windows = 4

    def make_agent(self) -> BaseAgent:
        """Return a new agent that can act in the pipeline's environment; each time the same one."""
        raise NotImplementedError("make_agent() -> BaseAgent")

    def make_pipeline(self) -> BasePipeline:
        """Return a new pipeline, with no agent yet and without a seed of its own."""
        raise NotImplementedError("make_pipeline() -> BasePipeline")

    def test_windows_are_numbered_without_gaps(self) -> None:
        """``episode_id`` rises by one."""
        numbers = [window.episode_id for window in self._windows()]
        check(numbers == list(range(numbers[0], numbers[0] + len(numbers))), f"windows are numbered {numbers}")

    def test_everything_in_a_window_is_of_one_length(self) -> None:
        """Rewards, flags, actions and observations have the same leading axes."""
        for window in self._windows():
            shape = np.shape(window.rewards)
            for name in ("terminated", "truncated", "valid"):
                value = getattr(window, name)
                check(value is None or np.shape(value) == shape, f"{name} is {np.shape(value)}, rewards are {shape}")
            check(np.shape(window.actions)[: len(shape)] == shape, f"actions are {np.shape(window.actions)}")
            for part in _parts(window.observations):
                check(np.shape(part)[: len(shape)] == shape, f"observations are {np.shape(part)}, rewards {shape}")

    def test_numbers_are_finite_and_flags_are_flags(self) -> None:
        """Nothing else may reach an agent."""
        for window in self._windows():
            check(bool(np.isfinite(np.asarray(window.rewards, np.float64)).all()), "a reward is NaN or infinite")
            for name in ("terminated", "truncated"):
                check(np.asarray(getattr(window, name)).dtype == bool, f"{name} is no array of bool")

    def test_a_successor_is_the_next_observation_unless_the_episode_ended(self) -> None:
        """Where ``next_observations`` are told at all."""
        for window in self._windows():
            if window.next_observations is None:
                continue
            goes_on = ~np.asarray(window.dones)[:-1]
            if window.valid is not None:
                goes_on &= np.asarray(window.valid)[:-1] & np.asarray(window.valid)[1:]
            pairs = zip(_parts(window.observations), _parts(window.next_observations), strict=True)
            for seen, following in pairs:
                same = np.array_equal(np.asarray(seen)[1:][goes_on], np.asarray(following)[:-1][goes_on])
                check(same, "a successor inside an episode is not the observation of the next step")

    def test_whole_returns_are_the_sums_of_their_rewards(self) -> None:
        """Where ``completed_returns`` are told at all; an episode may have begun windows before."""
        windows = self._windows()
        if any(window.completed_returns is None or window.metadata.get("returns_in_own_reward") for window in windows):
            return
        told = sorted(float(value) for window in windows for value in window.completed_returns)
        check(np.allclose(told, sorted(_whole_returns(windows)), rtol=1e-6), "completed_returns are not what was paid")

    def test_masks_are_told_for_each_step(self) -> None:
        """Where any are told: flags ``[T, A]`` or ``[T, N, A]``, each of which allows the action that was taken."""
        pipeline = self._ready()
        layout = mask_layout(pipeline.action_space)
        for window in itertools.islice(pipeline.episodes(), self.num_windows):
            if window.action_masks is None or layout is None:
                continue
            shape = (*np.shape(window.rewards), layout.size)
            check(window.action_masks.shape == shape, f"masks have the shape {window.action_masks.shape}, not {shape}")
            check(window.action_masks.dtype == np.bool_, f"masks are of {window.action_masks.dtype}, not bool")
            valid = np.ones(shape[:-1], bool) if window.valid is None else np.asarray(window.valid)
            for mask, action in zip(window.action_masks[valid], np.asarray(window.actions)[valid], strict=True):
                taken = options_taken(pipeline.action_space, action)
                check(layout.allows(mask, taken), f"{action!r} was taken, which the mask {mask.astype(int)} rules out")
        pipeline.teardown()

    def test_same_seed_same_windows(self) -> None:
        """Two pipelines with one seed and the same agent; a live feed is not asked."""
        if self.make_pipeline().is_live:
            return
        for one, other in zip(self._windows(), self._windows(), strict=True):
            check(is_same(_plain(one), _plain(other)), f"window {one.episode_id} differs under the same seed")

    def test_a_window_stays_as_it_was_yielded(self) -> None:
        """The next one is written elsewhere: the loop and the agent keep windows."""
        pipeline = self._ready()
        kept, copies = [], []
        for window in itertools.islice(pipeline.episodes(), self.num_windows):
            kept.append(_plain(window))
            copies.append(copy.deepcopy(_plain(window)))
        pipeline.teardown()
        check(is_same(kept, copies), "a window was changed after it had been yielded")

    def test_episodes_that_are_played_follow_from_their_seed(self) -> None:
        """Where any can be played: as many as asked for, the same from the same seed, and the windows go on."""
        pipeline = self._ready()
        act = pipeline.agent.act_greedy
        first = pipeline.play_episodes(act, 2, seed=3)
        if first is not None:
            again = pipeline.play_episodes(act, 2, seed=3)
            check(len(first.returns) == 2, f"2 episodes were asked for, {len(first.returns)} played")
            same = again is not None and is_same(first.returns, again.returns)
            check(same, "the same seed gave episodes with other returns")
        next(iter(pipeline.episodes()))
        pipeline.teardown()

    def test_a_barrier_comes_when_it_was_promised(self) -> None:
        """After ``request_barrier()`` returned True, a window ends with one, and the next episodes begin anew."""
        pipeline = self._ready()
        windows = iter(pipeline.episodes())
        next(windows)
        if pipeline.request_barrier():
            comes = any(next(windows).metadata.get("barrier") for _ in range(3))
            check(comes, "request_barrier() was granted, and none of three windows ended with a barrier")
        pipeline.teardown()

    def test_teardown_may_come_twice_and_a_second_run_may_follow(self) -> None:
        """However a run ends."""
        pipeline = self._ready()
        next(iter(pipeline.episodes()))
        pipeline.teardown()
        pipeline.teardown()
        if not pipeline.is_live:
            pipeline.setup()
            next(iter(pipeline.episodes()))
            pipeline.teardown()

    # What the tests share

    def _ready(self) -> BasePipeline:
        pipeline, agent = self.make_pipeline(), self.make_agent()
        pipeline.set_agent(agent)
        pipeline.set_seed(7)
        pipeline.setup()
        if pipeline.action_space is not None:
            agent.bind(pipeline.observation_space, pipeline.action_space, num_envs=pipeline.num_envs, seed=7)
        return pipeline

    def _windows(self) -> list[EpisodeData]:
        pipeline = self._ready()
        windows = list(itertools.islice(pipeline.episodes(), self.num_windows))
        pipeline.teardown()
        return windows


def _parts(observations: Any) -> list[Any]:
    if isinstance(observations, dict):
        return [leaf for part in observations.values() for leaf in _parts(part)]
    if isinstance(observations, tuple):
        return [leaf for part in observations for leaf in _parts(part)]
    return [observations]


def _plain(window: EpisodeData) -> dict[str, Any]:
    names = ("observations", "actions", "rewards", "terminated", "truncated", "valid", "next_observations")
    return {name: value for name in names if (value := getattr(window, name)) is not None}


def _whole_returns(windows: list[EpisodeData]) -> list[float]:
    """Return the sum of each episode that ended in these windows, which follow on each other from a reset."""
    found: list[float] = []
    running: np.ndarray[Any, Any] = np.zeros(1)
    for window in windows:
        rewards = np.asarray(window.rewards, np.float64).reshape(window.length, -1)
        done = np.asarray(window.dones).reshape(rewards.shape)
        valid = (
            np.ones(rewards.shape, bool) if window.valid is None else np.asarray(window.valid).reshape(rewards.shape)
        )
        running = np.resize(running, rewards.shape[1])
        for paid, ended, counts in zip(rewards, done, valid, strict=True):
            running = running + np.where(counts, paid, 0.0)
            found += running[ended & counts].tolist()
            running = np.where(ended, 0.0, running)
        if window.metadata.get("barrier"):
            running = np.zeros_like(running)
    return found
