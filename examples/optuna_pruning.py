"""Hyperparameters searched between runs with Optuna; trials that look poor end early.

pip install ".[optuna]"     # in a checkout
python examples/optuna_pruning.py --trials 20
"""

import argparse

import optuna

from tensor_optix import RLOptimizer, make_agent, make_pipeline
from tensor_optix.reporting.optuna_pruning import OptunaPruningCallback


def objective(trial, max_env_steps):
    """Train once and return what fresh greedy episodes say of the champion."""
    agent = make_agent(
        "CartPole-v1",
        "ppo",
        learning_rate=trial.suggest_float("learning_rate", 1e-5, 1e-2, log=True),
        gamma=1.0 - trial.suggest_float("one_minus_gamma", 1e-3, 1e-1, log=True),
        hidden_units=(trial.suggest_categorical("units", [16, 64]),) * 2,
        seed=trial.number,
    )
    pipeline = make_pipeline("CartPole-v1", agent)
    prune = OptunaPruningCallback(trial)  # ends the run cleanly, then raises optuna.TrialPruned
    return RLOptimizer(agent, pipeline, seed=0, max_env_steps=max_env_steps, callbacks=[prune]).run().confirmed_mean


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--max-env-steps", type=int, default=50_000)
    options = parser.parse_args()
    sampler, pruner = optuna.samplers.TPESampler(seed=0), optuna.pruners.MedianPruner(n_startup_trials=5)
    study = optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner)
    study.optimize(lambda trial: objective(trial, options.max_env_steps), n_trials=options.trials)
    print(f"Best: {study.best_value:.1f} with {study.best_params}")
    print("Pruned:", sum(trial.state is optuna.trial.TrialState.PRUNED for trial in study.trials))


if __name__ == "__main__":
    main()
