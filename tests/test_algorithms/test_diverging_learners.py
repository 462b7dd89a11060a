"""Learning rates that blow networks up, in the real loop: every update is undone, and the run ends by saying why."""

import gymnasium as gym
import numpy as np
import pytest

from tensor_optix import (
    BatchPipeline,
    CheckpointRegistry,
    HyperparamSet,
    LoopCallback,
    RLOptimizer,
    TFAgent,
    load_agent,
    presets,
)
from tensor_optix.algorithms.dqn import DQNAgent
from tensor_optix.algorithms.ppo import PPOAgent
from tensor_optix.algorithms.sac import SACAgent
from tensor_optix.exceptions import NonFiniteError

REPLAY = {"learning_starts": 200, "buffer_size": 3000, "batch_size": 32, "hidden_units": (8,)}
HUGE = 1e30


def make(kind):
    if kind is TFAgent:
        return presets.make_agent("CartPole-v1", "policy_gradient", hidden_units=(8,), learning_rate=HUGE)
    params = {"learning_rate": HUGE}
    if kind is PPOAgent:
        return PPOAgent(hyperparams=HyperparamSet(params, 0), batch_size=50, hidden_units=(8,))
    return kind(hyperparams=HyperparamSet({**params, "train_frequency": 10}, 0), **REPLAY)


@pytest.mark.parametrize("kind", [TFAgent, PPOAgent, pytest.param(DQNAgent, marks=pytest.mark.slow), SACAgent])
def test_no_bad_number_reaches_weights_replay_or_snapshots(kind, tmp_path):
    env_id = "Pendulum-v1" if kind is SACAgent else "CartPole-v1"
    agent = make(kind)
    pipeline, rates = BatchPipeline(lambda: gym.make(env_id), agent, 100), []
    callback = LoopCallback()
    callback.on_hyperparam_update = lambda old, new: rates.append(new["learning_rate"])
    optimizer = RLOptimizer(
        agent,
        pipeline,
        checkpoint_dir=tmp_path,
        seed=0,
        max_env_steps=6000,
        report_episodes=0,
        callbacks=[callback],
    )
    with pytest.raises(
        NonFiniteError, match="10 updates in a row gave NaN or infinity, 5 of them from the champion on"
    ):
        optimizer.run()
    assert optimizer.last_result.reason == "error"
    state = agent.get_state("all")
    assert all(np.isfinite(array).all() for array in state.arrays.values() if array.dtype.kind == "f")
    *softened, handed_back = rates
    assert softened == [HUGE / 2**k for k in range(1, len(softened) + 1)]
    assert handed_back == optimizer.best_snapshot.hyperparams.params["learning_rate"], "with the champion, at the end"
    assert len(softened) >= 8
    registry = CheckpointRegistry(optimizer.run_dir, read_only=True)
    for snapshot in registry.snapshots:
        arrays = registry.load_state(snapshot.snapshot_id).arrays
        assert all(np.isfinite(array).all() for array in arrays.values() if array.dtype.kind == "f")
    assert load_agent(optimizer.run_dir).act(pipeline.observation_space.sample()) is not None
