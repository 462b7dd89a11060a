"""An environment that is to be filmed draws pictures, or it is said why not."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest

from tensor_optix.cli.filming import environment_to_film
from tensor_optix.exceptions import EnvironmentFailureError
from tensor_optix.pipeline.environment_names import EnvironmentName


class Blind(gym.Env):
    observation_space = gym.spaces.Discrete(2)
    action_space = gym.spaces.Discrete(2)


class Stubborn(Blind):
    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = None


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gym.envs.registration, "registry", dict(gym.registry))
    for kind in (Blind, Stubborn):
        gym.register(f"{kind.__name__}-v0", entry_point=kind)


def test_it_draws() -> None:
    env = environment_to_film(EnvironmentName("CartPole-v1", {"max_episode_steps": 7}))
    env.reset(seed=0)
    frame = env.render()
    env.close()
    assert isinstance(frame, np.ndarray)
    assert frame.ndim == 3


def test_one_that_cannot_is_refused() -> None:
    with pytest.raises(EnvironmentFailureError, match=r"Blind-v0 cannot be filmed: it has no render mode 'rgb_array'"):
        environment_to_film(EnvironmentName("Blind-v0"))
    with pytest.raises(EnvironmentFailureError, match="Stubborn-v0 draws no pictures: something in it has another"):
        environment_to_film(EnvironmentName("Stubborn-v0"))
