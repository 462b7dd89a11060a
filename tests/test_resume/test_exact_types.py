"""What a run carries over comes back in the type in which it ran: wrappers, agents, scores, hyperparameters."""

import re

import numpy as np
import pytest
import resume_fakes
from harness.wrapped_envs import normalised, normalised_apart, normalised_together
from resume_fakes import LinearAgent, MeanReturn, Scores, assert_same, interrupted, make_run, other_notes, outcome_of

from tensor_optix import BatchPipeline
from tensor_optix.core.types import AgentState, HyperparamSet

pytestmark = pytest.mark.usefixtures("save_at_every_barrier")


def run_to_the_end(folder, make_env, *, stop_at=None, resume=False, make_agent=LinearAgent, **arguments):
    agent = make_agent(init_seed=77 if resume else 0)
    num_envs = getattr(make_env(), "num_envs", 1)
    pipeline = BatchPipeline(make_env, agent, 60 // num_envs, barrier_interval_steps=300)
    settings = {"agent": agent, "pipeline": pipeline, "seed": None if resume else 5, "stop_at": stop_at, **arguments}
    optimizer = make_run(folder, **settings)
    if stop_at is not None:
        return interrupted(optimizer)
    return outcome_of(optimizer, result := optimizer.run(resume=resume)) | {"notes": other_notes(result)}


def assert_resumes_exactly(folder, make_env, stop_at=33, **arguments):
    expected = run_to_the_end(folder / "left-alone", make_env, **arguments)
    run_to_the_end(folder / "cut", make_env, stop_at=stop_at, **arguments)
    assert_same(run_to_the_end(folder / "cut", make_env, resume=True, **arguments), expected)
    assert expected["notes"] == ()


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
@pytest.mark.parametrize("make", [normalised, normalised_together, normalised_apart])
def test_running_statistics(tmp_path, make, dtype):
    assert_resumes_exactly(tmp_path, lambda: make(dtype))


def test_statistics_of_an_environment_for_evaluation(tmp_path):
    evaluated_in = {"evaluation_env": lambda: normalised(np.float64), "max_env_steps": 6600}
    assert_resumes_exactly(tmp_path, lambda: normalised(np.float64), stop_at=70, **evaluated_in)


class Typed(LinearAgent):
    """Its sums go on in the types, and over the axes in the order, in which they were saved."""

    def __init__(self, init_seed=0):
        super().__init__(init_seed=init_seed)
        self.weights = np.asfortranarray(self.weights)
        self.rate, self.betas = np.float32(0.01), (0.9, np.float16(0.99))

    def learn(self, window):
        self.rate = self.rate * np.float32(0.99)
        self.betas = (self.betas[0] * 0.999, self.betas[1] * np.float16(0.9995))
        self.hyperparams = HyperparamSet({"learning_rate": self.rate * 0.3, "betas": self.betas, "decay": self.rate}, 0)
        found = super().learn(window)
        self.weights = np.asfortranarray(self.weights) * self.betas[1]
        return found | {"signs": np.sign(self.momentum), "rate": np.float32(self.rate), "betas": self.betas}

    def get_state(self, scope="learner"):
        state = super().get_state(scope)
        arrays = state.arrays | {"weights": self.weights.copy(order="K")}
        return AgentState(arrays, state.meta | {"rate": self.rate, "betas": self.betas}, scope)

    def set_state(self, state):
        super().set_state(state)
        self.weights = state.arrays["weights"].copy(order="K")
        self.rate, self.betas = state.meta["rate"], state.meta["betas"]


class Demanding(MeanReturn):
    """Scores in float32, of what it is told in the types in which it was told."""

    def score(self, episode_data, train_diagnostics):
        metrics = super().score(episode_data, train_diagnostics)
        if train_diagnostics:
            assert isinstance(train_diagnostics["signs"], np.ndarray)
            metrics.primary_score = np.float32(metrics.primary_score) + train_diagnostics["rate"]
            metrics.metrics["signs"] = train_diagnostics["signs"]
        return metrics


class TypedOutcome(Scores):
    """Notes the types of what the loop tells."""

    def on_improvement(self, snapshot):
        params = snapshot.hyperparams.params
        self.scores.append(float(len(repr(sorted((name, type(value).__name__) for name, value in params.items())))))


@pytest.mark.parametrize("num_envs", [1, 3])
def test_types_of_agents_diagnostics_scores_and_hyperparameters(tmp_path, num_envs, monkeypatch):
    monkeypatch.setattr(resume_fakes, "MeanReturn", Demanding)

    def typed_run(folder, *, resume=False, stop_at=None):
        agent = Typed(init_seed=77 if resume else 0)
        settings = {"num_envs": num_envs, "tuner": "none", "callbacks": [TypedOutcome()]}
        optimizer = make_run(folder, agent=agent, stop_at=stop_at, seed=None if resume else 5, **settings)
        if stop_at is not None:
            return interrupted(optimizer)
        result = optimizer.run(resume=resume)
        champion = result.champion
        return outcome_of(optimizer, result) | {
            "champion_hyperparams": repr(champion.hyperparams.params),
            "champion_metrics": repr(champion.eval_metrics),
            "in_memory": (agent.weights.strides, type(agent.rate), repr(agent.betas)),
            "notes": other_notes(result),
        }

    expected = typed_run(tmp_path / "left-alone")
    typed_run(tmp_path / "cut", stop_at=33)
    without_clock = re.compile(r"timestamp=[0-9.]+")
    ended = typed_run(tmp_path / "cut", resume=True)
    for outcome in (ended, expected):
        outcome["champion_metrics"] = without_clock.sub("", outcome["champion_metrics"])
    assert_same(ended, expected)
    assert "np.float32" in expected["champion_hyperparams"]
    assert expected["notes"] == ()
