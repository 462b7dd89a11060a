"""What C++ writes while TensorFlow loads is kept back, unless loading fails."""

from __future__ import annotations

import os

import pytest

from tensor_optix.cli.quiet import _stderr_turned_away, load_tensorflow


def test_what_is_written_meanwhile_is_kept_back(capfd: pytest.CaptureFixture[str]) -> None:
    with _stderr_turned_away():
        os.write(2, b"greeting\n")
    os.write(2, b"word\n")
    assert capfd.readouterr().err == "word\n"


def test_a_failure_shows_what_was_kept_back(capfd: pytest.CaptureFixture[str]) -> None:
    def load() -> None:
        with _stderr_turned_away():
            os.write(2, b"the reason\n")
            raise ImportError("broken")

    with pytest.raises(ImportError, match="broken"):
        load()
    assert capfd.readouterr().err == "the reason\n"


def test_loading_leaves_an_own_log_level_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    load_tensorflow()
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0"
