"""Environments of their own for tests that need optional packages: beside the checkout, made once."""

import hashlib
import json
import os
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import filelock
import pytest

ROOT = Path(__file__).parent.parent.parent
OF_TESTS = {
    "rliable": ["rliable==1.2.0", "pandas<3"],
    "sb3": ["stable-baselines3>=2.3", "pandas"],
    "notebook": ["ipykernel>=6", "nbclient>=0.10"],
    "packaging": ["build>=1.2", "hatchling>=1.25"],
    "docs": ["--requirement", str(ROOT / "requirements-docs.txt")],
}
"""What tests alone need; all else is an extra of pyproject.toml."""


def run_with(extra, script, *arguments, cwd=None, env=(), timeout=280):
    """Run a script with an extra installed and return what it printed; skip the test where that cannot be installed."""
    paths = [str(ROOT), str(ROOT / "tests" / "helpers"), str(ROOT / "benchmarks")]
    done = subprocess.run(
        [python_with(extra), "-c", script, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "TF_CPP_MIN_LOG_LEVEL": "3", **dict(env)},
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
    return done.stdout


def python_with(extra):
    """Return an interpreter that has the packages of this environment and those of an extra."""
    needed = OF_TESTS.get(extra) or _extras()[extra]
    folder = ROOT / ".venv-extras" / extra
    folder.parent.mkdir(exist_ok=True)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    done, asked_for = folder / "done", hashlib.sha256(json.dumps(needed).encode()).hexdigest()
    with filelock.FileLock(f"{folder}.lock"):
        if not (done.exists() and done.read_text() == asked_for):
            venv.create(folder, clear=True)
            (site,) = folder.glob("lib/python*/site-packages")
            (site / "zz_of_the_tests.pth").write_text("\n".join(path for path in sys.path if "site-packages" in path))
            _install(python, needed)
            done.write_text(asked_for)
    return str(python)


def _install(python, needed):
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(python), "install", "--quiet"]
    installed = subprocess.run([*pip, *needed], capture_output=True, text=True)
    if installed.returncode:
        pytest.skip(f"{', '.join(needed)} cannot be installed: {installed.stderr.strip().splitlines()[-1]}")


def _extras():
    with (ROOT / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)["project"]["optional-dependencies"]
