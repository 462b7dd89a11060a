"""The result of a run, as what prints or draws it is given one."""

from __future__ import annotations

from typing import Any

import numpy as np

from tensor_optix.core.run_result import RunResult
from tensor_optix.core.types import EvalMetrics, EvaluationResult, HyperparamSet, LoopState, PolicySnapshot

REPORT = EvaluationResult(497.25, (493.5, 499.0), np.full(100, 497.25), np.full(100, 497), 49_725)
CHAMPION = PolicySnapshot("000007", EvalMetrics(441.5, {}, 88), HyperparamSet({}, 0), "runs/run-0001/weights", 88)


def result(**changes: Any) -> RunResult:
    """Return the result of a run that ended trained, with what is given in place of its own."""
    values: dict[str, Any] = {
        "reason": "trained",
        "explanation": "the loop went DORMANT",
        "state": LoopState.DORMANT,
        "champion": CHAMPION,
        "report": REPORT,
        "env_steps": {"training": 90_000, "evaluation": 8_000, "report": 49_725},
        "windows": 450,
        "seconds": 12.34,
        "run_dir": "runs/run-0001",
        "history": {},
    }
    return RunResult(**{**values, **changes})
