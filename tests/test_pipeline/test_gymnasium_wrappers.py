"""Every wrapper of Gymnasium's that keeps the API runs; one that is not in the tables here fails the test."""

import importlib.util

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces, wrappers

from tensor_optix import RLOptimizer
from tensor_optix.presets import make_agent, make_pipeline

STEPS = 6


class Shown(gym.Env):
    """Shows whatever its space holds, as a picture too where asked for one; the first action is the better one."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012
    render_mode = "rgb_array"

    def __init__(self, observation_space, action_space):
        self.observation_space, self.action_space = observation_space, action_space

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed is not None:
            self.observation_space.seed(seed)
        self._time = 0
        return self.observation_space.sample(), {"time": 0}

    def step(self, action):
        assert self.action_space.contains(action), (action, self.action_space)
        self._time += 1
        reward = float(np.sum(action))
        return self.observation_space.sample(), reward, False, self._time == STEPS, {"time": self._time}

    def render(self):
        return np.full((16, 20, 3), 40 * self._time, np.uint8)


BOX, TWO, FORCE = spaces.Box(-1.0, 1.0, (2,)), spaces.Discrete(2), spaces.Box(-1.0, 1.0, (2,))


def numbers():
    return Shown(BOX, TWO)


def forces():
    return Shown(BOX, FORCE)


def pixels():
    return Shown(spaces.Box(0, 255, (16, 20, 3), np.uint8), TWO)


def parts():
    return Shown(spaces.Dict({"a": BOX, "b": spaces.Text(3)}), TWO)


def limited():
    return wrappers.TimeLimit(numbers(), STEPS)


SINGLE = {
    "AddRenderObservation": lambda w: w(numbers(), render_only=False),
    "AddWhiteNoise": lambda w: w(numbers(), probability_of_noise_per_pixel=0.5),
    "Autoreset": lambda w: w(numbers()),
    "ClipAction": lambda w: w(forces()),
    "ClipReward": lambda w: w(numbers(), -0.5, 0.5),
    "DelayObservation": lambda w: w(numbers(), delay=2),
    "DiscretizeAction": lambda w: w(forces(), bins=3),
    "DiscretizeObservation": lambda w: w(numbers(), bins=3),
    "DtypeObservation": lambda w: w(numbers(), np.float64),
    "FilterObservation": lambda w: w(parts(), ["a"]),
    "FlattenObservation": lambda w: w(parts()),
    "FrameStackObservation": lambda w: w(pixels(), 3),
    "GrayscaleObservation": lambda w: w(pixels()),
    "MaxAndSkipObservation": lambda w: w(pixels(), 2),
    "NormalizeObservation": lambda w: w(numbers()),
    "NormalizeReward": lambda w: w(numbers()),
    "ObstructView": lambda w: w(numbers(), obstructed_pixels_ratio=0.1, obstruction_width=2),
    "OrderEnforcing": lambda w: w(numbers()),
    "PassiveEnvChecker": lambda w: w(numbers()),
    "RecordEpisodeStatistics": lambda w: w(numbers()),
    "RenderCollection": lambda w: w(numbers()),
    "RepeatAction": lambda w: w(numbers(), num_repeats=2),
    "RescaleAction": lambda w: w(forces(), np.float32(0.0), np.float32(3.0)),
    "RescaleObservation": lambda w: w(numbers(), np.float32(0.0), np.float32(1.0)),
    "ReshapeObservation": lambda w: w(numbers(), (2, 1)),
    "StickyAction": lambda w: w(numbers(), 0.3),
    "TimeAwareObservation": lambda w: w(limited(), flatten=False),
    "TimeLimit": lambda w: w(numbers(), 4),
    "TransformAction": lambda w: w(numbers(), lambda action: 1 - action, TWO),
    "TransformObservation": lambda w: w(numbers(), lambda observation: 2 * observation, spaces.Box(-2.0, 2.0, (2,))),
    "TransformReward": lambda w: w(numbers(), lambda reward: 2.0 * reward),
}
NOT_SINGLE = {
    "ArrayConversion": "observations are of another array library, which array-api-compat must be there for",
    "AtariPreprocessing": "needs a game of the Arcade Learning Environment",
    "HumanRendering": "needs a display",
    "JaxToNumpy": "needs JAX",
    "JaxToTorch": "makes tensors of PyTorch",
    "NumpyToTorch": "makes tensors of PyTorch",
    "RecordVideo": "needs MoviePy",
    "ResizeObservation": "needs OpenCV",
}


def vector(make_env, **arguments):
    return gym.vector.SyncVectorEnv([make_env] * 2, **arguments)


VECTOR = {
    "ClipAction": lambda w: w(vector(forces)),
    "ClipReward": lambda w: w(vector(numbers), -0.5, 0.5),
    "DictInfoToList": lambda w: w(vector(numbers)),
    "DtypeObservation": lambda w: w(vector(numbers), np.float64),
    "FilterObservation": lambda w: w(vector(lambda: Shown(spaces.Dict({"a": BOX, "b": BOX}), TWO)), ["a"]),
    "FlattenObservation": lambda w: w(vector(lambda: Shown(spaces.Dict({"a": BOX, "b": TWO}), TWO))),
    "GrayscaleObservation": lambda w: w(vector(pixels)),
    "NormalizeObservation": lambda w: w(vector(numbers)),
    "NormalizeReward": lambda w: w(vector(numbers)),
    "RecordEpisodeStatistics": lambda w: w(vector(numbers)),
    "RescaleAction": lambda w: w(vector(forces), np.float32(0.0), np.float32(3.0)),
    "RescaleObservation": lambda w: w(vector(numbers), np.float32(0.0), np.float32(1.0)),
    "ReshapeObservation": lambda w: w(vector(numbers), (2, 1)),
    "TransformAction": lambda w: w(vector(numbers), lambda actions: 1 - actions),
    "TransformObservation": lambda w: w(vector(numbers), lambda observations: observations / 2),
    "TransformReward": lambda w: w(vector(numbers), lambda rewards: 2.0 * rewards),
    "VectorizeTransformAction": lambda w: w(vector(forces), wrappers.ClipAction),
    "VectorizeTransformObservation": lambda w: w(
        vector(numbers), wrappers.TransformObservation, func=lambda o: o / 2, observation_space=BOX
    ),
    "VectorizeTransformReward": lambda w: w(vector(numbers), wrappers.TransformReward, func=lambda r: 2.0 * r),
}
NOT_VECTOR = {name: why for name, why in NOT_SINGLE.items() if name != "AtariPreprocessing"}


_AGENTS = {}
"""One for all environments that show and take the same: what has learned is never made anew, nor traced again."""


def run(env, agent_name):
    """Train for two windows, with a champion and its report."""
    small = {"batch_size": 8, "num_epochs": 1, "jit_compile": False} if agent_name == "ppo" else {}
    kind = (agent_name, str(env.observation_space), str(env.action_space))
    if kind not in _AGENTS:
        _AGENTS[kind] = make_agent(env, agent_name, hidden_units=(4,), seed=0, **small)
    agent = _AGENTS[kind]
    pipeline = make_pipeline(env, agent, window_size=10, seed=0)
    result = RLOptimizer(agent, pipeline, max_episodes=2, report_episodes=2, seed=0).run()
    assert result.windows == 2
    assert np.isfinite(result.confirmed_mean)
    assert result.env_steps["training"] == 2 * 10 * pipeline.num_envs


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def made(name, table, module):
    return table[name](getattr(module, name))


@pytest.mark.parametrize("name", [name for name in SINGLE if hasattr(wrappers, name)])
def test_a_wrapper_runs(name):
    run(made(name, SINGLE, wrappers), "policy_gradient")


@pytest.mark.parametrize("name", [name for name in VECTOR if hasattr(wrappers.vector, name)])
def test_a_vector_wrapper_runs(name):
    run(made(name, VECTOR, wrappers.vector), "policy_gradient")


def test_ppo_runs_in_some_of_them():
    run(made("TimeAwareObservation", SINGLE, wrappers), "ppo")
    run(made("FlattenObservation", VECTOR, wrappers.vector), "ppo")


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in SINGLE if hasattr(wrappers, name)])
def test_ppo_runs_in_a_wrapper(name):
    run(made(name, SINGLE, wrappers), "ppo")


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in VECTOR if hasattr(wrappers.vector, name)])
def test_ppo_runs_in_a_vector_wrapper(name):
    run(made(name, VECTOR, wrappers.vector), "ppo")


@pytest.mark.parametrize("mode", list(gym.vector.AutoresetMode))
def test_infos_that_are_lists_tell_last_observations_too(mode):
    """DictInfoToList changes what an info is, and nothing else."""
    windows = []
    for wrap in (lambda env: env, wrappers.vector.DictInfoToList):
        env = wrap(vector(numbers, autoreset_mode=mode))
        pipeline = make_pipeline(env, make_agent(env, "policy_gradient", seed=0), window_size=20, seed=0)
        windows.append(next(iter(pipeline.episodes())))
    plain, listed = windows
    np.testing.assert_array_equal(listed.next_observations, plain.next_observations)
    np.testing.assert_array_equal(listed.rewards, plain.rewards)
    assert isinstance(listed.infos[0], list)


@pytest.mark.parametrize(("module", "known"), [(wrappers, SINGLE | NOT_SINGLE), (wrappers.vector, VECTOR | NOT_VECTOR)])
def test_every_wrapper_is_in_the_tables(module, known):
    names = {name for name in module.__all__ if name != "vector"}
    assert names - set(known) == set(), "a wrapper that nothing here tries"


@pytest.mark.parametrize("name", ["FrameStackObservation", "GrayscaleObservation", "MaxAndSkipObservation"])
def test_pixels_stay_images(name):
    model = make_agent(made(name, SINGLE, wrappers), "dqn", seed=0, buffer_size=100).model
    assert any(type(layer).__name__ == "Conv2D" for layer in model.layers)


@pytest.mark.skipif(not importlib.util.find_spec("cv2"), reason="needs OpenCV")
def test_resizing_runs():
    run(wrappers.ResizeObservation(pixels(), (16, 16)), "policy_gradient")
    run(wrappers.vector.ResizeObservation(vector(pixels), (16, 16)), "policy_gradient")
