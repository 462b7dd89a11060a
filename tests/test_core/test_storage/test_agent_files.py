import logging
import os
from pathlib import Path

import numpy as np
import pytest

from tensor_optix.core.base_agent import BaseAgent
from tensor_optix.core.storage.agent_files import (
    apply_hyperparams,
    capture,
    has_own_state,
    is_file_state,
    read_files,
    restore,
    write_files,
)
from tensor_optix.core.storage.state_files import read_agent_state, write_agent_state
from tensor_optix.core.types import AgentState, HyperparamSet
from tensor_optix.exceptions import CheckpointError, InvalidTypeError, UnsafeFileError


class SixMethodAgent(BaseAgent):
    """Writes one file, named by using the path as a stem."""

    def __init__(self, params=None):
        self.weights = np.zeros(3)
        self.params = params or {"learning_rate": 0.1}

    def act(self, observation):
        return 0

    def learn(self, episode_data):
        self.weights = self.weights + 1
        return {}

    def get_hyperparams(self):
        return HyperparamSet(dict(self.params), 4)

    def set_hyperparams(self, hyperparams):
        self.params = dict(hyperparams.params)

    def save_weights(self, path):
        assert os.path.isdir(os.path.dirname(path))
        np.save(path + ".npy", self.weights)

    def load_weights(self, path):
        self.weights = np.load(path + ".npy")


class FolderAgent(SixMethodAgent):
    """Makes a folder at the path, with a folder and an empty file in it."""

    def save_weights(self, path):
        os.makedirs(os.path.join(path, "deep", "empty"))
        np.save(os.path.join(path, "deep", "w.npy"), self.weights)
        Path(path, "note").touch()

    def load_weights(self, path):
        assert os.path.isdir(os.path.join(path, "deep", "empty"))
        assert Path(path, "note").read_bytes() == b""
        self.weights = np.load(os.path.join(path, "deep", "w.npy"))


class StatefulAgent(SixMethodAgent):
    def get_state(self, scope="learner"):
        return AgentState({"w": self.weights.copy()}, {"asked": scope}, scope)

    def set_state(self, state):
        self.weights = state.arrays["w"].copy()


class SavesExtraThings(StatefulAgent):
    """What a user writes who knows only the six methods."""

    extra = "plain"

    def save_weights(self, path):
        super().save_weights(path)
        Path(path + ".extra").write_text(self.extra)

    def load_weights(self, path):
        super().load_weights(path)
        self.extra = Path(path + ".extra").read_text()


class SavesExtraThingsWithPair(SavesExtraThings):
    def get_state(self, scope="learner"):
        return super().get_state(scope)


class LoadsOtherwise(StatefulAgent):
    def load_weights(self, path):
        super().load_weights(path)


class DuckAgent:
    """Derives from nothing."""

    def __init__(self):
        self.weights = np.zeros(2)

    def get_state(self, scope="learner"):
        return AgentState({"w": self.weights.copy()}, {}, scope)

    def set_state(self, state):
        self.weights = state.arrays["w"]


class HalfPair(SixMethodAgent):
    def get_state(self, scope="learner"):
        return AgentState({})


@pytest.mark.parametrize(
    ("cls", "own"),
    [
        (SixMethodAgent, False),
        (FolderAgent, False),
        (StatefulAgent, True),
        (SavesExtraThings, False),
        (SavesExtraThingsWithPair, True),
        (LoadsOtherwise, False),
        (DuckAgent, True),
        (HalfPair, False),
    ],
)
def test_whose_pair_speaks_for_the_whole_agent(cls, own):
    assert has_own_state(cls()) is own


def test_methods_set_on_the_object_count():
    agent = StatefulAgent()
    agent.save_weights = lambda path: None
    assert not has_own_state(agent)


@pytest.mark.parametrize("cls", [SixMethodAgent, FolderAgent, StatefulAgent, SavesExtraThings])
def test_an_agent_becomes_what_it_was(cls):
    agent = cls()
    agent.weights = np.array([1.0, 2.0, 3.0])
    state = capture(agent)
    agent.learn(None)
    restore(agent, state)
    np.testing.assert_array_equal(agent.weights, [1, 2, 3])
    agent.learn(None)
    restore(agent, state)  # a second time: the first did not use it up
    np.testing.assert_array_equal(agent.weights, [1, 2, 3])


def test_what_a_subclass_saves_besides_is_kept():
    agent = SavesExtraThings()
    agent.extra = "precious"
    state = capture(agent)
    agent.extra = "overwritten"
    restore(agent, state)
    assert agent.extra == "precious"


def test_the_scope_is_handed_on():
    assert capture(StatefulAgent(), "all").meta == {"asked": "all"}
    assert capture(StatefulAgent()).scope == "learner"
    assert capture(SixMethodAgent(), "policy").scope == "policy"


@pytest.mark.parametrize("cls", [SixMethodAgent, FolderAgent])
def test_a_state_of_files_survives_the_disk(cls, tmp_path):
    agent = cls({"learning_rate": 0.25})
    agent.weights = np.array([4.0, 5.0, 6.0])
    write_agent_state(tmp_path / "s", capture(agent))
    other = cls()
    restore(other, read_agent_state(tmp_path / "s"))
    np.testing.assert_array_equal(other.weights, [4, 5, 6])
    assert other.params == {"learning_rate": 0.25}


def test_nothing_is_left_in_the_temporary_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    agent = FolderAgent()
    restore(agent, capture(agent))
    assert not list(tmp_path.iterdir())


def test_hyperparameters_come_back_and_the_unsayable_ones_stay(caplog):
    agent = SixMethodAgent({"lr": 0.1, "steps": np.int64(3), "schedule": abs, "betas": (0.9, 0.99), "bad": np.nan})
    with caplog.at_level(logging.WARNING):
        state = capture(agent)
    assert "schedule, bad" in caplog.text
    assert state.meta["hyperparams"] == {"lr": 0.1, "steps": np.int64(3), "betas": (0.9, 0.99)}
    assert type(state.meta["hyperparams"]["steps"]) is np.int64
    agent.params.update(lr=9.0, steps=9)
    restore(agent, state)
    assert agent.params["lr"] == 0.1
    assert agent.params["steps"] == 3
    assert agent.params["schedule"] is abs
    assert agent.params["betas"] == (0.9, 0.99)


def test_no_hyperparameters_are_not_set():
    class NoHyperparams(SixMethodAgent):
        def set_hyperparams(self, hyperparams):
            raise AssertionError

    apply_hyperparams(NoHyperparams(), {}, 0)


def test_an_agent_that_writes_nothing_is_served():
    class WritesNothing(SixMethodAgent):
        def save_weights(self, path): ...

        def load_weights(self, path):
            self.loaded = path

    agent = WritesNothing()
    state = capture(agent)
    assert is_file_state(state)
    assert state.arrays == {}
    restore(agent, state)
    assert agent.loaded.endswith("weights")


def test_what_is_not_a_state_is_refused():
    class ReturnsDict(StatefulAgent):
        def get_state(self, scope="learner"):
            return {"w": 1}

    with pytest.raises(InvalidTypeError, match=r"ReturnsDict\.get_state must return an AgentState. Received: dict"):
        capture(ReturnsDict())
    with pytest.raises(InvalidTypeError, match="SixMethodAgent has no set_state"):
        restore(SixMethodAgent(), capture(StatefulAgent()))


@pytest.mark.parametrize("name", ["../escaped", "/escaped", "a/../../escaped"])
def test_names_that_lead_outside_are_not_written(tmp_path, name):
    state = capture(SixMethodAgent())
    state.arrays[name] = np.zeros(1, np.uint8)
    with pytest.raises(UnsafeFileError, match="leads outside"):
        restore(SixMethodAgent(), state)
    state.meta["folders"] = [name]
    with pytest.raises(UnsafeFileError, match="leads outside"):
        write_files(state, tmp_path / "below")
    assert not list(tmp_path.iterdir())


def test_an_entry_that_is_no_bytes_is_refused(tmp_path):
    state = capture(SixMethodAgent())
    state.arrays["weights.npy"] = np.zeros(2)
    with pytest.raises(CheckpointError, match=r"must be bytes\. Received: float64"):
        write_files(state, tmp_path)


@pytest.mark.parametrize(("key", "value"), [("folders", 3), ("hyperparams", [1]), ("episode_id", None)])
def test_a_state_that_says_something_impossible_is_refused(key, value):
    state = capture(SixMethodAgent())
    state.meta[key] = value
    with pytest.raises(CheckpointError, match=f"`{key}` must be a"):
        restore(SixMethodAgent(), state)


def test_a_link_to_elsewhere_is_not_read(tmp_path):
    (tmp_path / "secret").write_text("s")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "weights").symlink_to(tmp_path / "secret")
    with pytest.raises(UnsafeFileError, match="leads outside"):
        read_files(tmp_path / "run", HyperparamSet({}, 0))
