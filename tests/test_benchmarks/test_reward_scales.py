"""Neither a constant in the reward nor its unit changes what is learned where episodes have one length."""

from __future__ import annotations

import itertools
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import reward_scales
from crossed import crossed
from harness.small_envs import AnswerEnv

from tensor_optix import BatchPipeline, make_agent

SMALL: dict[str, dict[str, Any]] = {
    "ppo": {"batch_size": 16, "hidden_units": (8,), "jit_compile": False},
    "dqn": {"batch_size": 16, "hidden_units": (8,), "learning_starts": 20, "buffer_size": 500},
    "sac": {"batch_size": 16, "hidden_units": (8,), "learning_starts": 20, "buffer_size": 500},
}


def weights_after(name: str, kind: str, num_envs: int, offset: float, scale: float) -> list[np.ndarray]:
    """What an agent becomes in three windows of 30 steps of each environment."""
    length, terminates = reward_scales.KINDS[kind]

    def make() -> AnswerEnv:
        return AnswerEnv(length, terminates=terminates, offset=offset, scale=scale, is_box=name == "sac")

    agent = reward_scales.agent_for(name, make(), 0) if name == "tf_agent" else make_agent(make(), name, **SMALL[name])
    pipeline = BatchPipeline(gym.vector.SyncVectorEnv([make] * num_envs) if num_envs > 1 else make(), agent, 30, seed=3)
    agent.bind(make().observation_space, make().action_space, num_envs=num_envs, seed=3)
    pipeline.setup()
    for window in itertools.islice(pipeline.episodes(), 3):
        agent.learn(window)
    pipeline.teardown()
    return [np.asarray(v) for v in agent.model.get_weights()]


# Sums with these are exact, in float32 too: what is learned is the same to the last bit, or something depends on them.
@pytest.mark.parametrize(("name", "how"), crossed(["tf_agent", "ppo", "dqn"], [("truncated", 1), ("terminated", 3)]))
def test_what_is_learned_is_the_same_to_the_last_bit(name: str, how: tuple[str, int]) -> None:
    kind, num_envs = how
    usual = weights_after(name, kind, num_envs, 0.0, 1.0)
    for offset, scale in ((100.0, 2.0**-10), (-10.0, 2.0**13)):
        for left, right in zip(usual, weights_after(name, kind, num_envs, offset, scale), strict=True):
            np.testing.assert_array_equal(left, right, err_msg=f"offset {offset}, scale {scale}")


@pytest.mark.slow
def test_sac_learns_the_same_up_to_rounding() -> None:
    usual = weights_after("sac", "terminated", 3, 0.0, 1.0)
    for offset, scale in ((100.0, 1.0), (-10.0, 1e4)):
        for left, right in zip(usual, weights_after("sac", "terminated", 3, offset, scale), strict=True):
            np.testing.assert_allclose(left, right, atol=1e-3, err_msg=f"offset {offset}, scale {scale}")


def test_one_step_at_a_reward_far_from_zero_is_learned() -> None:
    assert reward_scales.share_right("ppo", "one step", -50.0, 1.0, 1, seed=0, env_steps=5_120) == 1.0


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("kind", list(reward_scales.KINDS))
@pytest.mark.parametrize("name", reward_scales.AGENTS)
def test_no_offset_and_no_scale_costs_right_answers(name: str, kind: str) -> None:
    """Ten seeds, every other one in four environments together."""
    shares = {
        case: np.mean([reward_scales.share_right(name, kind, *case, 1 + 3 * (seed % 2), seed) for seed in range(10)])
        for case in reward_scales.cases_of()
    }
    usual = shares[0.0, 1.0]
    assert usual >= 0.9
    assert {case: share for case, share in shares.items() if abs(share - usual) > reward_scales.TOLERANCE} == {}
