"""Whole runs in an environment that raises on what is not allowed: training, evaluation, report, and being killed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import gymnasium as gym
import keras
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from harness.masked_envs import SPACES, OnlyAllowed, choices

from tensor_optix import BatchPipeline, HyperparamSet, LoopCallback, RLOptimizer, TFAgent, evaluate, load_agent
from tensor_optix.adapters.tensorflow.actions.table import head_for
from tensor_optix.algorithms import DQNAgent, PPOAgent
from tensor_optix.core.loop import run_checkpoint
from tensor_optix.exceptions import InvalidArgumentError
from tensor_optix.testing.fakes import StatefulAgent

SMALL_REPLAY: dict[str, Any] = {"hidden_units": (8,), "buffer_size": 600, "batch_size": 8, "learning_starts": 20}


def agent_of(kind: str, space: Any) -> Any:
    if kind == "ppo":
        return PPOAgent(hidden_units=(8,), batch_size=32, jit_compile=False)
    if kind == "dqn":
        return DQNAgent(hyperparams=HyperparamSet({"train_frequency": 8}, 0), **SMALL_REPLAY)
    model = keras.Sequential([keras.Input((sum(choices(space)),)), keras.layers.Dense(head_for(space).num_outputs)])
    return TFAgent(model, keras.optimizers.Adam(1e-2), HyperparamSet({}, episode_id=0))


def run_of(agent: Any, env: Any, folder: Path, **settings: Any) -> RLOptimizer:
    pipeline = BatchPipeline(env, agent, 40, barrier_interval_steps=160)
    return RLOptimizer(
        agent, pipeline, checkpoint_dir=str(folder), seed=3, **{"report_episodes": 4, "max_episodes": 6, **settings}
    )


@pytest.mark.parametrize(("agent", "kind"), [("tf", "discrete"), ("ppo", "multi_discrete"), ("ppo", "multi_binary")])
def test_nothing_else_is_done_in_a_run_and_by_what_it_leaves(agent: str, kind: str, tmp_path: Path) -> None:
    space = SPACES[kind]
    trained = agent_of(agent, space)
    result = run_of(trained, lambda: OnlyAllowed(space), tmp_path, evaluation_env=lambda: OnlyAllowed(space)).run()
    assert result.reason == "budget"
    assert result.report is not None
    loaded = load_agent(result.run_dir)
    assert evaluate(loaded, OnlyAllowed(space), 3).num_episodes == 3
    assert evaluate(loaded.policy(), OnlyAllowed(space), 3, greedy=False).num_episodes == 3


@pytest.mark.slow
@pytest.mark.parametrize("agent", ["tf", "ppo", "dqn"])
@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_nothing_else_is_done_in_all_autoreset_modes(agent: str, mode: AutoresetMode, tmp_path: Path) -> None:
    space = SPACES["discrete"]

    def vector() -> Any:
        return SyncVectorEnv([lambda n=n: OnlyAllowed(space, length=n) for n in (7, 5)], autoreset_mode=mode)

    result = run_of(agent_of(agent, space), vector, tmp_path, max_episodes=3).run()
    assert result.reason == "budget"


class KeepsACopy(LoopCallback):
    """Copies the folder of a run in the middle of it: what somebody who kills it would find."""

    def __init__(self, folder: Path, copy: Path, window: int) -> None:
        self.folder, self.copy, self.window = folder, copy, window

    def on_episode_end(self, episode_id: int, eval_metrics: Any) -> None:
        if episode_id == self.window:
            shutil.copytree(self.folder, self.copy)


@pytest.mark.parametrize("kind", ["ppo", pytest.param("dqn", marks=pytest.mark.slow)])
def test_a_run_that_was_killed_goes_on_bit_for_bit(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_checkpoint, "SAVE_INTERVAL_SECONDS", 0.0)
    monkeypatch.setattr(run_checkpoint, "MAX_COST", float("inf"))
    space, whole, killed = SPACES["discrete"], tmp_path / "whole", tmp_path / "killed"
    one, other = (agent_of(kind, space) for _ in range(2))
    settings = {"max_episodes": 14, "callbacks": [KeepsACopy(whole, killed, 9)]}
    expected = run_of(one, lambda: OnlyAllowed(space), whole, **settings).run()
    resumed = run_of(other, lambda: OnlyAllowed(space), killed, max_episodes=14).run(resume=True)
    assert resumed.windows == expected.windows
    states = [agent.get_state("all") for agent in (one, other)]
    assert states[0].meta["action_masks"]
    assert states[0].meta == states[1].meta
    assert states[0].arrays.keys() == states[1].arrays.keys()
    for name, array in states[0].arrays.items():
        np.testing.assert_array_equal(array, states[1].arrays[name], err_msg=name)
    assert expected.report is not None
    assert resumed.report is not None
    np.testing.assert_array_equal(expected.report.returns, resumed.report.returns)


def test_what_was_asked_for_and_cannot_be_is_an_error_before_the_first_step(tmp_path: Path) -> None:
    env, agent = OnlyAllowed(SPACES["discrete"]), StatefulAgent()
    pipeline = BatchPipeline(env, agent, 10, action_mask=lambda observation, info: observation > 0)
    with pytest.raises(InvalidArgumentError, match="StatefulAgent takes no masks"):
        RLOptimizer(agent, pipeline, checkpoint_dir=str(tmp_path), max_episodes=1).run()
    assert env.num_taken == 0


def test_taxi_tells_its_masks() -> None:
    agent = PPOAgent(hidden_units=(8,), jit_compile=False)
    env = gym.make_vec("Taxi-v4", 2, vectorization_mode="sync")
    pipeline = BatchPipeline(env, agent, 30, seed=0)
    agent.bind(pipeline.observation_space, pipeline.action_space, seed=0)
    window = next(pipeline.episodes())
    taken = np.take_along_axis(window.action_masks, window.actions[..., None].astype(int), axis=-1)
    assert taken.all()
    assert window.action_masks.shape == (30, 2, 6)
    assert not window.action_masks.all()
