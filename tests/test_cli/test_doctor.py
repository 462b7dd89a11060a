"""`tensor-optix doctor`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import invoke, said

from tensor_optix.cli import health as module

HEALTH: dict[str, Any] = {
    "versions": {"python": "3.11.7", "tensorflow": "2.21.0", "keras": None},
    "machine": "Linux x86_64",
    "processor": "",
    "num_cpus": 2,
    "threads": {},
    "backend": "tensorflow",
    "devices": ["CPU:0"],
    "compile_cache": {"folder": "/cache", "programs": 3, "bytes": 2_000_000, "unusable": None},
    "extras": {"plots": [], "video": ["moviepy>=2.1"]},
    "slow": ["the disk"],
    "problems": [],
}


def test_what_was_found_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "examined", lambda: HEALTH)
    done = invoke("doctor")
    assert done.exit_code == 0, done.output
    for part in ("python 3.11.7", "keras missing", "2 processors: unknown", "Backend tensorflow", "Devices CPU:0"):
        assert part in said(done)
    for part in ("3 programs, 2,000,000 bytes", "Extras plots", "Not installed video (moviepy>=2.1)", "Slow: the disk"):
        assert part in said(done)
    assert "Next: tensor-optix train CartPole-v1" in said(done)
    assert {name: json.loads(invoke("doctor", "--json").stdout)[name] for name in HEALTH} == HEALTH


def test_what_keeps_runs_from_working_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "examined", lambda: {**HEALTH, "problems": ["Keras runs on 'jax'"]})
    done = invoke("doctor")
    assert done.exit_code == 1
    assert "Problem: Keras runs on 'jax'" in done.output


def test_here_all_is_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    document = json.loads(invoke("doctor", "--json").stdout)
    assert document["problems"] == []
    assert document["backend"] == "tensorflow"
    assert document["devices"]
    assert document["compile_cache"]["unusable"] is None
