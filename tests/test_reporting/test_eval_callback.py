import csv
import hashlib

import numpy as np
import pytest
from logged_runs import crashed_and_resumed, make_optimizer
from resume_fakes import LinearAgent

from tensor_optix import RLOptimizer, evaluate, make_agent, make_pipeline
from tensor_optix.exceptions import CheckpointError
from tensor_optix.reporting.eval_callback import EvalCallback


def read(path):
    with np.load(path) as file:
        return dict(file)


def test_the_file_has_what_stable_baselines3_puts_in_it(tmp_path):
    optimizer = make_optimizer(tmp_path, [EvalCallback("CartPole-v1", every_env_steps=1000, num_episodes=4), "csv"])
    result = optimizer.run()
    kept = read(optimizer.run_dir / "evaluations.npz")
    assert kept["timesteps"].tolist() == [1000, 2000, 3000]
    assert kept["results"].shape == kept["ep_lengths"].shape == (3, 4)
    np.testing.assert_array_equal(kept["results"], kept["ep_lengths"])  # of CartPole: one a step
    np.testing.assert_array_equal(kept["env_steps"], kept["ep_lengths"].sum(axis=1))
    assert result.env_steps["training"] <= 3000  # its own episodes are not of the budget
    with (optimizer.run_dir / "progress.csv").open(newline="") as file:
        logged = [row["eval/mean_reward"] for row in csv.DictReader(file) if row.get("eval/mean_reward")]
    np.testing.assert_allclose([float(mean) for mean in logged], kept["results"].mean(axis=1))


class Frozen(LinearAgent):
    def learn(self, window):
        return {}


def test_the_episodes_are_those_of_evaluate(tmp_path):
    callback = EvalCallback(every_env_steps=1000, num_episodes=5, seed=7)
    make_optimizer(tmp_path, [callback], agent=Frozen()).run()
    expected = evaluate(Frozen(), "CartPole-v1", 5, seed=7).returns
    for returns in callback.evaluations["results"]:
        np.testing.assert_array_equal(returns, expected)


def digest(history):
    return hashlib.sha256(repr(sorted(history.items())).encode()).hexdigest()


def outcome(folder, callbacks, algorithm, num_envs):
    """Return the digests of a run's rows, of its report and of what the agent is at the end."""
    env_id = "Pendulum-v1" if algorithm == "sac" else "CartPole-v1"
    options = {"learning_starts": 100} if algorithm != "ppo" else {}
    agent = make_agent(env_id, algorithm, seed=0, hidden_units=(8,), **options)
    pipeline = make_pipeline(env_id, num_envs=num_envs, window_size=64, algorithm=algorithm)
    optimizer = RLOptimizer(
        agent, pipeline, checkpoint_dir=folder, seed=0, max_episodes=3, report_episodes=2, callbacks=callbacks
    )
    result = optimizer.run()
    arrays = agent.get_state("all").arrays
    state = hashlib.sha256(b"".join(name.encode() + arrays[name].tobytes() for name in sorted(arrays))).hexdigest()
    return digest(result.history), result.report.returns.tolist(), state, dict(result.env_steps)


@pytest.mark.parametrize(
    ("algorithm", "num_envs"),
    [
        ("ppo", 2),
        ("dqn", 1),
        pytest.param("ppo", 1, marks=pytest.mark.slow),
        pytest.param("sac", 1, marks=pytest.mark.slow),
    ],
)
def test_a_run_is_the_same_with_and_without(tmp_path, algorithm, num_envs):
    callback = EvalCallback(every_env_steps=64 * num_envs, num_episodes=2)
    without = outcome(tmp_path / "without", [], algorithm, num_envs)
    assert outcome(tmp_path / "with", [callback, "csv", "monitor"], algorithm, num_envs) == without
    assert callback.env_steps > 0
    assert len(callback.evaluations["timesteps"]) == 3


def test_a_resumed_run_keeps_the_evaluations_of_before(tmp_path, save_at_every_barrier):
    def callbacks():
        return [EvalCallback(every_env_steps=400, num_episodes=2)]

    make_optimizer(tmp_path / "whole", callbacks()).run()
    crashed_and_resumed(tmp_path / "crashed", callbacks)
    whole, resumed = (read(tmp_path / name / "run-0001" / "evaluations.npz") for name in ("whole", "crashed"))
    assert len(whole["timesteps"]) >= 6
    for name, array in whole.items():
        np.testing.assert_array_equal(resumed[name], array)


def test_a_file_of_ones_own_is_begun_anew_by_another_run(tmp_path):
    for _ in range(2):
        callback = EvalCallback(every_env_steps=400, num_episodes=2, path=tmp_path / "mine.npz")
        make_optimizer(tmp_path, [callback], max_env_steps=None, max_episodes=5).run()
    assert read(tmp_path / "mine.npz")["timesteps"].tolist() == [400]


def test_it_is_refused_where_nothing_can_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="Not a directory"):
        EvalCallback(path=tmp_path / "file" / "evaluations.npz")
