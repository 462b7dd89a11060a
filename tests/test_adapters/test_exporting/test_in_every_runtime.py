"""All formats, by their own runtimes, where these are installed: in an environment of the extra."""

import subprocess
from pathlib import Path

import pytest
from extra_venvs import python_with

ROOT = Path(__file__).parents[3]
TESTS = ("tests/test_adapters/test_exporting", "tests/test_deploy_doc.py", "tests/test_examples/test_deploy.py")


@pytest.mark.extras
@pytest.mark.timeout(1_800)
def test_each_runtime_acts_as_the_agent_does():
    options = ("-q", "-m", "not extras", "-k", "onnx or tflite or every_block", "-p", "no:cacheprovider")
    command = [python_with("export"), "-m", "pytest", *options, *TESTS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-5_000:]
    assert "skipped" not in done.stdout.splitlines()[-1]
