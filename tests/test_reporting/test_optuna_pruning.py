import sys
from types import ModuleType

import pytest
from extra_venvs import run_with
from logged_runs import make_optimizer

from tensor_optix.exceptions import InvalidArgumentError, InvalidTypeError
from tensor_optix.reporting.optuna_pruning import OptunaPruningCallback


class Trial:
    def __init__(self, pruned_at=10**9):
        self.reports, self.pruned_at = [], pruned_at

    def report(self, value, step):
        self.reports.append((step, value))

    def should_prune(self):
        return self.reports[-1][0] >= self.pruned_at


class Pruned(Exception):
    pass


@pytest.fixture
def optuna(monkeypatch):
    """Stand in for the package, which the fast tests do without."""
    module = ModuleType("optuna")
    module.TrialPruned = Pruned
    monkeypatch.setitem(sys.modules, "optuna", module)


def test_scores_are_reported_at_regular_steps(tmp_path, optuna):
    trial = Trial()
    result = make_optimizer(tmp_path, [OptunaPruningCallback(trial, every_env_steps=500)]).run()
    scores = dict(zip(result.history["env_steps"], result.history["score"], strict=True))
    assert [step for step, _ in trial.reports] == [500, 1000, 1500, 2000, 2500, 3000]
    known = [score for step, score in scores.items() if 500 < step <= 1000 and score is not None]
    assert trial.reports[1][1] == pytest.approx(sum(known) / len(known))


def test_a_pruned_trial_ends_the_run_and_is_told(tmp_path, optuna):
    optimizer = make_optimizer(tmp_path, [OptunaPruningCallback(Trial(pruned_at=1000), every_env_steps=500)])
    with pytest.raises(Pruned, match="after 1,000 env steps"):
        optimizer.run()
    assert optimizer.last_result.reason == "stopped"
    assert (optimizer.run_dir / "result.json").exists()


def test_bad_arguments_are_refused(optuna):
    with pytest.raises(InvalidTypeError, match="trial"):
        OptunaPruningCallback(3)
    with pytest.raises(InvalidArgumentError, match="every_env_steps"):
        OptunaPruningCallback(Trial(), every_env_steps=0)


STUDY = """
import optuna, sys
from logged_runs import make_optimizer
from resume_fakes import LinearAgent
from tensor_optix.reporting.optuna_pruning import OptunaPruningCallback

def objective(trial):
    agent = LinearAgent(init_seed=trial.number)
    agent.hyperparams.params["learning_rate"] = trial.suggest_float("learning_rate", 1e-4, 1.0, log=True)
    callbacks = [OptunaPruningCallback(trial, every_env_steps=500)]
    return make_optimizer(sys.argv[1], callbacks, agent=agent).run().confirmed_mean

storage = f"sqlite:///{sys.argv[1]}/study.db"
pruner = optuna.pruners.MedianPruner(n_startup_trials=2, n_warmup_steps=600)
study = optuna.create_study(direction="maximize", storage=storage, pruner=pruner,
                            sampler=optuna.samplers.RandomSampler(seed=1))
study.optimize(objective, n_trials=10)
study = optuna.load_study(study_name=study.study_name, storage=storage)
states = [trial.state.name for trial in study.trials]
assert len(states) == 10 and set(states) == {"COMPLETE", "PRUNED"}, states
pruned = [trial for trial in study.trials if trial.state.name == "PRUNED"]
assert all(max(trial.intermediate_values) >= 1000 for trial in pruned)
assert all(trial.value is not None for trial in study.trials if trial.state.name == "COMPLETE")
print(study.best_value)
"""


@pytest.mark.extras
def test_a_real_study_prunes(tmp_path):
    assert float(run_with("optuna", STUDY, tmp_path).splitlines()[-1]) > 0
