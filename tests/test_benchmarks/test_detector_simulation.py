"""The script behind the detectors' figures still runs."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "detector_simulation.py"


@pytest.mark.parametrize("section", ["rising_series", "constant_series", "capped_series", "collapses"])
def test_sections_print_their_figures(section: str, capsys: pytest.CaptureFixture[str]) -> None:
    spec = importlib.util.spec_from_file_location("detector_simulation", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    getattr(script, section)(np.random.default_rng(0), 3)
    printed = capsys.readouterr().out
    assert "%" in printed
    assert "nan" not in printed
