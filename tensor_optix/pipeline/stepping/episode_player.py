"""Playing whole seeded episodes, as evaluations do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

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


def play_single(guard: EnvGuard, act: Act, num_episodes: int, seed: int) -> EvaluationResult:
    """Play episodes in one environment; each starts with a seed of its own.

    Args:
        guard: The environment.
        act: Maps one observation to one action.
        num_episodes: How many.
        seed: Source of the episodes' seeds.
    """
    limit = _step_limit(guard.env)
    layout: Layout | None = None
    returns, lengths = np.zeros(num_episodes), np.zeros(num_episodes, np.int64)
    for i in range(num_episodes):
        observation, over = guard.reset(derive_seed(seed, "episode", i)), False
        layout = layout or Layout.of(observation, space_of(guard.env, "observation"))
        total, length, cast, step = 0.0, 0, layout.cast, guard.step
        while not over:
            observation, reward, terminated, truncated, _ = step(act(cast(observation)))
            total += reward
            length += 1
            over = terminated or truncated or length >= limit
        _check_finite(guard, total, observation)
        returns[i], lengths[i] = total, length
    return _result(returns, lengths, int(lengths.sum()))


def play_vector(driver: VectorDriver, act: Act, num_episodes: int, seed: int) -> EvaluationResult:
    """Play episodes in all sub-environments at once; each plays a fixed share.

    Taking the first episodes to finish would favour short ones; the first k of each
    sub-environment do not. Once an episode had to be cut, sub-environments wait for each other
    and all start afresh, since most autoreset modes cannot reset one alone.

    Args:
        driver: The environment.
        act: Maps one observation to one action; ``act.batch``, where it has that, maps
            observations ``[N, ...]`` to actions ``[N, ...]``.
        num_episodes: How many in all.
        seed: Source of the episodes' seeds.
    """
    env, num_envs = driver.guard.env, driver.num_envs
    act_batch = getattr(act, "batch", None) or rowwise(act, num_envs, space_of(env, "action"))
    player = _VectorPlayer(driver, act_batch, _step_limit(env), num_episodes)
    rounds = 0
    while player.remaining.any():
        player.play_round(derive_seed(seed, "episode", rounds))
        rounds += 1
    returns, lengths = zip(*(played[1:] for played in sorted(player.played)), strict=True)
    return _result(np.array(returns), np.array(lengths, np.int64), player.num_steps * num_envs)


class _VectorPlayer:
    """The counts of one call to ``play_vector``."""

    def __init__(self, driver: VectorDriver, act_batch: Act, limit: float, num_episodes: int) -> None:
        self.driver = driver
        self.act_batch = act_batch
        self.limit = limit
        share, rest = divmod(num_episodes, driver.num_envs)
        self.remaining = np.full(driver.num_envs, share)
        self.remaining[:rest] += 1
        self.num_played = np.zeros(driver.num_envs, np.int64)
        # keyed by (which episode of its sub-environment, sub-environment): an order that does not depend on how
        # long episodes take, so that two policies' episodes pair up
        self.played: list[tuple[tuple[int, int], float, int]] = []
        self.num_steps = 0

    def play_round(self, seed: int) -> None:
        """Play from one full reset until every share is done, or one episode had to be cut."""
        driver = self.driver
        observations = driver.reset(seed)
        layout = Layout.of(observations, space_of(driver.guard.env, "observation"), batched=True)
        returns, lengths = np.zeros(driver.num_envs), np.zeros(driver.num_envs, np.int64)
        playing, cut_one = self.remaining > 0, False
        while playing.any():
            observations, rewards, terminated, truncated, _ = driver.guard.step(
                self.act_batch(layout.cast(observations))
            )
            self.num_steps += 1
            counted = playing & ~driver.ended
            returns += np.where(counted, rewards, 0.0)
            lengths += counted
            over = np.logical_or(terminated, truncated) & ~driver.ended
            cut = counted & ~over & (lengths >= self.limit)
            cut_one = cut_one or bool(cut.any())
            finished = counted & (over | cut)
            self._record(finished, returns, lengths, observations)
            playing &= ~finished | ((self.remaining > 0) & (not cut_one))
            observations = self._after(over, observations)

    def _record(self, finished: Any, returns: Any, lengths: Any, observations: Any) -> None:
        if not finished.any():
            return
        _check_finite(self.driver.guard, returns, observations)
        for n in np.flatnonzero(finished).tolist():
            self.num_played[n] += 1
            self.played.append(((int(self.num_played[n]), n), float(returns[n]), int(lengths[n])))
        self.remaining -= finished
        returns[finished] = 0.0
        lengths[finished] = 0

    def _after(self, over: Any, observations: Any) -> Any:
        if self.driver.mode is not Autoreset.SAME_STEP:
            self.driver.ended = over
        if self.driver.mode is Autoreset.DISABLED and over.any():
            return self.driver.reset_ended()
        return observations


def _step_limit(env: Any) -> float:
    return float("inf") if has_time_limit(env) else MAX_STEPS_WITHOUT_TIME_LIMIT


def _check_finite(guard: EnvGuard, returns: Any, observation: Any) -> None:
    for what, value in (("a reward", returns), ("an observation", observation)):
        if not is_finite(value):
            raise guard.not_finite(what, f" in an episode that was played up to step {guard.num_steps}")


def _result(returns: Any, lengths: Any, env_steps: int) -> EvaluationResult:
    return EvaluationResult(float(returns.mean()), mean_interval(returns), returns, lengths, env_steps)
