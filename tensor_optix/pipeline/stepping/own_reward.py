"""What an environment itself pays, where wrappers change the reward that is learned from.

Returns are told in the environment's own reward: normalised or clipped ones say nothing to whoever knows the task,
and a normaliser's unit drifts while the policy learns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import wrappers
from gymnasium.wrappers import vector as vector_wrappers

from tensor_optix.core.rewards import as_reward, as_rewards

_CHANGE_REWARDS = (
    wrappers.NormalizeReward,
    wrappers.TransformReward,  # ClipReward is one
    vector_wrappers.NormalizeReward,
    vector_wrappers.TransformReward,
    vector_wrappers.VectorizeTransformReward,
)
"""Gymnasium's own, which are there for the learner; a wrapper of a user's that pays otherwise makes another task."""


class RewardTap:
    """Stands before an environment's ``step`` and adds up what it pays.

    An attribute of the environment as long as it is read: wrappers around it notice nothing, and places in the chain
    stay as they are. Several steps inside one (frames that are skipped) count as that one.

    Args:
        env: The environment whose reward is read.
        num_envs: Of a vector; None for one.
    """

    def __init__(self, env: Any, num_envs: int | None) -> None:
        self._env = env
        self._num_envs = num_envs
        self._before = vars(env).get("step")
        self._step = env.step
        self._is_off = False
        self.paid: Any = 0.0
        vars(env)["step"] = self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Step, and add the reward."""
        result = self._step(*args, **kwargs)
        if isinstance(result, tuple) and len(result) > 1:  # whoever called says what is wrong with others
            reward = result[1]
            self.paid = self.paid + (
                as_reward(reward) if self._num_envs is None else as_rewards(reward, self._num_envs)
            )
        return result

    def remove(self) -> None:
        """Leave the environment as it was, or as whoever stands before this still needs it."""
        own = vars(self._env)
        self._is_off = True
        while isinstance(first := own.get("step"), RewardTap) and first._is_off:
            if first._before is None:
                del own["step"]
            else:
                own["step"] = first._before


class OwnReward:
    """The reward below all wrappers that change it.

    Args:
        taps: One, or one for each sub-environment.
        is_each: Whether there is one for each sub-environment.
    """

    def __init__(self, taps: list[RewardTap], *, is_each: bool) -> None:
        self._taps = taps
        self._is_each = is_each

    def take(self) -> Any:
        """Return what was paid since this was last asked: a number, or ``[N]``."""
        paid = [tap.paid for tap in self._taps]
        for tap in self._taps:
            tap.paid = 0.0
        return np.array(paid) if self._is_each else paid[0]

    def remove(self) -> None:
        """Leave the environment as it was."""
        for tap in self._taps:
            tap.remove()


def read_own_reward(env: Any) -> OwnReward | None:
    """Return what reads the own reward; None where no wrapper changes it, or it cannot be reached."""
    if not reward_wrappers(env):
        return None
    num_envs = getattr(env, "num_envs", None) if isinstance(env, gym.vector.VectorEnv) else None
    inner = _below_reward_wrappers(env)
    subs = [] if num_envs is None else list(getattr(getattr(env, "unwrapped", env), "envs", ()))
    is_each = any(reward_wrappers(sub) for sub in subs)
    sources = [_below_reward_wrappers(sub) for sub in subs] if is_each else [inner]
    if not all(hasattr(source, "__dict__") for source in sources):
        return None
    taps = [RewardTap(source, None if is_each else num_envs) for source in sources]
    return OwnReward(taps, is_each=is_each)


def reward_wrappers(env: Any) -> list[str]:
    """Return the names of the wrappers that change rewards, those of sub-environments last."""
    chain = list(_chain(env))
    names = [type(layer).__name__ for layer in chain if isinstance(layer, _CHANGE_REWARDS)]
    for sub in getattr(chain[-1], "envs", ()):
        names += [name for name in reward_wrappers(sub) if name not in names]
    return names


def reward_wrappers_among(makers: Iterable[Any]) -> list[str]:
    """Return the names of those among classes, or what is made from classes, that would wrap an environment."""
    classes = [getattr(maker, "func", maker) for maker in makers]
    return [one.__name__ for one in classes if isinstance(one, type) and issubclass(one, _CHANGE_REWARDS)]


def _chain(env: Any) -> Iterator[Any]:
    """Yield the wrappers from the outside in, and what they wrap."""
    while env is not None:
        yield env
        env = vars(env).get("env") if hasattr(env, "__dict__") else None


def _below_reward_wrappers(env: Any) -> Any:
    inner = env
    for layer in _chain(env):
        if isinstance(layer, _CHANGE_REWARDS):
            inner = layer.env
    return inner
