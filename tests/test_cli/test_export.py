"""`tensor-optix export`: a run's champion for another runtime."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import pytest
from command_line import RUN, SMALL, assert_fails, invoke

from tensor_optix import load_agent
from tensor_optix.adapters.tensorflow.exporting.formats import FORMATS
from tensor_optix.cli.export import SUFFIXES


@pytest.fixture(autouse=True)
def in_a_new_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_champion_is_written_and_acts_as_it_did() -> None:
    invoke("train", "CartPole-v1", *SMALL)
    done = invoke("export", RUN, "--format", "Keras")
    assert done.exit_code == 0, done.output
    assert "held against the agent on 1,000 observations" in done.output
    assert f"tensor-optix evaluate {RUN}" in done.output
    observations = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    read = keras.models.load_model(Path(RUN, "exports", "policy.keras"))
    agent = load_agent(RUN)
    assert read.predict(observations, verbose=0).tolist() == [agent.act_greedy(x) for x in observations]

    told = invoke("export", RUN, "-f", "saved_model", "--drawn", "-o", "there/policy", "--json")
    document = json.loads(told.stdout)
    assert document["path"] == "there/policy"
    assert document["largest_difference"] < 1e-4
    assert Path("there", "policy", "saved_model.pb").exists()


def test_what_is_wrong_is_named() -> None:
    invoke("train", "CartPole-v1", *SMALL)
    assert_fails(invoke("export", RUN, "--format", "onxx"), 2, "Did you mean 'onnx'")
    assert_fails(invoke("export", RUN, "--format", "keras", "-o", "policy.h5"), 2, "must end in '.keras'")
    assert_fails(invoke("export", "nowhere"), 1, "nowhere")
    Path(RUN, "exports").symlink_to(Path.cwd().parent)
    assert_fails(invoke("export", RUN, "--format", "keras"), 1, "link that leads outside")


def test_its_formats_are_those_that_there_are() -> None:
    assert {name: kind.suffix for name, kind in FORMATS.items()} == SUFFIXES
