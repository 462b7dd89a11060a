"""What C++ writes while TensorFlow loads is kept back, unless loading fails."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from tensor_optix.cli.quiet import load_tensorflow


def stand_in(monkeypatch: pytest.MonkeyPatch, says: bytes, error: Exception | None = None) -> None:
    """Put a module in TensorFlow's place that writes as C++ does, and may fail."""

    def list_logical_devices() -> None:
        os.write(2, says)
        if error is not None:
            raise error

    module = ModuleType("tensorflow")
    module.config = SimpleNamespace(list_logical_devices=list_logical_devices)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tensorflow", module)


def test_what_is_written_meanwhile_is_kept_back(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    stand_in(monkeypatch, b"greeting\n")
    load_tensorflow()
    os.write(2, b"word\n")
    assert capfd.readouterr().err == "word\n"


def test_a_failure_shows_what_was_kept_back(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    stand_in(monkeypatch, b"the reason\n", ImportError("broken"))
    with pytest.raises(ImportError, match="broken"):
        load_tensorflow()
    assert capfd.readouterr().err == "the reason\n"


def test_loading_leaves_an_own_log_level_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    load_tensorflow()
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0"


def test_nothing_is_imported_or_collected_in_vain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Matplotlib can be imported afterwards, and what was imported before stays."""
    seen: list[tuple[bool, bool]] = []
    module = ModuleType("tensorflow")

    def list_logical_devices() -> None:
        seen.append((gc.isenabled(), sys.modules.get("matplotlib", "absent") is None))

    module.config = SimpleNamespace(list_logical_devices=list_logical_devices)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tensorflow", module)
    monkeypatch.setitem(sys.modules, "matplotlib", module)
    load_tensorflow()
    assert sys.modules["matplotlib"] is module
    monkeypatch.delitem(sys.modules, "matplotlib")
    load_tensorflow()
    assert "matplotlib" not in sys.modules
    assert seen == [(False, False), (False, True)]
    assert gc.isenabled()


def test_what_an_import_made_is_not_looked_through_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "tensorflow.py").write_text("class config:\n    list_logical_devices = staticmethod(lambda: None)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, "tensorflow", sys)  # it is put back whatever becomes of it
    del sys.modules["tensorflow"]
    try:
        load_tensorflow()
        assert gc.get_freeze_count() > 1_000
        frozen = gc.get_freeze_count()
        load_tensorflow()
        assert gc.get_freeze_count() == frozen
    finally:
        gc.unfreeze()
