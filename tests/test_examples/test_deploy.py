"""The example that plays a policy by other runtimes."""

import importlib.util
import runpy
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "deploy.py"
NEEDED = {"onnx": ("tf2onnx", "onnxruntime"), "tflite": ("ai_edge_litert",)}


def need(name):
    missing = not all(map(importlib.util.find_spec, NEEDED[name]))
    return pytest.param(name, marks=[pytest.mark.slow, pytest.mark.skipif(missing, reason=f"needs {NEEDED[name]}")])


@pytest.mark.parametrize(
    "name", ["saved_model", pytest.param("keras", marks=pytest.mark.slow), need("onnx"), need("tflite")]
)
def test_it_trains_exports_and_plays(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["deploy.py", "--format", name, "--max-env-steps", "4100"])
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    said = capsys.readouterr().out
    assert f"{name}, held against the agent" in said
    assert "Returns of five episodes: [" in said
