"""Agents and helpers that the tests of what is kept on disk share."""

import os
import resource
from pathlib import Path

import numpy as np

from tensor_optix.core.base_agent import BaseAgent
from tensor_optix.core.storage.history_lines import lines_of, parsed
from tensor_optix.core.storage.json_files import read_sealed_json, write_sealed_json
from tensor_optix.core.storage.state_files import read_agent_state, write_agent_state
from tensor_optix.core.types import AgentState, EvalMetrics, HyperparamSet


class StemAgent(BaseAgent):
    """Six methods; uses the path as the stem of a file name."""

    def __init__(self, value=0.0):
        self.value = np.full(50, value)
        self.params = {"learning_rate": 0.5}

    def act(self, observation):
        return 0

    def learn(self, episode_data):
        return {}

    def get_hyperparams(self):
        return HyperparamSet(dict(self.params), 0)

    def set_hyperparams(self, hyperparams):
        self.params = dict(hyperparams.params)

    def save_weights(self, path):
        np.save(path + ".npy", self.value)

    def load_weights(self, path):
        self.value = np.load(path + ".npy")


class FolderAgent(StemAgent):
    def save_weights(self, path):
        os.mkdir(path)
        np.save(os.path.join(path, "w.npy"), self.value)

    def load_weights(self, path):
        self.value = np.load(os.path.join(path, "w.npy"))


class StateAgent(StemAgent):
    """Has the pair, and saves as TFAgent does."""

    def get_state(self, scope="learner"):
        return AgentState({"value": self.value.copy()}, {"rng": 2**100}, scope)

    def set_state(self, state):
        self.value = state.arrays["value"].copy()

    def save_weights(self, path):
        write_agent_state(path, self.get_state())

    def load_weights(self, path):
        self.set_state(read_agent_state(path))


AGENTS = [StemAgent, FolderAgent, StateAgent]


def metrics(score, episode_id=0):
    return EvalMetrics(score, {}, episode_id)


def save_all(registry, scores, cls=StateAgent):
    """Save one snapshot per score; each holds its score as weights and as learning rate."""
    return [save_one(registry, score, number, cls) for number, score in enumerate(scores)]


def save_one(registry, score, episode_id=0, cls=StateAgent):
    hyperparams = HyperparamSet({"learning_rate": score}, episode_id)
    return registry.save(cls(score), metrics(score, episode_id), hyperparams)


def load_value(registry, cls=StateAgent):
    agent = cls(-1.0)
    snapshot = registry.load_best(agent)
    return None if snapshot is None else float(agent.value[0])


def all_files(root):
    return sorted(path for path in Path(root).rglob("*") if path.is_file())


def limited_file_size(num_bytes):
    """Make the system refuse larger files: the same error path as a full disk."""

    class Limit:
        def __enter__(self):
            self.before = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, self.before[1]))

        def __exit__(self, *_):
            resource.setrlimit(resource.RLIMIT_FSIZE, self.before)

    return Limit()


def edit(path, change):
    document = read_sealed_json(path)
    change(document)
    write_sealed_json(path, document)


def flip(path, where):
    """Flip one bit at a fraction of the file."""
    data = bytearray(path.read_bytes())
    data[int(where * len(data))] ^= 4
    path.write_bytes(data)


def read_history(path):
    """Return the rows of a history file, oldest first; lines that are not whole are left out."""
    rows = [parsed(line) for line in lines_of(path)] if Path(path).exists() else []
    return [row for row in rows if row is not None]
