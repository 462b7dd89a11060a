"""An agent is loaded for an environment: its fresh wrappers show it what the run's showed it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.wrappers import NormalizeObservation, NormalizeReward

from tensor_optix import BatchPipeline, LoopCallback, RLOptimizer, evaluate, load_agent, make_agent
from tensor_optix.cli.training import loading_code
from tensor_optix.exceptions import CheckpointError, InvalidTypeError, StateMismatchError
from tensor_optix.testing.fakes import StatefulAgent


class Line(gym.Env):
    """Twenty steps around 50: right is good above it, left below it; far from what a network takes at first."""

    observation_space = gym.spaces.Box(-np.inf, np.inf, (1,))
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.steps, self.place = 0, self._drawn()
        return self.place, {}

    def _drawn(self) -> Any:
        return (50.0 + self.np_random.normal(size=1)).astype(np.float32)

    def step(self, action: int) -> Any:
        reward = float((self.place[0] > 50.0) == bool(action))
        self.steps, self.place = self.steps + 1, self._drawn()
        return self.place, reward, False, self.steps == 20, {}


def wrapped() -> Any:
    return NormalizeReward(NormalizeObservation(Line()))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A folder of a run, and the statistics that its wrappers had at its end."""
    agent, env = make_agent(wrapped(), "ppo", seed=0), wrapped()
    pipeline = BatchPipeline(env, agent, 256)
    folder = tmp_path_factory.mktemp("runs")
    result = RLOptimizer(agent, pipeline, checkpoint_dir=folder, max_episodes=12, seed=0).run()
    assert result.confirmed_mean is not None
    return Path(str(result.run_dir)), env.env.obs_rms, result.confirmed_mean


def test_it_plays_as_it_did_at_the_end_of_the_run(run: Any) -> None:
    folder, statistics, reported = run
    env = wrapped()
    agent = load_agent(folder, env=env)
    np.testing.assert_array_equal(env.env.obs_rms.mean, statistics.mean)
    assert env.env.obs_rms.count == statistics.count
    assert evaluate(agent, env, 40).mean == pytest.approx(reported, abs=1.0)
    assert env.env.obs_rms.count > statistics.count


@pytest.mark.parametrize("num_envs", [1, 3])
def test_in_a_vector_and_from_a_snapshot(run: Any, num_envs: int) -> None:
    folder, statistics, reported = run
    env = gym.vector.SyncVectorEnv([wrapped] * num_envs)
    agent = load_agent(next(folder.glob("snapshot_*")), env=env)
    for sub in env.envs:
        np.testing.assert_array_equal(sub.env.obs_rms.mean, statistics.mean)
    if len(list(folder.glob("snapshot_*"))) == 1:
        assert evaluate(agent, env, 40).mean == pytest.approx(reported, abs=1.0)


def test_of_a_run_that_was_cut_short_it_takes_the_last_checkpoint(tmp_path: Path) -> None:
    class Killed(LoopCallback):
        def on_episode_end(self, episode_id: int, eval_metrics: Any) -> None:
            if episode_id == 5:
                raise KeyboardInterrupt

    agent, env = make_agent(wrapped(), "ppo", seed=0), wrapped()
    pipeline = BatchPipeline(env, agent, 256, barrier_interval_steps=256)
    optimizer = RLOptimizer(agent, pipeline, checkpoint_dir=tmp_path, max_episodes=20, seed=0, callbacks=[Killed()])
    with pytest.raises(KeyboardInterrupt):
        optimizer.run()
    fresh = wrapped()
    load_agent(optimizer.run_dir, env=fresh)
    saved = [json.loads(path.read_text()) for path in (optimizer.run_dir / "checkpoint").glob("*/loop.json")]
    assert saved
    assert fresh.env.obs_rms.count <= env.env.obs_rms.count


def test_what_does_not_fit_is_refused(run: Any, tmp_path: Path) -> None:
    folder, *_ = run
    with pytest.raises(StateMismatchError, match="the run's were NormalizeObservation"):
        load_agent(folder, env=Line())
    with pytest.raises(InvalidTypeError, match=r"`env` must have the methods reset, step.*Make it first"):
        load_agent(folder, env=wrapped)  # type: ignore[arg-type]
    agent = load_agent(folder)
    agent.save_weights(str(tmp_path / "weights"))
    with pytest.raises(CheckpointError, match="holds an agent, and nothing of an environment"):
        load_agent(tmp_path / "weights", env=wrapped())
    shutil.copytree(folder, tmp_path / "run")
    (tmp_path / "run" / "environment.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"environment\.json carries no checksum"):
        load_agent(tmp_path / "run", env=wrapped())


def test_the_code_that_is_shown_gives_them(run: Any) -> None:
    code = loading_code(run[0], "CartPole-v1")
    assert 'env = EnvironmentName("CartPole-v1")()\n' in code
    assert f'load_agent("{run[0].as_posix()}", env=env)\n' in code


class Untaught(StatefulAgent):
    """Acts, and learns nothing."""


@pytest.mark.parametrize("make", [wrapped, lambda: gym.vector.SyncVectorEnv([wrapped] * 2)])
def test_an_evaluation_env_shows_what_training_shows(make: Any, tmp_path: Path) -> None:
    trained_in, evaluated_in = wrapped(), make()
    pipeline = BatchPipeline(trained_in, window_size=64)
    result = RLOptimizer(
        Untaught(), pipeline, checkpoint_dir=tmp_path, evaluation_env=evaluated_in, max_episodes=4, report_episodes=2
    ).run()
    assert not [note for note in result.notes if "evaluation_env" in note]
    statistics = trained_in.env.obs_rms
    for layer in [evaluated_in] if make is wrapped else evaluated_in.envs:
        seen = layer.env.obs_rms
        assert statistics.count < seen.count < statistics.count + 50  # and the episodes that it played since
        assert seen.mean == pytest.approx(statistics.mean, abs=0.5)
        assert seen.var == pytest.approx(statistics.var, abs=0.5)


def test_an_evaluation_env_in_other_wrappers_is_said(tmp_path: Path) -> None:
    result = RLOptimizer(
        Untaught(),
        BatchPipeline(wrapped(), window_size=64),
        checkpoint_dir=tmp_path,
        evaluation_env=Line(),
        max_episodes=2,
        report_episodes=2,
    ).run()
    assert any("evaluation_env: its wrappers do not have the statistics of training" in note for note in result.notes)
