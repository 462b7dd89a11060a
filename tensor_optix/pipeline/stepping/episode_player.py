"""Playing whole seeded episodes, as evaluations do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from tensor_optix.core.mask_layout import takes_masks
from tensor_optix.core.rewards import as_reward, as_rewards
from tensor_optix.core.types import EvaluationResult
from tensor_optix.functional.seeding import derive_seed
from tensor_optix.functional.statistics import mean_interval
from tensor_optix.pipeline.stepping.collectors import Act
from tensor_optix.pipeline.stepping.env_guard import EnvGuard
from tensor_optix.pipeline.stepping.episode_beginnings import Beginnings, told_beginnings
from tensor_optix.pipeline.stepping.space_layout import Layout, is_finite, reader, stack
from tensor_optix.pipeline.stepping.vector_env import Autoreset, VectorGuard


def rowwise(act: Act, num_envs: int, action_space: Any) -> Act:
    """Return ``act_batch`` made of one ``act`` per environment."""

    def act_batch(observations: Any, action_masks: Any = None) -> Any:
        row = reader(observations)
        if action_masks is None:
            return stack([act(row(n)) for n in range(num_envs)], action_space)
        return stack([act(row(n), action_mask=action_masks[n]) for n in range(num_envs)], action_space)

    act_batch.uses_action_masks = takes_masks(act)  # type: ignore[attr-defined]
    act_batch.begin_episodes = told_beginnings(act)  # type: ignore[attr-defined]
    return act_batch


class EpisodePlayer(ABC):
    """Plays whole episodes, each from a seed of its own, in one environment or in what takes its place.

    Args:
        guard: The environment.
        act: Maps one observation to one action; ``act.batch``, where it has that, maps observations
            ``[N, ...]`` of a vector environment to actions ``[N, ...]``; ``act.max_episode_steps``, where it has
            that, is a greatest length where no time limit of the environment's is known.
        num_episodes: How many.
        seed: Source of the episodes' seeds.

    Attributes:
        num_failures: How often the environment failed since the last episode that was finished.
        num_cut: How many episodes had not ended at the greatest length there is.
    """

    num_failures = 0
    num_cut = 0

    @abstractmethod
    def play(self, guard: Any) -> EvaluationResult:
        """Play all episodes, or those that are left; may be called again with another environment."""

    @abstractmethod
    def break_off(self) -> int:
        """Note that the environment failed in the running episodes, and return how many these were."""


class SinglePlayer(EpisodePlayer):
    """Plays episodes one after another in one environment."""

    def __init__(self, guard: EnvGuard, act: Act, num_episodes: int, seed: int) -> None:
        self._act = act
        self._num_episodes = num_episodes
        self._seed = seed
        self._returns: list[float] = []
        self._lengths: list[int] = []
        self._length = 0
        self._lost_steps = 0
        self._layout: Layout | None = None

    def play(self, guard: EnvGuard) -> EvaluationResult:
        """See :class:`EpisodePlayer`."""
        while len(self._returns) < self._num_episodes:
            self._returns.append(self._play_one(guard))
            self._lengths.append(self._length)
            self.num_failures = 0
        lengths = np.array(self._lengths, np.int64)
        return _result(np.array(self._returns), lengths, int(lengths.sum()) + self._lost_steps, self.num_cut)

    def break_off(self) -> int:
        """See :class:`EpisodePlayer`."""
        self._lost_steps += self._length
        self.num_failures += 1
        return 1

    def _play_one(self, guard: EnvGuard) -> float:
        self._length, limit = 0, _limit(guard, self._act)
        observation, over, has_ended = guard.reset(self._next_seed()), False, False
        self._layout = self._layout or Layout.of(observation, guard.space("observation"))
        cast, step, act, total = self._layout.cast, guard.step, self._act, 0.0
        own = guard.own_reward
        masks = guard.masks.serve(act, observation, guard.reset_info)
        beside = {} if masks is None else masks.beside
        tell = told_beginnings(act)
        if tell is not None:
            tell(np.ones(1, np.bool_))
        while not over:
            observation, reward, terminated, truncated, info = step(act(cast(observation), **beside))
            if masks is not None:
                masks.follow(observation, info, terminated, truncated)
            try:
                paid = reward if type(reward) is float else as_reward(reward)
                total += paid if own is None else own.take()
            except (TypeError, ValueError, OverflowError) as error:
                raise guard.unusable(error) from error
            self._length += 1
            has_ended = terminated or truncated
            over = has_ended or self._length >= limit
        _check_finite(guard, total, observation)
        self.num_cut += not has_ended
        return total

    def _next_seed(self) -> int:
        """Return the same seed once more after a failure, and another one where it failed in that again."""
        again = ("again", self.num_failures) if self.num_failures > 1 else ()
        return derive_seed(self._seed, "episode", len(self._returns), *again)


class VectorPlayer(EpisodePlayer):
    """Plays episodes in all sub-environments at once; each plays a fixed share.

    Taking the first episodes to finish would favour short ones; the first k of each
    sub-environment do not. Once an episode had to be cut, sub-environments wait for each other
    and all start afresh, since most autoreset modes cannot reset one alone.
    """

    def __init__(self, guard: VectorGuard, act: Act, num_episodes: int, seed: int) -> None:
        num_envs = guard.num_envs
        self._act = act
        self._act_batch = getattr(act, "batch", None) or rowwise(act, num_envs, guard.space("action"))
        self._seed = seed
        share, rest = divmod(num_episodes, num_envs)
        self._remaining = np.full(num_envs, share)
        self._remaining[:rest] += 1
        self._num_played = np.zeros(num_envs, np.int64)
        # keyed by (which episode of its sub-environment, sub-environment): an order that does not depend on how
        # long episodes take, so that two policies' episodes pair up
        self._played: list[tuple[tuple[int, int], float, int]] = []
        self._playing = np.zeros(num_envs, bool)
        self._num_rounds = 0
        self._steps_taken = 0

    def play(self, guard: VectorGuard) -> EvaluationResult:
        """See :class:`EpisodePlayer`."""
        limit = _limit(guard, self._act)
        while self._remaining.any():
            seed = derive_seed(self._seed, "episode", self._num_rounds)
            self._num_rounds += 1
            self._play_round(guard, seed, limit)
        returns, lengths = zip(*(played[1:] for played in sorted(self._played)), strict=True)
        env_steps = self._steps_taken * guard.num_envs
        return _result(np.array(returns), np.array(lengths, np.int64), env_steps, self.num_cut)

    def break_off(self) -> int:
        """See :class:`EpisodePlayer`."""
        self.num_failures += 1
        return int(self._playing.sum())

    def _play_round(self, guard: VectorGuard, seed: int, limit: float) -> None:
        """Play from one full reset until every share is done, or one episode had to be cut."""
        self._playing, cut_one = self._remaining > 0, False
        observations = guard.reset(seed)
        layout = Layout.of(observations, guard.space("observation"), batched=True)
        returns, lengths = np.zeros(guard.num_envs), np.zeros(guard.num_envs, np.int64)
        own, act = guard.own_reward, self._act_batch
        masks = guard.masks.serve(act, observations, guard.reset_info)
        beside = {} if masks is None else masks.beside
        tell, beginnings = told_beginnings(act), Beginnings(guard.num_envs, guard.mode is Autoreset.NEXT_STEP)
        while self._playing.any():
            if tell is not None:
                beginnings.tell(tell)
            observations, rewards, terminated, truncated, info = guard.step(act(layout.cast(observations), **beside))
            self._steps_taken += 1
            counted = self._playing & ~guard.ended
            try:
                paid = as_rewards(rewards, guard.num_envs)
                returns += np.where(counted, paid if own is None else own.take(), 0.0)
            except (TypeError, OverflowError) as error:
                raise guard.unusable(error) from error
            lengths += counted
            over = np.logical_or(terminated, truncated) & ~guard.ended
            beginnings.follow(over)
            cut = counted & ~over & (lengths >= limit)
            self.num_cut += int(cut.sum())
            cut_one = cut_one or bool(cut.any())
            finished = counted & (over | cut)
            if finished.any():
                _check_finite(guard, returns, observations)
                self._record(finished, returns, lengths)
            self._playing &= ~finished | ((self._remaining > 0) & (not cut_one))
            if masks is not None:
                masks.follow(observations, info, *guard.shown_ends(terminated, truncated))
            observations = _after(guard, over, observations, masks)

    def _record(self, finished: Any, returns: Any, lengths: Any) -> None:
        for n in np.flatnonzero(finished).tolist():
            self._num_played[n] += 1
            self._played.append(((int(self._num_played[n]), n), float(returns[n]), int(lengths[n])))
        self._remaining -= finished
        returns[finished] = 0.0
        lengths[finished] = 0
        self.num_failures = 0


def _after(guard: VectorGuard, over: Any, observations: Any, masks: Any) -> Any:
    if guard.mode is not Autoreset.SAME_STEP:
        guard.ended = over
    if guard.mode is Autoreset.DISABLED and over.any():
        observations = guard.reset_ended()
        if masks is not None:
            masks.follow_reset(observations, guard.reset_info, np.flatnonzero(over).tolist())
    return observations


def _check_finite(guard: EnvGuard, returns: Any, observation: Any) -> None:
    for what, value in (("a reward", returns), ("an observation", observation)):
        if not is_finite(value):
            raise guard.not_finite(what, f" in an episode that was played up to step {guard.steps_taken}")


def _limit(guard: EnvGuard, act: Act) -> float:
    """Return where episodes are cut."""
    limit = guard.step_limit
    return limit if limit == float("inf") else min(limit, getattr(act, "max_episode_steps", limit))


def _result(returns: Any, lengths: Any, env_steps: int, num_cut: int) -> EvaluationResult:
    return EvaluationResult(float(returns.mean()), mean_interval(returns), returns, lengths, env_steps, num_cut)
