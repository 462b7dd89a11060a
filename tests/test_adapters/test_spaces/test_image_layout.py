"""An image is what is one by its bounds and its shape; all else is numbers, in whatever dtype they come."""

import gymnasium as gym
import keras
import numpy as np
import pytest
from gymnasium import spaces

from tensor_optix import BatchPipeline, DQNAgent, HyperparamSet, PPOAgent, TFAgent
from tensor_optix.adapters.spaces.image_layout import image_layout
from tensor_optix.adapters.tensorflow.models.default_networks import build_model
from tensor_optix.presets import make_agent, make_pipeline


def pixels(*shape, dtype=np.uint8, high=255):
    return spaces.Box(0, high, shape, dtype)


@pytest.mark.parametrize(
    ("space", "axes", "shape"),
    [
        (pixels(84, 84), (0, 1), (84, 84, 1)),
        (pixels(210, 160, 3), (0, 1, 2), (210, 160, 3)),
        (pixels(3, 210, 160), (1, 2, 0), (210, 160, 3)),
        (pixels(96, 96, 1), (0, 1, 2), (96, 96, 1)),
        (pixels(4, 84, 84), (1, 2, 0), (84, 84, 4)),
        (pixels(84, 84, 4), (0, 1, 2), (84, 84, 4)),
        (pixels(5, 84, 84), (1, 2, 0), (84, 84, 5)),
        (pixels(96, 96, 12), (0, 1, 2), (96, 96, 12)),
        (pixels(4, 96, 96, 3), (1, 2, 0, 3), (96, 96, 12)),
        (pixels(4, 3, 96, 96), (2, 3, 0, 1), (96, 96, 12)),
        (pixels(8, 84, 84, 1), (1, 2, 0, 3), (84, 84, 8)),
        (pixels(8, 5, 1), (0, 1, 2), (8, 5, 1)),
        (pixels(2, 8, 5, 1), (1, 2, 0, 3), (8, 5, 2)),
        (pixels(84, 84, 3, dtype=np.float32, high=1), (0, 1, 2), (84, 84, 3)),
        (pixels(4, 84, 84, dtype=np.float32), (1, 2, 0), (84, 84, 4)),
        (pixels(64, 64, 3, dtype=np.int32), (0, 1, 2), (64, 64, 3)),
    ],
)
def test_images_and_stacks_of_them(space, axes, shape):
    layout = image_layout(space)
    assert (layout.axes, layout.shape) == (axes, shape)
    assert layout.scale * float(space.high.flat[0]) == pytest.approx(1.0)


@pytest.mark.parametrize(
    "space",
    [
        pixels(6, 7, high=2),
        pixels(19, 19, high=1),
        pixels(84, 84, 4, high=254),
        spaces.Box(1, 255, (84, 84, 3), np.uint8),
        spaces.Box(0, np.where(np.arange(20 * 20).reshape(20, 20) == 3, 7, 255).astype(np.uint8), dtype=np.uint8),
        pixels(6, 7),
        pixels(7, 7, 3),
        pixels(128),
        pixels(16, 16, 16),
        pixels(2, 2, 84, 84, 3),
        pixels(84, 84, 0),
        pixels(84, 84, dtype=np.float32, high=1),
        pixels(8, 8, 3, dtype=np.float32, high=1),
        spaces.Box(-np.inf, np.inf, (84, 84, 3)),
        spaces.Box(-1, 1, (84, 84, 3)),
        spaces.MultiBinary([84, 84]),
        spaces.Dict({"image": pixels(84, 84)}),
    ],
)
def test_what_is_none(space):
    assert image_layout(space) is None


def outputs(space, observation):
    model = build_model(space, 3, (8,), seed=5)
    assert model.input.dtype == "uint8"
    assert any(isinstance(layer, keras.layers.Conv2D) for layer in model.layers)
    return np.asarray(model(observation[None]))


def test_frames_and_channels_are_where_they_belong():
    """The same pixels in another layout give the same numbers: the layers get the same seeds."""
    stack = np.random.default_rng(0).integers(0, 256, (4, 20, 24, 3)).astype(np.uint8)
    last = stack.transpose(1, 2, 0, 3).reshape(20, 24, 12)
    expected = outputs(pixels(20, 24, 12), last)
    np.testing.assert_allclose(outputs(pixels(4, 20, 24, 3), stack), expected, rtol=1e-5)
    np.testing.assert_allclose(outputs(pixels(4, 3, 20, 24), stack.transpose(0, 3, 1, 2)), expected, rtol=1e-5)
    grey = stack[..., 0]
    expected = outputs(pixels(20, 24, 4), grey.transpose(1, 2, 0))
    np.testing.assert_allclose(outputs(pixels(4, 20, 24), grey), expected, rtol=1e-5)
    np.testing.assert_allclose(outputs(pixels(4, 20, 24, 1), grey[..., None]), expected, rtol=1e-5)


class Camera(gym.Env):
    """A picture of which one half is bright: right is the action of that half."""

    action_space = spaces.Discrete(2)
    observation_space = pixels(20, 16, 3)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._time = 0
        return self._picture(), {}

    def step(self, action):
        reward, self._time = float(action == self._side), self._time + 1
        return self._picture(), reward, False, self._time == 10, {}

    def _picture(self):
        self._side = int(self.np_random.integers(2))
        picture = np.zeros((20, 16, 3), np.uint8)
        picture[:, 8 * self._side : 8 * self._side + 8] = 255
        return picture


class SteeredCamera(Camera):
    action_space = spaces.Box(-1.0, 1.0, (1,))

    def step(self, action):
        return super().step(int(action[0] > 0))


def stacked(env, frames=3, grey=True):
    env = gym.wrappers.GrayscaleObservation(env) if grey else env
    return gym.wrappers.FrameStackObservation(env, frames)


SMALL = {"hidden_units": (8,), "seed": 0}
OFF_POLICY = {**SMALL, "batch_size": 8, "learning_starts": 8, "buffer_size": 100}
AGENTS = {
    "ppo": ({**SMALL, "batch_size": 8, "num_epochs": 1, "jit_compile": False}, Camera),
    "dqn": (OFF_POLICY, Camera),
    "sac": (OFF_POLICY, SteeredCamera),
    "policy_gradient": (SMALL, Camera),
}


@pytest.mark.parametrize(("algorithm", "grey"), [("ppo", False), *((algorithm, True) for algorithm in AGENTS)])
def test_all_agents_look_at_stacks_through_convolutions_and_keep_bytes(algorithm, grey):
    settings, camera = AGENTS[algorithm]
    env = stacked(camera(), grey=grey)
    agent = make_agent(env, algorithm, **settings)
    model = agent.model
    assert model.input.dtype == "uint8"
    assert model.input.shape[1:] == env.observation_space.shape
    convolution = next(layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D))
    assert convolution.input.shape[1:] == (20, 16, 3 if grey else 9)
    window = next(iter(make_pipeline(env, agent, window_size=24, seed=0).episodes()))
    assert np.isfinite(agent.learn(window)["loss"])
    assert [dtype.name for dtype in agent._part_dtypes] == ["uint8"]
    assert env.action_space.contains(agent.act_greedy(window.observations[0]))


class Board(gym.Env):
    """Two stones on a board: right is the column of the second one."""

    def __init__(self, dtype, action_space=None):
        self.observation_space = spaces.Box(0, 2, (6, 7), dtype)
        self.action_space = action_space or spaces.Discrete(7)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._time = 0
        return self._board(), {}

    def step(self, action):
        if isinstance(self.action_space, spaces.Box):
            action = np.floor(3.5 * (1.0 + action[0]))
        reward, self._time = float(action == self._column), self._time + 1
        return self._board(), reward, False, self._time == 10, {}

    def _board(self):
        board = np.zeros((6, 7), self.observation_space.dtype)
        self._column = int(self.np_random.integers(7))
        board[self.np_random.integers(6), self.np_random.integers(7)] = 1
        board[self.np_random.integers(6), self._column] = 2
        return board


@pytest.mark.parametrize(
    "algorithm", ["ppo", "dqn", *(pytest.param(name, marks=pytest.mark.slow) for name in ("sac", "policy_gradient"))]
)
def test_a_board_of_bytes_is_learned_from_as_one_of_floats(algorithm):
    """Bit for bit the same: nothing is divided by 255 or sent through convolutions."""
    weights = []
    for dtype in (np.uint8, np.float32):
        env = Board(dtype, spaces.Box(-1.0, 1.0, (1,)) if algorithm == "sac" else None)
        agent = make_agent(env, algorithm, **AGENTS[algorithm][0])
        windows = make_pipeline(env, agent, window_size=40, seed=0).episodes()
        agent.learn(next(windows))
        agent.learn(next(windows))
        weights.append(agent.model.get_weights())
    for of_bytes, of_floats in zip(*weights, strict=True):
        np.testing.assert_array_equal(of_bytes, of_floats)


@pytest.mark.slow
def test_ppo_masters_a_board_of_bytes():
    agent = make_agent(lambda: Board(np.uint8), "ppo", learning_rate=1e-3, gamma=0.0, seed=0)
    pipeline = make_pipeline(lambda: Board(np.uint8), agent, num_envs=8, window_size=128, seed=0)
    windows = pipeline.episodes()
    for _ in range(60):
        window = next(windows)
        agent.learn(window)
    assert window.rewards.mean() > 0.9


@pytest.mark.parametrize(("kind", "dtype"), [(TFAgent, "float32"), (PPOAgent, "uint8"), (DQNAgent, "uint8")])
def test_a_model_of_your_own_gets_what_it_asks_for(kind, dtype):
    model = keras.Sequential([keras.Input((6, 7), dtype=dtype), keras.layers.Flatten(), keras.layers.Dense(7)])
    own = {"learning_starts": 8, "buffer_size": 100} if kind is DQNAgent else {"normalize_observations": False}
    agent = kind(
        model,
        optimizer=keras.optimizers.Adam(1e-3),
        hyperparams=HyperparamSet({"learning_rate": 1e-3}, 0),
        **({} if kind is TFAgent else own),
    )
    pipeline = BatchPipeline(Board(np.uint8), agent, window_size=40, seed=0)
    agent.bind(pipeline.observation_space, pipeline.action_space, seed=0)
    window = next(iter(pipeline.episodes()))
    assert window.observations.dtype == np.uint8
    agent.learn(window)
    greedy = [agent.act_greedy(observation) for observation in window.observations]
    assert greedy == np.asarray(model(window.observations.astype(dtype))).argmax(-1).tolist()
