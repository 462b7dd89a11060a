import math
from types import SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest
from logged_runs import RowKeeper, make_optimizer

from tensor_optix.reporting.shared.log_keys import LogKeys, successes_of


def run(**changes):
    given = {"seconds": 2.0, "windows": 3, "history": {}, "is_resumed": False}
    return SimpleNamespace(looks=SimpleNamespace(without_gain=4), **{**given, **changes})


def window(returns=(), lengths=()):
    return SimpleNamespace(
        completed_returns=np.array(returns), completed_lengths=np.array(lengths), dones=[False], infos=[{}], metadata={}
    )


PPO_ROW = {
    "window": 2,
    "state": "active",
    "env_steps": 6144,
    "score": 30.0,
    "champion": 20.0,
    "loss": 0.5,
    "policy_loss": -0.04,
    "value_loss": 0.2,
    "entropy": 0.6,
    "clip_fraction": 0.1,
    "kl": 0.018,
    "explained_variance": 0.3,
    "num_gradient_steps": 300.0,
    "learning_rate": 3e-4,
    "odd": math.nan,
    "alarm": True,
}


def test_a_row_of_ppo_has_the_keys_of_stable_baselines3():
    assert LogKeys(run()).of_window(PPO_ROW, window([10.0, 20.0], [10, 21])) == {
        "time/total_timesteps": 6144.0,
        "time/iterations": 3.0,
        "time/time_elapsed": 2.0,
        "time/fps": 3072.0,
        "rollout/ep_rew_mean": 15.0,
        "rollout/ep_len_mean": 15.5,
        "train/loss": 0.5,
        "train/policy_gradient_loss": -0.04,
        "train/value_loss": 0.2,
        "train/entropy": 0.6,
        "train/entropy_loss": -0.6,
        "train/clip_fraction": 0.1,
        "train/approx_kl": 0.018,
        "train/explained_variance": 0.3,
        "train/n_updates": 300.0,
        "train/learning_rate": 3e-4,
        "run/score": 30.0,
        "run/champion": 20.0,
        "run/looks_without_gain": 4.0,
    }


def test_rows_of_dqn_and_sac_have_theirs():
    values = LogKeys(run()).of_window({"env_steps": 10, "loss": 1.0, "epsilon": 0.4}, window())
    assert values["rollout/exploration_rate"] == 0.4
    assert "rollout/ep_rew_mean" not in values
    values = LogKeys(run()).of_window({"env_steps": 10, "loss": 1.0, "actor_loss": 2.0, "alpha": 0.1}, window())
    assert (values["train/critic_loss"], values["train/actor_loss"], values["train/ent_coef"]) == (1.0, 2.0, 0.1)


def test_updates_are_counted_on_after_a_resume_and_speed_is_this_processs():
    resumed = run(is_resumed=True, seconds=100.0, history={"num_gradient_steps": [5.0, None, 7.0]})
    keys = LogKeys(resumed)
    first = keys.of_window({"env_steps": 50_000, "num_gradient_steps": 2.0}, window())
    assert first["train/n_updates"] == 14.0
    assert "time/fps" not in first
    resumed.seconds = 110.0
    assert keys.of_window({"env_steps": 51_000}, window())["time/fps"] == pytest.approx(100.0)


def test_successes_are_those_of_episodes_that_ended():
    single = SimpleNamespace(
        metadata={},
        dones=[False, True, True, True],
        infos=[{"is_success": True}, {"is_success": False}, {}, {"is_success": True}],
    )
    assert successes_of(single) == [0.0, 1.0]
    vector = SimpleNamespace(
        metadata={},
        dones=np.array([[False, True], [True, True]]),
        infos=[{"is_success": np.array([False, True])}, {"is_success": np.array([False, True])}],
    )
    assert successes_of(vector) == [1.0, 0.0, 1.0]


class Succeeding(gym.Wrapper):
    def step(self, action):
        observation, reward, terminated, truncated, info = super().step(action)
        self.num_steps += 1
        return observation, reward, terminated, truncated, {**info, "is_success": self.num_steps > 15}

    def reset(self, **arguments):
        self.num_steps = 0
        return super().reset(**arguments)


@pytest.mark.parametrize("num_envs", [1, 2])
def test_a_real_run_has_a_success_rate(tmp_path, num_envs):
    keeper = RowKeeper()
    env = lambda: Succeeding(gym.make("CartPole-v1"))  # noqa: E731
    make_optimizer(tmp_path, [keeper], env=env, num_envs=num_envs, max_env_steps=None, max_episodes=8).run()
    windows = [window for window in keeper.windows if not window.metadata["barrier"]]
    found = [success for window in windows for success in successes_of(window)]
    lengths = np.concatenate([window.completed_lengths for window in windows])
    cut = next(window for window in keeper.windows if window.metadata["barrier"])
    assert len(successes_of(cut)) <= len(cut.completed_lengths)
    assert sorted(found) == sorted((lengths > 15).astype(float))
