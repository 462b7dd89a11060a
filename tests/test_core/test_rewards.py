"""What counts as a reward, at every door: training, greedy episodes and `evaluate`, one or many environments, live."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import pytest

from tensor_optix import BatchPipeline, EpisodeData, LivePipeline, RLOptimizer, TFEvaluator, evaluate
from tensor_optix.core.base_pipeline import BasePipeline
from tensor_optix.exceptions import EnvironmentFailureError, InvalidTypeError, StreamError
from tensor_optix.testing.fakes import StatefulAgent


class Pays(gym.Env):
    """Pays the same at each of ``length`` steps."""

    observation_space = gym.spaces.Box(-1.0, 1.0, (1,))
    action_space = gym.spaces.Discrete(2)

    def __init__(self, reward: Any, length: int) -> None:
        self.reward, self.length, self.steps = reward, length, 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        self.steps = 0
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> Any:
        self.steps += 1
        return np.zeros(1, np.float32), self.reward, self.steps >= self.length, False, {}


class PaysMany(gym.vector.VectorEnv):
    """Two of them; hands on whatever it is told to, which Gymnasium's own would put into an array first."""

    num_envs = 2
    metadata: ClassVar[dict[str, Any]] = {"autoreset_mode": gym.vector.AutoresetMode.NEXT_STEP}
    single_observation_space, single_action_space = Pays.observation_space, Pays.action_space
    observation_space = gym.vector.utils.batch_space(single_observation_space, 2)
    action_space = gym.vector.utils.batch_space(single_action_space, 2)

    def __init__(self, rewards: Any, length: int) -> None:
        self.rewards, self.length, self.steps = rewards, length, 0

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> Any:
        self.steps = 0
        return np.zeros((2, 1), np.float32), {}

    def step(self, actions: Any) -> Any:
        self.steps += 1
        ended = np.full(2, self.steps % self.length == 0)
        return np.zeros((2, 1), np.float32), self.rewards, ended, np.zeros(2, bool), {}


class Feed:
    def __init__(self, reward: Any, length: int) -> None:
        self.reward, self.length = reward, length

    def stream(self) -> Any:
        for i in range(self.length + 1):
            yield [0.0], self.reward, i == self.length, False, {}


def trained_on(env: Any, window_size: int) -> EpisodeData:
    pipeline = BatchPipeline(env, StatefulAgent(), window_size, seed=0)
    window = next(iter(pipeline.episodes()))
    pipeline.teardown()
    return window


def returns_at(door: str, reward: Any, length: int) -> Any:
    """Return the returns of the first episode, or episodes, as one door tells them."""
    if door == "training":
        return trained_on(Pays(reward, length), length).completed_returns
    if door == "vector training":
        return trained_on(PaysMany([reward, reward], length), length).completed_returns
    if door == "vector of arrays":
        return trained_on(PaysMany(np.array([reward, reward]), length), length).completed_returns
    if door == "evaluate":
        return evaluate(lambda observation: 0, Pays(reward, length), 2).returns
    if door == "vector evaluate":
        return evaluate(lambda observation: 0, PaysMany([reward, reward], length), 2).returns
    if door == "evaluation_env":
        optimizer = RLOptimizer(
            StatefulAgent(), BatchPipeline(Pays(1.0, 5), window_size=5), evaluation_env=Pays(reward, length), seed=0
        )
        with optimizer._evaluation as player:
            return player(lambda observation: 0, 2, seed=0).returns
    if door == "live":
        pipeline = LivePipeline(
            Feed(reward, length), StatefulAgent(), LivePipeline.every_n_steps(length), reconnect_on_disconnect=False
        )
        pipeline.setup()
        try:
            return next(iter(pipeline.episodes())).completed_returns
        finally:
            pipeline.teardown()
    window = EpisodeData([[0.0]] * length, [0] * length, [reward] * length, *flags(length), [{}] * length, 0)
    assert window.total_reward == TFEvaluator().score(window, {}).primary_score
    return [window.total_reward]


def flags(length: int) -> tuple[list[bool], list[bool]]:
    return [False] * (length - 1) + [True], [False] * length


DOORS = ["training", "vector training", "vector of arrays", "evaluate", "vector evaluate", "evaluation_env", "live"]
DOORS += ["a pipeline of one's own"]


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("reward", "length", "expected"),
    [
        (np.float16(1.0), 3000, 3000.0),
        (np.float32(1.0), 1000, 1000.0),
        (np.float32(0.1), 10_000, 10_000 * float(np.float32(0.1))),
        (Decimal("0.5"), 3, 1.5),
        (Fraction(1, 2), 3, 1.5),
        (True, 3, 3.0),
        (np.int8(100), 3, 300.0),
        (np.array(0.5), 3, 1.5),
        (np.array([0.5]), 3, 1.5),
        (np.array([[np.float16(0.5)]]), 3, 1.5),
    ],
)
def test_what_is_a_number_counts_as_that_number_and_is_summed_in_double_precision(
    door: str, reward: Any, length: int, expected: float
) -> None:
    np.testing.assert_allclose(returns_at(door, reward, length), expected, rtol=1e-12)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("reward", ["1.0", b"1", None, 1j, np.array([1.0, 2.0]), [1.0], np.datetime64("2000-01-01")])
def test_what_is_none_is_named_at_the_first_step(door: str, reward: Any) -> None:
    if door == "a pipeline of one's own" and isinstance(reward, list | np.ndarray):
        pytest.skip("[T, N] there")
    if door == "vector of arrays" and isinstance(reward, list):
        pytest.skip("[N, 1] there")
    errors = (EnvironmentFailureError, StreamError, InvalidTypeError)
    with pytest.raises(errors, match="reward") as caught:
        returns_at(door, reward, 5)
    told = str(caught.value)
    if "feed" not in told and "own" not in door:
        assert "step 1 " in told


def test_a_vector_environment_must_pay_each_of_its_environments() -> None:
    for rewards in (1.0, np.ones(3), [1.0]):
        with pytest.raises(EnvironmentFailureError, match="there must be 2 rewards, one for each environment"):
            trained_on(PaysMany(rewards, 5), 5)
        with pytest.raises(EnvironmentFailureError, match="there must be 2 rewards, one for each environment"):
            evaluate(lambda observation: 0, PaysMany(rewards, 5), 2)


def test_a_pipeline_of_ones_own_that_tells_decimals_runs(tmp_path: Path) -> None:
    class Own(BasePipeline):
        is_live = False  # type: ignore[assignment]

        def setup(self) -> None: ...

        def teardown(self) -> None: ...

        def episodes(self) -> Any:
            for k in range(8):
                rewards = [Decimal(k)] * 4
                yield EpisodeData(np.zeros((4, 1)), np.zeros(4, int), rewards, *flags(4), [{}] * 4, k)

    result = RLOptimizer(StatefulAgent(), Own(), checkpoint_dir=str(tmp_path), max_episodes=5, seed=0).run()
    assert result.history["score"] == [0.0, 4.0, 8.0, 12.0, 16.0]


def test_rewards_of_one_number_each_have_the_shape_of_the_flags() -> None:
    window = EpisodeData(np.zeros((3, 1)), np.zeros(3), np.ones((3, 1)), *flags(3), [{}] * 3, 0)
    assert window.rewards.shape == (3,)
    both = np.zeros((3, 1), bool)
    assert EpisodeData(np.zeros((3, 1, 1)), both, np.ones((3, 1)), both, both, [{}] * 3, 0).rewards.shape == (3, 1)
