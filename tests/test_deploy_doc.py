"""What docs/deploy.md shows runs as it stands, one block after the other, with a smaller budget."""

import importlib.util
import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parent.parent / "docs" / "deploy.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.S)
EXTRA = ("onnxruntime", "tf2onnx", "ai_edge_litert")


def run_blocks(folder, monkeypatch, is_run):
    monkeypatch.chdir(folder)
    namespace = {}
    for block in BLOCKS:
        shorter = block.replace("max_env_steps=50_000", "max_env_steps=4_100, report_episodes=2")
        if is_run(block):
            exec(shorter, namespace)


def test_every_block_runs_that_takes_no_extra(tmp_path, monkeypatch, capsys):
    run_blocks(tmp_path, monkeypatch, lambda block: not any(name in block for name in EXTRA))
    said = capsys.readouterr().out
    assert re.search(r"^policy: saved_model, held against the agent on 1,000 observations: .*\.$", said, re.MULTILINE)
    assert "policy.keras: keras, held" in said


@pytest.mark.slow
@pytest.mark.skipif(not all(map(importlib.util.find_spec, EXTRA)), reason=f"needs {', '.join(EXTRA)}")
def test_every_block_runs(tmp_path, monkeypatch):
    run_blocks(tmp_path, monkeypatch, lambda block: True)


def test_the_pages_table_names_the_formats_that_there_are():
    from tensor_optix.adapters.tensorflow.exporting.formats import FORMATS

    assert re.findall(r'^\| `"(\w+)"` \|', PAGE, re.MULTILINE) == ["saved_model", "keras", "onnx", "tflite"]
    assert set(FORMATS) == {"saved_model", "keras", "onnx", "tflite"}
