"""Scores and hyperparameters go to JSON and come back as they were; what is damaged is named."""

import dataclasses
import json
import math

import numpy as np
import pytest

from tensor_optix.core.storage.encoding import (
    decode_hyperparams,
    decode_metrics,
    encode_hyperparams,
    encode_metrics,
    field,
    number_field,
)
from tensor_optix.core.storage.exact_json import from_exact, to_exact
from tensor_optix.core.types import EvalMetrics, HyperparamSet
from tensor_optix.exceptions import CheckpointError

PARAMS = HyperparamSet({"lr": np.float32(0.1), "betas": (0.9, 0.99), "name": "run", "w": np.arange(3)}, 5, 7.25)


def through_json(plain):
    return from_exact(json.loads(json.dumps(to_exact(plain, "it"), allow_nan=False)))


@pytest.mark.parametrize("score", [1.5, -1e300, math.nan, np.float32(0.1)])
@pytest.mark.parametrize("hyperparams", [None, PARAMS])
def test_a_score_comes_back(score, hyperparams):
    metrics = EvalMetrics(score, {"loss": 0.5, "by_layer": [1, 2]}, 3, 12.5, hyperparams, np.int64(400), 7)
    back = decode_metrics(through_json(encode_metrics(metrics)))
    np.testing.assert_equal(float(back.primary_score), float(score))
    assert (back.metrics, back.episode_id, back.timestamp) == (metrics.metrics, 3, 12.5)
    assert (back.env_steps, back.num_episodes) == (400, 7)
    assert (back.hyperparams is None) == (hyperparams is None)


def test_a_score_that_a_file_knows_as_null_was_none():
    plain = {**encode_metrics(EvalMetrics(1.0, {}, 0)), "primary_score": None}
    assert math.isnan(decode_metrics(plain).primary_score)


def test_hyperparameters_come_back_in_their_types():
    back = decode_hyperparams(through_json(encode_hyperparams(PARAMS)))
    assert (back.episode_id, back.timestamp) == (5, 7.25)
    assert type(back.params["lr"]) is np.float32
    assert back.params["betas"] == (0.9, 0.99)
    np.testing.assert_array_equal(back.params["w"], np.arange(3))
    assert list(back.params) == list(PARAMS.params)


def test_what_no_file_gives_back_is_left_out_by_name():
    plain = encode_hyperparams(HyperparamSet({"lr": 0.1, "schedule": abs}, 0))
    assert plain["params"] == {"lr": 0.1}
    assert plain["left_out"] == ["schedule"]
    assert "left_out" not in encode_hyperparams(HyperparamSet({"lr": 0.1}, 0))


def test_what_was_encoded_is_independent():
    given = HyperparamSet({"units": [64, 64]}, 0)
    plain = encode_hyperparams(given)
    given.params["units"].append(1)
    assert plain["params"]["units"] == [64, 64]


@pytest.mark.parametrize("name", [f.name for f in dataclasses.fields(EvalMetrics) if f.name != "primary_score"])
def test_a_damaged_field_is_named_with_its_source(name):
    plain = {**encode_metrics(EvalMetrics(1.0, {}, 0)), name: ["damaged"]}
    with pytest.raises(CheckpointError, match=rf"here: `{name}` is \['damaged'\], which it cannot be"):
        decode_metrics(plain, "here")


def test_fields():
    document = {"count": 3, "flag": True, "huge": 10**400}
    assert field(document, "count", int, "here") == 3
    assert number_field(document, "count", "here") == 3.0
    with pytest.raises(CheckpointError, match="here: `flag` is True"):
        field(document, "flag", int, "here")
    with pytest.raises(CheckpointError, match="here: `gone` is None"):
        field(document, "gone", int, "here")
    with pytest.raises(CheckpointError, match="too large a number"):
        number_field(document, "huge", "here")
