"""Fresh wrappers get what a run's wrappers had gathered."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.wrappers import NormalizeObservation, NormalizeReward
from gymnasium.wrappers.vector import NormalizeObservation as NormalizeObservations

from tensor_optix.exceptions import StateMismatchError
from tensor_optix.pipeline.stepping.env_state import env_state, layers_of
from tensor_optix.pipeline.stepping.fresh_wrappers import give_statistics


class Shows(gym.Env):
    """Shows numbers drawn from its generator."""

    action_space = gym.spaces.Discrete(2)

    def __init__(self, size: int = 2, dtype: Any = np.float32) -> None:
        self.observation_space = gym.spaces.Box(-np.inf, np.inf, (size,), dtype)

    def _show(self) -> Any:
        return (3.0 + self.np_random.normal(size=self.observation_space.shape)).astype(self.observation_space.dtype)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        return self._show(), {}

    def step(self, action: Any) -> Any:
        return self._show(), 1.0, False, False, {}


class Counts(gym.Wrapper):
    """Keeps a state and says so."""

    seen = 0

    def step(self, action: Any) -> Any:
        self.seen += 1
        return super().step(action)

    def state_dict(self) -> dict[str, Any]:
        return {"seen": self.seen}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.seen = state["seen"]


def single(**more: Any) -> Any:
    return NormalizeReward(NormalizeObservation(Shows(**more)))


def sync(num_envs: int, make: Any = single) -> Any:
    return gym.vector.SyncVectorEnv([make] * num_envs)


def wrapped_vector(num_envs: int) -> Any:
    return NormalizeObservations(gym.vector.SyncVectorEnv([Shows] * num_envs))


def stepped(env: Any, num_steps: int = 50) -> Any:
    env.reset(seed=3)
    for _ in range(num_steps):
        env.step(env.action_space.sample())
    return env


def normalisers(env: Any) -> list[Any]:
    """Return the statistics of observations in ``env``."""
    return [vars(layer)["obs_rms"] for layer in layers_of(env) if "obs_rms" in vars(layer)]


def pooled(env: Any) -> tuple[Any, Any, float]:
    """Mean, variance and count over all of an environment's normalisers, by sums and sums of squares."""
    parts = normalisers(env)
    count = sum(part.count for part in parts)
    mean = sum(part.count * part.mean for part in parts) / count
    squares = sum(part.count * (part.var + part.mean**2) for part in parts) / count
    return mean, squares - mean**2, count


@pytest.mark.parametrize(
    ("make_old", "make_new"),
    [
        (single, single),
        (lambda: sync(3), lambda: sync(3)),
        (lambda: wrapped_vector(3), lambda: wrapped_vector(3)),
        (lambda: sync(3), single),
        (single, lambda: sync(3)),
        (lambda: sync(2), lambda: sync(3)),
        (lambda: wrapped_vector(3), single),
        (single, lambda: gym.wrappers.TimeLimit(NormalizeObservation(Shows()), 100)),
    ],
)
def test_each_gets_what_all_of_them_saw(make_old: Any, make_new: Any) -> None:
    old, new = stepped(make_old()), make_new()
    give_statistics(new, env_state(old))
    mean, var, count = pooled(old)
    for i, part in enumerate(normalisers(new)):
        if len(normalisers(old)) == len(normalisers(new)):
            mean, var, count = (getattr(normalisers(old)[i], name) for name in ("mean", "var", "count"))
        np.testing.assert_allclose(part.mean, mean, rtol=1e-6)
        np.testing.assert_allclose(part.var, var, rtol=1e-5)
        assert part.count == pytest.approx(count)
        assert part.mean.dtype == normalisers(old)[0].mean.dtype
    stepped(new)  # goes on from there


def test_what_is_only_for_learning_need_not_be_there() -> None:
    new = NormalizeObservation(Shows())
    give_statistics(new, env_state(stepped(single())))
    assert new.obs_rms.count > 50


def test_layers_that_save_themselves() -> None:
    new = Counts(gym.wrappers.TimeLimit(Shows(), 7))
    give_statistics(new, env_state(stepped(Counts(Shows()))))
    assert new.seen == 50


def test_where_nothing_was_gathered_nothing_is_given() -> None:
    give_statistics(Shows(), env_state(stepped(Shows())))
    give_statistics(Shows(), env_state(stepped(NormalizeReward(Shows()))))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (Shows, single, "keep statistics are NormalizeObservation, NormalizeReward; the run's were none"),
        (single, Shows, "keep statistics are none; the run's were NormalizeObservation, NormalizeReward. Wrap it as"),
        (single, lambda: gym.vector.AsyncVectorEnv([single] * 2), "processes of an AsyncVectorEnv are not reached"),
        (single, lambda: single(size=3), r"was of shape \(2,\) and is \(3,\)"),
    ],
)
def test_others_are_refused(old: Any, new: Any, message: str) -> None:
    env = new()
    with pytest.raises(StateMismatchError, match=message):
        give_statistics(env, env_state(stepped(old())))
    env.close()
