"""Which hyperparameters made which weights, and who is told of others."""

import math

import numpy as np
import pytest

from tensor_optix.core.callbacks import CallbackList
from tensor_optix.core.judgement.provenance import Provenance, differ
from tensor_optix.core.types import EvalMetrics, HyperparamSet
from tensor_optix.testing.fakes import RecordingCallback, SixMethodAgent


def provenance_of(params):
    agent, recorder = SixMethodAgent(params), RecordingCallback()
    return Provenance(agent, CallbackList([recorder])), agent, recorder


def test_a_score_is_stamped_with_what_made_its_weights_not_with_what_is_set_now():
    provenance, agent, _ = provenance_of({"rate": 0.1})
    provenance.note()
    agent.set_hyperparams(HyperparamSet({"rate": 0.2}, 0))
    stamped = provenance.stamp(EvalMetrics(np.float32(0.1), {"loss": 1.0}, 7), 140)
    assert stamped.hyperparams.params == {"rate": 0.1}
    assert (stamped.env_steps, stamped.episode_id, stamped.metrics) == (140, 7, {"loss": 1.0})
    assert type(stamped.primary_score) is float
    provenance.note()
    assert provenance.stamp(stamped, 150).hyperparams.params == {"rate": 0.2}


def test_what_made_the_weights_may_be_told():
    provenance, _, _ = provenance_of({"rate": 0.1})
    provenance.note(HyperparamSet({"rate": 0.9}, 0))
    assert provenance.behind_weights.params == {"rate": 0.9}
    assert provenance.num_changes == 1


@pytest.mark.parametrize(
    ("before", "now", "is_told"),
    [
        ({"rate": 0.1}, {"rate": 0.1}, False),
        ({"rate": 0.1}, {"rate": 0.2}, True),
        ({"rate": 0.1}, {"rate": 0.1, "gamma": 0.9}, True),
        ({"rates": np.ones(2)}, {"rates": np.ones(2)}, False),
        ({"rates": np.ones(2)}, {"rates": np.array([1.0, 2.0])}, True),
        ({"rates": np.ones(2)}, {"rates": 1.0}, True),
    ],
)
def test_only_values_that_changed_are_announced(before, now, is_told):
    provenance, _, recorder = provenance_of(now)
    provenance.announce(HyperparamSet(before, 0))
    assert [len(arguments) for arguments in recorder.arguments("on_hyperparam_update")] == [2] * is_told


def test_what_is_the_same_object_is_the_same():
    nothing = math.nan
    assert not differ(HyperparamSet({"rate": nothing}, 0), HyperparamSet({"rate": nothing}, 1))


def test_what_made_the_weights_is_known_after_a_resume():
    provenance, _, _ = provenance_of({"rate": 0.1})
    other, _, _ = provenance_of({"rate": 0.5})
    other.load_state_dict(provenance.state_dict())
    assert other.behind_weights is None
    provenance.note()
    other.load_state_dict(provenance.state_dict())
    assert other.behind_weights.params == {"rate": 0.1}
