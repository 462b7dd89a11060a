"""What `doctor` looks at, and from when on it says something."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path
from types import ModuleType

import pytest

from tensor_optix.cli import health
from tensor_optix.cli.health import (
    extras,
    missing_packages,
    slow_disk,
    slow_import,
    slow_interpreter,
    slow_processors,
    slow_threads,
    sync_seconds,
)


def test_little_is_nothing_and_much_is_told() -> None:
    assert [slow_import(1.0), slow_processors(1.9, 2), slow_threads(None), slow_threads("1"), slow_disk(0.001)] == [
        []
    ] * 5
    assert "9 seconds" in slow_import(9.0)[0]
    assert "want 3.0 processors of 2" in slow_processors(3.0, 2)[0]
    assert "faster with 1" in slow_threads("8")[0]
    assert "100 ms" in slow_disk(0.1)[0]
    assert "nothing can be written here" in slow_disk(None)[0]


def test_a_disk_is_timed(tmp_path: Path) -> None:
    assert 0 < (sync_seconds(tmp_path) or 0) < 60
    assert sync_seconds(tmp_path / "nowhere") is None


def test_a_watched_interpreter_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "gettrace", lambda: print)
    assert "watches every line" in slow_interpreter()[0]


WANTED = {
    "ours": [
        "numpy>=1",
        'numpy>=1; extra == "there"',
        'no-such-package>=2; extra == "absent"',
        'numpy>=999; extra == "absent"',
        'numpy; python_version < "3" and extra == "absent"',
        'inner[more]; extra == "nested"',
        "not a requirement !!",
    ],
    "inner": ['also-missing; extra == "more"', "numpy"],
}


def test_extras_are_told_by_what_they_lack(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"numpy": "2.0", "inner": "1.0"}

    def version(name: str) -> str:
        if name not in versions:
            raise metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(health.metadata, "requires", lambda name: WANTED[name])
    monkeypatch.setattr(health.metadata, "version", version)
    assert missing_packages("ours", "there") == []
    assert missing_packages("ours", "absent") == ["no-such-package>=2", "numpy>=999"]
    assert missing_packages("ours", "nested") == ["also-missing"]


def test_a_package_that_is_not_installed_has_no_extras() -> None:
    assert extras("no-such-package-anywhere") == {}


@pytest.mark.parametrize("backend", ["jax", None])
def test_another_backend_or_no_tensorflow_is_a_problem(monkeypatch: pytest.MonkeyPatch, backend: str | None) -> None:
    def load() -> None:
        if backend is None:
            raise ImportError("broken")

    module = ModuleType("keras")
    module.config = ModuleType("config")  # type: ignore[attr-defined]
    module.config.backend = lambda: backend
    monkeypatch.setattr(health, "load_tensorflow", load)
    monkeypatch.setitem(sys.modules, "keras", module)
    _, _, problems = health._tensorflow()
    assert ("set KERAS_BACKEND=tensorflow" if backend else "cannot be loaded: ImportError: broken") in problems[0]
