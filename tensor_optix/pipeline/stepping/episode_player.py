"""Playing whole seeded episodes, as evaluations do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tensor_optix.core.rewards import as_reward, as_rewards
from tensor_optix.core.types import EvaluationResult
from tensor_optix.functional.seeding import derive_seed
from tensor_optix.functional.statistics import mean_interval
from tensor_optix.pipeline.stepping.env_guard import EnvGuard, has_time_limit, space_of
from tensor_optix.pipeline.stepping.space_layout import Layout, is_finite, reader, stack
from tensor_optix.pipeline.stepping.vector_env import Autoreset, VectorDriver

Act = Callable[[Any], Any]

MAX_STEPS_WITHOUT_TIME_LIMIT = 10_000
"""Where an episode is cut in an environment that is not known to end them."""


def rowwise(act: Act, num_envs: int, action_space: Any) -> Act:
    """Return ``act_batch`` made of one ``act`` per environment."""

    def act_batch(observations: Any) -> Any:
        row = reader(observations)
        return stack([act(row(n)) for n in range(num_envs)], action_space)

    return act_batch


class SinglePlayer:
    """Plays episodes in one environment; each starts with a seed of its own.

    Args:
        act: Maps one observation to one action.
        num_episodes: How many.
        seed: Source of the episodes' seeds.

    Attributes:
        num_failures: How often the environment failed since the last episode that was finished.
    """

    def __init__(self, act: Act, num_episodes: int, seed: int) -> None:
        self._act = act
        self._num_episodes = num_episodes
        self._seed = seed
        self._returns: list[float] = []
        self._lengths: list[int] = []
        self._length = 0
        self._lost_steps = 0
        self._layout: Layout | None = None
        self.num_failures = 0

    def play(self, guard: EnvGuard) -> EvaluationResult:
        """Play all episodes, or those that are left; may be called again with another environment."""
        limit = _step_limit(guard.env)
        while len(self._returns) < self._num_episodes:
            self._returns.append(self._play_one(guard, limit))
            self._lengths.append(self._length)
            self.num_failures = 0
        lengths = np.array(self._lengths, np.int64)
        return _result(np.array(self._returns), lengths, int(lengths.sum()) + self._lost_steps)

    def break_off(self) -> int:
        """Note that the environment failed in the running episode, and return how many episodes that were."""
        self._lost_steps += self._length
        self.num_failures += 1
        return 1

    def _play_one(self, guard: EnvGuard, limit: float) -> float:
        self._length = 0
        observation, over = guard.reset(self._next_seed()), False
        self._layout = self._layout or Layout.of(observation, space_of(guard.env, "observation"))
        cast, step, act, total = self._layout.cast, guard.step, self._act, 0.0
        while not over:
            observation, reward, terminated, truncated, _ = step(act(cast(observation)))
            try:
                total += reward if type(reward) is float else as_reward(reward)
            except (TypeError, ValueError, OverflowError) as error:
                raise guard.unusable(error) from error
            self._length += 1
            over = terminated or truncated or self._length >= limit
        _check_finite(guard, total, observation)
        return total

    def _next_seed(self) -> int:
        """Return the same seed once more after a failure, and another one where it failed in that again."""
        again = ("again", self.num_failures) if self.num_failures > 1 else ()
        return derive_seed(self._seed, "episode", len(self._returns), *again)


class VectorPlayer:
    """Plays episodes in all sub-environments at once; each plays a fixed share.

    Taking the first episodes to finish would favour short ones; the first k of each
    sub-environment do not. Once an episode had to be cut, sub-environments wait for each other
    and all start afresh, since most autoreset modes cannot reset one alone.

    Args:
        act: Maps one observation to one action; ``act.batch``, where it has that, maps
            observations ``[N, ...]`` to actions ``[N, ...]``.
        num_episodes: How many in all.
        seed: Source of the episodes' seeds.

    Attributes:
        num_failures: How often the environment failed since the last episode that was finished.
    """

    def __init__(self, driver: VectorDriver, act: Act, num_episodes: int, seed: int) -> None:
        num_envs = driver.num_envs
        self._act_batch = getattr(act, "batch", None) or rowwise(act, num_envs, space_of(driver.guard.env, "action"))
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
        self._num_steps = 0
        self.num_failures = 0

    def play(self, driver: VectorDriver) -> EvaluationResult:
        """Play all episodes, or those that are left; may be called again with another environment."""
        limit = driver.step_limit = driver.step_limit or _step_limit(driver.guard.env)
        while self._remaining.any():
            seed = derive_seed(self._seed, "episode", self._num_rounds)
            self._num_rounds += 1
            self._play_round(driver, seed, limit)
        returns, lengths = zip(*(played[1:] for played in sorted(self._played)), strict=True)
        return _result(np.array(returns), np.array(lengths, np.int64), self._num_steps * driver.num_envs)

    def break_off(self) -> int:
        """Note that the environment failed in the running episodes, and return how many these were."""
        self.num_failures += 1
        return int(self._playing.sum())

    def _play_round(self, driver: VectorDriver, seed: int, limit: float) -> None:
        """Play from one full reset until every share is done, or one episode had to be cut."""
        self._playing, cut_one = self._remaining > 0, False
        observations = driver.reset(seed)
        layout = Layout.of(observations, space_of(driver.guard.env, "observation"), batched=True)
        returns, lengths = np.zeros(driver.num_envs), np.zeros(driver.num_envs, np.int64)
        while self._playing.any():
            observations, rewards, terminated, truncated, _ = driver.guard.step(
                self._act_batch(layout.cast(observations))
            )
            self._num_steps += 1
            counted = self._playing & ~driver.ended
            try:
                returns += np.where(counted, as_rewards(rewards, driver.num_envs), 0.0)
            except (TypeError, OverflowError) as error:
                raise driver.guard.unusable(error) from error
            lengths += counted
            over = np.logical_or(terminated, truncated) & ~driver.ended
            cut = counted & ~over & (lengths >= limit)
            cut_one = cut_one or bool(cut.any())
            finished = counted & (over | cut)
            if finished.any():
                _check_finite(driver.guard, returns, observations)
                self._record(finished, returns, lengths)
            self._playing &= ~finished | ((self._remaining > 0) & (not cut_one))
            observations = _after(driver, over, observations)

    def _record(self, finished: Any, returns: Any, lengths: Any) -> None:
        for n in np.flatnonzero(finished).tolist():
            self._num_played[n] += 1
            self._played.append(((int(self._num_played[n]), n), float(returns[n]), int(lengths[n])))
        self._remaining -= finished
        returns[finished] = 0.0
        lengths[finished] = 0
        self.num_failures = 0


def _after(driver: VectorDriver, over: Any, observations: Any) -> Any:
    if driver.mode is not Autoreset.SAME_STEP:
        driver.ended = over
    if driver.mode is Autoreset.DISABLED and over.any():
        return driver.reset_ended()
    return observations


def _step_limit(env: Any) -> float:
    return float("inf") if has_time_limit(env) else MAX_STEPS_WITHOUT_TIME_LIMIT


def _check_finite(guard: EnvGuard, returns: Any, observation: Any) -> None:
    for what, value in (("a reward", returns), ("an observation", observation)):
        if not is_finite(value):
            raise guard.not_finite(what, f" in an episode that was played up to step {guard.num_steps}")


def _result(returns: Any, lengths: Any, env_steps: int) -> EvaluationResult:
    return EvaluationResult(float(returns.mean()), mean_interval(returns), returns, lengths, env_steps)
