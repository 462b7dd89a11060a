"""A film is one greedy episode, short and small, in any browser."""

import io

import gymnasium as gym
import numpy as np
import pytest
from PIL import Image

from tensor_optix.exceptions import EnvironmentFailureError
from tensor_optix.reporting.pictures import film as film_module
from tensor_optix.reporting.pictures.film import MOST_FRAMES, WIDTH, film_of


class Drawn(gym.Env):
    """Each step is a picture of another grey."""

    observation_space = gym.spaces.Box(-1.0, 1.0, (1,))
    action_space = gym.spaces.Discrete(2)
    metadata = {"render_modes": ["rgb_array"], "render_fps": 50}  # noqa: RUF012

    def __init__(self, length, render_mode="rgb_array", size=(60, 80)):
        self.length, self.render_mode, self.size, self.at = length, render_mode, size, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.at = 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.at += 1
        return np.zeros(1, np.float32), 1.0, self.at >= self.length, False, {}

    def render(self):
        return np.full((*self.size, 3), self.at % 250, np.uint8)


def frames_of(film):
    gif = Image.open(io.BytesIO(film.gif))
    return [np.asarray(gif.convert("L")).mean() for i in range(gif.n_frames) if gif.seek(i) is None], gif


def test_a_short_episode_is_shown_whole_at_its_own_speed():
    film = film_of(lambda observation: 0, Drawn(20))
    greys, gif = frames_of(film)
    assert greys == pytest.approx(list(range(21)), abs=1)
    assert gif.info["duration"] == 20
    assert gif.info["loop"] == 0
    assert film.caption == "One greedy episode of the champion: 20 steps, return 20.00; 21 pictures, at its own speed."


def test_of_a_long_episode_pictures_are_evenly_spaced():
    film = film_of(lambda observation: 0, Drawn(1000))
    _, gif = frames_of(film)
    assert MOST_FRAMES / 2 <= gif.n_frames <= MOST_FRAMES
    assert gif.n_frames * gif.info["duration"] / 1000 <= 12.5
    assert "times as fast as it is" in film.caption


def test_large_pictures_are_made_small():
    _, gif = frames_of(film_of(lambda observation: 0, Drawn(3, size=(600, 1280))))
    assert gif.size == (WIDTH, 150)


def test_a_film_that_is_too_large_shows_fewer_pictures(monkeypatch):
    class Noisy(Drawn):
        def render(self):
            return np.random.default_rng(self.at).integers(0, 255, (*self.size, 3)).astype(np.uint8)

    monkeypatch.setattr(film_module, "MOST_BYTES", 60_000)
    film = film_of(lambda observation: 0, Noisy(64))
    assert len(film.gif) <= 60_000
    assert 2 <= frames_of(film)[1].n_frames < 33


def test_an_environment_that_draws_nothing_is_refused():
    with pytest.raises(EnvironmentFailureError, match='made with render_mode="rgb_array"'):
        film_of(lambda observation: 0, Drawn(3, render_mode=None))

    class Blank(Drawn):
        def render(self):
            return None

    with pytest.raises(EnvironmentFailureError, match="drew no pictures"):
        film_of(lambda observation: 0, Blank(3))
