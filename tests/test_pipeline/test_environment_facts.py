"""What a run's folder keeps of an environment that a script made."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.wrappers import FrameStackObservation, NormalizeObservation, TransformReward

from tensor_optix import BatchPipeline, EnvironmentName, evaluate


class Mine(gym.Wrapper[Any, Any, Any, Any]):
    """Takes nothing but an environment."""


def facts_of(env: Any) -> dict[str, Any]:
    pipeline = BatchPipeline(env, window_size=5)
    try:
        return pipeline.describe_environment()
    finally:
        pipeline.teardown()


def test_a_plain_environment_is_its_id() -> None:
    plain = {"env_id": "CartPole-v1", "env_kwargs": {}, "wrappers": [], "unnamed": []}
    assert facts_of(gym.make("CartPole-v1")) == plain
    assert facts_of(gym.make_vec("CartPole-v1", 2, vectorization_mode="sync")) == plain
    assert facts_of(lambda: gym.vector.SyncVectorEnv([lambda: gym.make("CartPole-v1")] * 2)) == plain


def test_arguments_and_wrappers_make_it_again() -> None:
    env = NormalizeObservation(Mine(gym.make("CartPole-v1", sutton_barto_reward=True, max_episode_steps=20)))
    facts = facts_of(env)
    assert facts["env_kwargs"] == {"sutton_barto_reward": True, "max_episode_steps": 20}
    assert [name.partition(":")[2] for name in facts["wrappers"]] == ["Mine", "NormalizeObservation"]
    assert facts["unnamed"] == []
    again = EnvironmentName.from_json(facts, "run.json")
    assert evaluate(lambda observation: 0, again, 3).returns.tolist() == [-1.0] * 3


def test_what_only_the_script_can_make_is_said_in_words() -> None:
    env = TransformReward(FrameStackObservation(gym.make("CartPole-v1"), 4), lambda reward: 2 * reward)
    facts = facts_of(env)
    assert facts["wrappers"] == []
    stacked, transformed = facts["unnamed"]
    assert "FrameStackObservation(stack_size=4" in stacked
    assert "TransformReward(func=" in transformed
    assert " at 0x" not in transformed, "which would differ from run to run"


def test_an_argument_that_no_file_holds_is_said_in_words() -> None:
    env = gym.make("FrozenLake-v1", desc=np.array([["S", "G"]]))
    assert facts_of(env)["unnamed"] == ["the argument desc=[['S', 'G']]"]


def test_an_environment_without_a_name_has_none() -> None:
    class Nameless:
        observation_space = action_space = gym.spaces.Discrete(2)

        def reset(self, **more: Any) -> Any:
            return 0, {}

        def step(self, action: Any) -> Any:
            return 0, 0.0, True, False, {}

    assert facts_of(Nameless()) == {"env_id": None, "env_kwargs": {}, "wrappers": [], "unnamed": []}
