"""The champion: kept in memory and on disk, the one way in which it comes back, and acting for a while."""

import json
from typing import ClassVar

import numpy as np
import pytest

from tensor_optix import CheckpointRegistry, EvalMetrics, HyperparamSet
from tensor_optix.core.callbacks import CallbackList
from tensor_optix.core.judgement.champion import Incumbent
from tensor_optix.core.judgement.provenance import Provenance
from tensor_optix.core.judgement.track_record import PlayedSet, TrackRecord
from tensor_optix.testing.fakes import RecordingCallback, SixMethodAgent, StatefulAgent


class Elsewhere(SixMethodAgent):
    """Writes no file: its weights lie where only it knows, under the path that it was given."""

    places: ClassVar = {}

    def save_weights(self, path):
        self.places[path] = self.weight

    def load_weights(self, path):
        self.weight = self.places[path]


class Scene:
    """An agent that wins the championship with weight 3 under x = 1, and goes on to weight 5 under x = 2."""

    def __init__(self, folder, agent_class):
        self.agent, self.recorder = agent_class({"x": 1.0}), RecordingCallback()
        self.registry = CheckpointRegistry(folder)
        self.provenance = Provenance(self.agent, CallbackList([self.recorder]))
        self.incumbent = Incumbent(self.agent, self.registry, self.provenance)

    def crown(self):
        self.agent.weight = 3.0
        self.provenance.note(HyperparamSet({"x": 0.5}, 0))
        self.snapshot = self.incumbent.take_the_place(EvalMetrics(30.0, {}, 7))
        self.agent.weight = 5.0
        self.agent.set_hyperparams(HyperparamSet({"x": 2.0}, 0))
        self.provenance.note()
        return self


@pytest.fixture(params=[StatefulAgent, SixMethodAgent, Elsewhere])
def scene(request, tmp_path):
    return Scene(tmp_path, request.param)


def test_without_a_champion_nothing_comes_back(scene):
    scene.agent.weight = 5.0
    assert scene.incumbent.snapshot is None
    assert not scene.incumbent.bring_back()
    assert scene.agent.weight == 5.0
    assert scene.incumbent.state_dict() == {}


def test_what_comes_back_is_noted_and_announced(scene):
    scene.crown()
    assert (scene.snapshot.episode_id, scene.registry.best.eval_metrics.primary_score) == (7, 30.0)
    num_changes = scene.provenance.num_changes
    assert scene.incumbent.bring_back()
    assert scene.agent.weight == 3.0
    assert scene.agent.get_hyperparams().params == {"x": 1.0}
    assert scene.provenance.behind_weights.params == {"x": 0.5}, "what had made the champion's weights"
    assert scene.provenance.num_changes == num_changes + 1
    assert scene.recorder.arguments("on_hyperparam_update") == [({"x": 2.0}, {"x": 1.0})]


def test_it_may_go_on_with_other_hyperparameters(scene):
    scene.crown()
    scene.incumbent.bring_back(go_on_with=HyperparamSet({"x": 0.1}, 0))
    assert scene.agent.get_hyperparams().params == {"x": 0.1}
    assert scene.provenance.behind_weights.params == {"x": 0.5}
    assert scene.recorder.arguments("on_hyperparam_update") == [({"x": 2.0}, {"x": 0.1})]


def test_it_acts_for_a_while_whatever_happens(scene):
    scene.crown()
    num_changes = scene.provenance.num_changes

    def act_and_fail():
        with scene.incumbent.acting():
            seen.append(scene.agent.weight)
            raise RuntimeError("in the middle")

    seen = []
    with pytest.raises(RuntimeError, match="in the middle"):
        act_and_fail()
    assert seen == [3.0]
    assert scene.agent.weight == 5.0
    assert scene.agent.get_hyperparams().params == {"x": 2.0}
    assert scene.provenance.num_changes == num_changes
    assert scene.recorder.events == []


def test_a_snapshot_on_disk_may_become_the_champion_and_the_agent_stays(scene):
    first = scene.crown().snapshot
    second = scene.incumbent.take_the_place(EvalMetrics(50.0, {}, 9))
    scene.incumbent.adopt(first.snapshot_id)
    assert scene.incumbent.snapshot.snapshot_id == first.snapshot_id != second.snapshot_id
    assert scene.registry.best.snapshot_id == first.snapshot_id
    assert scene.agent.weight == 5.0
    scene.incumbent.bring_back()
    assert scene.agent.weight == 3.0
    assert scene.provenance.behind_weights.params == {"x": 1.0}, "nobody had told what made them"


def test_what_a_snapshot_says_made_it_did(scene):
    told = EvalMetrics(30.0, {}, 7, hyperparams=HyperparamSet({"x": 0.3}, 0))
    snapshot = scene.incumbent.take_the_place(told)
    scene.incumbent.adopt(snapshot.snapshot_id)
    scene.incumbent.bring_back()
    assert scene.provenance.behind_weights.params == {"x": 0.3}


def test_it_knows_itself_by_its_state(scene):
    first = scene.crown().snapshot
    knows = not isinstance(scene.agent, Elsewhere)
    assert scene.incumbent.is_same_as(first.snapshot_id) is knows
    second = scene.incumbent.take_the_place(EvalMetrics(50.0, {}, 9))
    assert scene.incumbent.is_same_as(second.snapshot_id) is knows
    assert not scene.incumbent.is_same_as(first.snapshot_id)


def test_a_champion_goes_on_in_another_process(scene, tmp_path):
    scene.crown()
    scene.incumbent.track_record.extend(TrackRecord([PlayedSet(4, np.array([1.0, 2.0]))]))
    saved = json.loads(json.dumps(scene.incumbent.state_dict()))
    state = scene.incumbent.state
    scene.registry.close()
    other = Scene(tmp_path, type(scene.agent))
    other.incumbent.load_state_dict(saved, state)
    assert other.incumbent.snapshot.snapshot_id == scene.snapshot.snapshot_id
    assert other.incumbent.snapshot.eval_metrics.primary_score == 30.0
    assert list(other.incumbent.track_record.rounds()) == [(4, 2)]
    other.incumbent.bring_back()
    assert other.agent.weight == 3.0
    assert other.provenance.behind_weights.params == {"x": 0.5}
