"""Runs that differ in their seed only belong together; what else differs names the group."""

import pytest
from written_runs import rewrite, write_run

from tensor_optix.reporting.comparison.grouping import UNKNOWN, by_environment, by_settings, environment_of
from tensor_optix.reporting.run import Run


@pytest.fixture
def run(tmp_path):
    return lambda **given: Run.load(write_run(tmp_path, [1.0], **given))


def seeds(groups):
    return {name: [one.seed for one in runs] for name, runs in groups.items()}


def test_seeds_of_one_kind_are_a_group(run):
    assert seeds(by_settings([run(seed=seed) for seed in (3, 1, 2)])) == {"PPOAgent": [3, 1, 2]}


def test_agents_are_told_apart_by_their_names(run):
    runs = [run(seed=0), run(seed=0, agent="DQNAgent"), run(seed=1)]
    assert seeds(by_settings(runs)) == {"PPOAgent": [0, 1], "DQNAgent": [0]}


def test_a_hyperparameter_that_differs_names_its_group(run):
    runs = [run(hyperparams={"learning_rate": rate, "gamma": 0.9}) for rate in (0.1, 0.2)]
    assert list(by_settings(runs)) == ["PPOAgent, learning_rate=0.1", "PPOAgent, learning_rate=0.2"]


def test_what_only_the_command_knows_counts_too(run):
    runs = [run(plan={"env_id": "CartPole-v1", "overrides": {"hidden_units": units}}) for units in ([8], [64])]
    assert list(by_settings(runs)) == ["PPOAgent, hidden_units=[8]", "PPOAgent, hidden_units=[64]"]


def test_how_many_episodes_report_makes_no_other_group(run):
    one, other = run(seed=0), run(seed=1)
    rewrite(other.path / "run.json", settings={"max_env_steps": 10_000, "report_episodes": 7})
    assert len(by_settings([one, Run.load(other.path)])) == 1


def test_a_long_name_is_cut_and_stays_unique(run):
    runs = [run(hyperparams={f"name_{i}": i + j for i in range(20)}) for j in range(2)]
    names = list(by_settings(runs))
    assert len(names) == 2
    assert all(len(name) < 90 for name in names)


def test_environments_are_told_apart_by_arguments_and_wrappers(run):
    plain, heavy = run(), run()
    rewrite(heavy.path / "run.json", pipeline={"env_id": "CartPole-v1", "env_kwargs": {"g": 9}, "wrappers": ["a:B"]})
    heavy = Run.load(heavy.path)
    assert environment_of(plain) == "CartPole-v1"
    assert environment_of(heavy) == "CartPole-v1 (g=9, in a:B)"
    assert list(by_environment([plain, heavy, plain])) == ["CartPole-v1", "CartPole-v1 (g=9, in a:B)"]


def test_a_run_that_tells_nothing_stands_alone(run):
    bare = [run(), run()]
    for one in bare:
        (one.path / "run.json").unlink()
    loaded = [Run.load(one.path) for one in bare]
    assert environment_of(loaded[0]) == UNKNOWN
    assert len(by_settings(loaded)) == 2
