"""The short examples: each runs as it is, cut short, and shows what it says it shows."""

from __future__ import annotations

import importlib
import json
import math
import runpy
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from extra_venvs import run_with
from short_runs import cut_short

EXAMPLES = Path(__file__).parents[2] / "examples"
LONGER = {"live_websocket.py": "a server and a client"}
MOST_LINES = 80


@pytest.fixture
def in_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Return what runs an example as a script in a folder of its own, and returns what it prints."""

    def run(name: str, *arguments: str, max_windows: int = 1) -> str:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        cut_short(max_windows=max_windows, put=monkeypatch.setattr)
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out

    return run


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what imports an example without running it."""
    monkeypatch.syspath_prepend(str(EXAMPLES))

    def imported(name: str) -> ModuleType:
        monkeypatch.delitem(sys.modules, name, raising=False)
        return importlib.import_module(name)

    return imported


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_it_is_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) < MOST_LINES or path.name in LONGER


def test_own_evaluator_scores_by_the_bad_episodes(in_short: Any) -> None:
    said = in_short("own_evaluator.py", max_windows=2)
    assert "new champion" in said
    assert "budget: max_episodes=2 windows were used" in said


@pytest.mark.parametrize("by", ["backoff", "pbt"])
def test_tuning_moves_within_the_bounds(by: str, in_short: Any) -> None:
    said = in_short("tuning.py", "--by", by, max_windows=6)
    params = eval(said.rpartition("hyperparameters:")[2])
    assert 1e-6 <= params["learning_rate"] <= 1e-2
    runs = Path("tensor_optix_checkpoints/run-0001/history.jsonl").read_text(encoding="utf-8").splitlines()
    assert any("tuning" in json.loads(line) for line in runs)


def test_own_environment_rewards_thrift(example: Any) -> None:
    module = example("own_environment")
    returns = {}
    for speed in (1.0, 0.5):
        env = module.make_env()
        env.reset(seed=0)
        returns[speed], is_over = 0.0, False
        while not is_over:
            _, reward, terminated, truncated, info = env.step(np.array([speed], np.float32))
            returns[speed], is_over = returns[speed] + reward, terminated or truncated
        assert info["is_success"]
    assert returns[0.5] > returns[1.0] > 1.0  # both arrive; the slower one saves the battery


def test_own_environment_runs(in_short: Any) -> None:
    said = in_short("own_environment.py")
    assert "budget: max_episodes=1" in said
    assert "In the plain corridor:" in said


def test_images_can_be_caught(example: Any) -> None:
    module = example("images")
    for seed in range(10):
        env, is_over = module.Catch(), False
        env.reset(seed=seed)
        while not is_over:
            follow = 1 + np.sign(env.ball[1] - env.paddle)
            picture, reward, is_over, _, _ = env.step(follow)
            assert env.observation_space.contains(picture)
        assert reward == 1.0


def test_images_run(in_short: Any) -> None:
    assert "budget: max_episodes=1" in in_short("images.py")


def test_dict_observations_can_be_delivered(example: Any) -> None:
    module = example("dict_observations")
    for seed in range(10):
        env, is_over, total = module.make_env(), False, 0.0
        observation, _ = env.reset(seed=seed)
        while not is_over:
            way = module.Delivery.doors[observation["door"]] - observation["place"][0]
            observation, reward, terminated, truncated, _ = env.step(2 if abs(way) < 0.14 else int(way > 0))
            assert env.observation_space.contains(observation)
            is_over, total = terminated or truncated, total + reward
        assert terminated
        assert reward > 0.9


def test_dict_observations_run(in_short: Any) -> None:
    assert "budget: max_episodes=1" in in_short("dict_observations.py")


def test_own_algorithm_learns_as_it_says(example: Any) -> None:
    """Its advantages against the sum that defines them, over two episodes: one that terminates, one that is cut."""
    module = example("own_algorithm")
    import keras

    from tensor_optix import EpisodeData, HyperparamSet

    params = HyperparamSet({"learning_rate": 1e-3, "gamma": 0.9}, episode_id=0)
    agent = module.ActorCritic(module.network(2), keras.optimizers.Adam(), params)
    agent.bind(gym.spaces.Box(-9.0, 9.0, (4,)), gym.spaces.Discrete(2), seed=0)
    seen = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    rewards, ends, cuts = np.arange(1.0, 6.0), np.array([0, 1, 0, 0, 0], bool), np.array([0, 0, 0, 0, 1], bool)
    values = agent.critic(seen).numpy()[:, 0]
    nexts = np.where(ends, 0.0, values[1:])
    errors = rewards + 0.9 * nexts - values[:-1]
    decay = 0.9 * 0.95
    first = errors[0] + decay * errors[1]
    third = errors[2] + decay * errors[3] + decay**2 * errors[4]
    targets: list[Any] = []
    agent.improve_critic = lambda observations, target: targets.append(target) or 0.0
    window = EpisodeData(
        seen[:5], np.array([0, 1, 1, 0, 1]), rewards, ends, cuts, [{}] * 5, 0, next_observations=seen[1:]
    )
    before = agent.model(seen).numpy()
    agent.learn(window)
    np.testing.assert_allclose(targets[0][[0, 2]] - values[[0, 2]], [first, third], rtol=1e-4)
    assert not np.allclose(agent.model(seen).numpy(), before)


def test_own_algorithm_runs_and_comes_back_from_its_folder(in_short: Any) -> None:
    assert "Loaded: ActorCritic" in in_short("own_algorithm.py")


def test_live_feed_gives_rewards_to_the_actions_that_earned_them(example: Any) -> None:
    stream = example("live_feed").Oven(seconds_per_step=0.0).stream()
    item = next(stream)
    assert item[1] == 0.0
    for _ in range(30):
        before, item = item, stream.send(1)
        assert item[1] == pytest.approx(-abs(float(item[0][0])))
        assert item[0][0] - before[0][0] == pytest.approx(item[0][1], abs=1e-6)
    assert item[0][0] > 0.0  # it was heated all the time


def test_live_feed_runs_until_its_time_is_up(in_short: Any) -> None:
    said = in_short("live_feed.py", "--seconds", "100", max_windows=2)
    means = said.rpartition("windows:")[2].split(",")
    assert all(math.isfinite(float(mean)) and float(mean) < 0.0 for mean in means)


@pytest.mark.extras
def test_optuna_finds_a_best_trial(tmp_path: Path) -> None:
    script = "import runpy, short_runs, sys\nshort_runs.cut_short()\nsys.argv = ['x', '--trials', '3']\n"
    script += f"runpy.run_path({str(EXAMPLES / 'optuna_pruning.py')!r}, run_name='__main__')"
    said = run_with("optuna", script, cwd=tmp_path)
    assert "Best:" in said
    assert "'units'" in said


@pytest.mark.extras
def test_the_detectors_end_a_run_of_stable_baselines3(tmp_path: Path) -> None:
    script = f"import runpy\nm = runpy.run_path({str(EXAMPLES / 'detectors_in_sb3.py')!r})\n"
    script += "judge = m['Judgement'](looks_to_stop=2)\nimport stable_baselines3\n"
    script += "model = stable_baselines3.A2C('MlpPolicy', 'CartPole-v1', seed=0, learning_rate=1e-9)\n"
    script += "model.learn(total_timesteps=2_000, callback=judge)\nprint('looks:', judge.plateau.looks)"
    assert int(run_with("sb3", script, cwd=tmp_path).rpartition("looks:")[2]) >= 10


@pytest.mark.extras
def test_the_notebook_runs_from_top_to_bottom(tmp_path: Path) -> None:
    text = (EXAMPLES / "notebook.ipynb").read_text(encoding="utf-8")
    (tmp_path / "notebook.ipynb").write_text(
        text.replace("max_env_steps=60_000", "max_env_steps=4_000"), encoding="utf-8"
    )
    script = "import nbformat\nfrom nbclient import NotebookClient\n"
    script += "notebook = nbformat.read('notebook.ipynb', as_version=4)\nnbformat.validate(notebook)\n"
    script += "NotebookClient(notebook, timeout=200, kernel_name='python3').execute()\n"
    script += "print([output.get('text', '') for cell in notebook.cells for output in cell.get('outputs', [])])"
    said = run_with("notebook", script, cwd=tmp_path, env={"MPLBACKEND": "agg", "HOME": str(tmp_path)})
    assert "budget: max_env_steps=4,000" in said
    assert "95 % interval" in said


def test_action_masks_are_kept_to(in_short: Any) -> None:
    said = in_short("action_masks.py", max_windows=1)
    assert "not allowed, with masks: 0 of 500; without:" in said
    assert int(said.split("without: ")[1].split()[0]) > 0
    assert said.count("budget: max_episodes=1 windows") == 2


def test_memory_is_carried_by_the_agent_and_by_hand(in_short: Any) -> None:
    said = in_short("memory.py", "--max-env-steps", "4096")
    assert "Greedy episodes:" in said
    assert "An episode by hand:" in said
