"""NaN in a user's state is named, kept out of JSON's numbers, and given back as it was."""

import json
import math

import gymnasium as gym
import numpy as np
import pytest
from resume_fakes import SixMethods

from tensor_optix import AgentState, BackoffOptimizer, BatchPipeline, LoopCallback, RLOptimizer
from tensor_optix.testing.fakes import RewardEvaluator, StatefulAgent


class Keeps(LoopCallback):
    """Keeps a number for each window; what it says of it besides is up to the test."""

    def __init__(self, value, extra=None):
        self.value, self.extra, self.values = value, extra, []

    def on_episode_end(self, episode_id, metrics):
        self.values.append(self.value)

    def state_dict(self):
        return {"values": self.values, "fine": 1.0, "extra": self.extra}

    def load_state_dict(self, state):
        self.values, self.extra = list(state["values"]), state["extra"]


class Weary(gym.Wrapper):
    def state_dict(self):
        return {"weariness": math.nan, "age": 3}

    def load_state_dict(self, state):
        pass


def run(folder, callbacks=(), env=lambda: gym.make("CartPole-v1"), *, windows=6, resume=False, **more):
    agent = StatefulAgent()
    pipeline = BatchPipeline(env, agent, 20, barrier_interval_steps=40)
    return RLOptimizer(
        agent,
        pipeline,
        RewardEvaluator(),
        checkpoint_dir=str(folder),
        callbacks=list(callbacks),
        seed=0,
        max_episodes=windows,
        report_episodes=1,
        **more,
    ).run(resume=resume)


def notes_on_nan(result):
    return [note for note in result.notes if "holds NaN" in note]


def refuse(constant):
    raise AssertionError(f"{constant} stands in a file")


@pytest.mark.parametrize("value", [math.nan, np.float32("nan"), [1.0, math.nan], {"a": (math.nan,)}])
def test_nan_in_a_callback_s_state_is_named_once_and_in_the_notes(tmp_path, value, caplog):
    result = run(tmp_path, [Keeps(value)])
    assert notes_on_nan(result) == [
        "the state of Keeps holds NaN (under values): it was saved as such, and comes back as such"
    ]
    assert sum("holds NaN" in line for line in caplog.messages) == 1


@pytest.mark.parametrize("extra", [np.array([1.0, np.nan]), np.array([np.nan], np.complex64), float("nan")])
def test_every_key_is_named(tmp_path, extra):
    assert "(under values, extra)" in notes_on_nan(run(tmp_path, [Keeps(math.nan, extra)]))[0]


@pytest.mark.parametrize("value", [0.0, -math.inf, None, "nan"])
def test_nothing_else_is(tmp_path, value):
    assert not notes_on_nan(run(tmp_path, [Keeps(value)]))


def test_a_wrapper_s_is_named_too(tmp_path):
    (note,) = notes_on_nan(run(tmp_path, env=lambda: Weary(gym.make("CartPole-v1"))))
    assert "the state of pipeline holds NaN (under weariness)" in note


def holds_nan(plain):
    if isinstance(plain, dict):
        return plain.get("$float") == "nan" or any(map(holds_nan, plain.values()))
    return isinstance(plain, list) and any(map(holds_nan, plain))


def test_parts_of_the_package_hold_it_on_purpose(tmp_path):
    """Windows of one step: most of them end no episode, and so give no score."""
    agent = StatefulAgent({"learning_rate": 1e-3})
    optimizer = RLOptimizer(
        agent,
        BatchPipeline(lambda: gym.make("CartPole-v1"), agent, 1, barrier_interval_steps=1),
        RewardEvaluator(),
        BackoffOptimizer({"learning_rate": (1e-4, 1e-2)}),
        checkpoint_dir=str(tmp_path),
        seed=0,
        max_episodes=6,
        report_episodes=1,
    )
    result = optimizer.run()
    documents = [json.loads(path.read_text()) for path in tmp_path.rglob("loop.json")]
    assert any(map(holds_nan, documents)), "there must be some to be silent about"
    assert not notes_on_nan(result)


def test_it_comes_back_and_no_file_has_a_number_that_json_does_not_know(tmp_path):
    run(tmp_path, [Keeps(math.nan, math.nan)])
    files = [path for path in tmp_path.rglob("*.json") if path.is_file()]
    assert len(files) > 3
    for path in files:
        json.loads(path.read_text(), parse_constant=refuse)
    again = Keeps(0.0, 0.0)
    result = run(tmp_path, [again], windows=10, resume=True)
    assert math.isnan(again.extra)
    assert math.isnan(again.values[0])
    assert again.values[-1] == 0.0
    assert len(again.values) == 10
    assert "(under values, extra)" in notes_on_nan(result)[0]


def test_an_agent_of_the_user_s_own_is_looked_at(tmp_path):
    class Own(SixMethods):
        def get_state(self, scope="learner"):
            return AgentState({"weights": self.weights, "slow": np.array([1.0, np.nan])}, {}, scope)

        def set_state(self, state):
            self.weights = state.arrays["weights"]

    agent = Own()
    pipeline = BatchPipeline(lambda: gym.make("CartPole-v1"), agent, 20, barrier_interval_steps=40)
    optimizer = RLOptimizer(
        agent, pipeline, RewardEvaluator(), checkpoint_dir=str(tmp_path), seed=0, max_episodes=6, report_episodes=1
    )
    (note,) = notes_on_nan(optimizer.run())
    assert "Own holds NaN (under slow)" in note
