"""What was trained plays as before once it is loaded, whatever the spaces: here and in another process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from agent_makers import save
from echo_env import SPACES, EchoEnv
from play_saved import played

from tensor_optix import BatchPipeline, RLOptimizer, load_agent
from tensor_optix.presets import make_agent, make_pipeline

SMALL = {"batch_size": 16, "hidden_units": (8,), "seed": 0}
ON_POLICY = {**SMALL, "jit_compile": False, "num_epochs": 3, "learning_rate": 1e-2}
OFF_POLICY = {**SMALL, "learning_starts": 16, "buffer_size": 200}
CASES = {
    "bits": ("ppo", ON_POLICY),
    "bits of two axes": ("ppo", ON_POLICY),
    "choices": ("ppo", ON_POLICY),
    "choices of two axes": ("ppo", ON_POLICY),
    "choice": ("dqn", OFF_POLICY),
    "box": ("sac", OFF_POLICY),
    "half box": ("policy_gradient", {"seed": 0, "hidden_units": (8,)}),
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Play before saving, and folder, by the name of a space."""
    found = {}
    for name, (algorithm, settings) in CASES.items():
        env, folder = EchoEnv(SPACES[name]), tmp_path_factory.mktemp("run")
        agent = make_agent(env, algorithm, **settings)
        pipeline = make_pipeline(env, agent, window_size=64, seed=0)
        windows = pipeline.episodes()
        for _ in range(2):
            agent.learn(next(windows))
        save(agent, folder, by_state=True)
        found[name] = (json.loads(json.dumps(played(agent, name))), str(folder))
    return found


def test_in_this_process(saved):
    for name, (before, folder) in saved.items():
        assert played(load_agent(folder), name) == before, name
        assert before[2] == ("int64" if name == "choice" else SPACES[name].dtype.name)


def test_in_another_process(saved):
    folders = json.dumps({name: folder for name, (_, folder) in saved.items()})
    script = Path(__file__).parents[1] / "helpers" / "play_saved.py"
    done = subprocess.run([sys.executable, script, folders], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {name: before for name, (before, _) in saved.items()}


def test_a_run_of_the_loop(tmp_path):
    env = EchoEnv(SPACES["choices"])
    agent = make_agent(env, **ON_POLICY)
    pipeline = BatchPipeline(env, agent, window_size=64)
    result = RLOptimizer(
        agent, pipeline, checkpoint_dir=str(tmp_path), max_env_steps=192, report_episodes=2, seed=1
    ).run()
    assert played(load_agent(os.fspath(result.run_dir)), "choices") == played(agent, "choices")
