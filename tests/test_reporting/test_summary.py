"""The last words of a run."""

from __future__ import annotations

import ast
from typing import Any

import numpy as np

from tensor_optix.core.run_result import RunResult
from tensor_optix.core.types import EvalMetrics, EvaluationResult, HyperparamSet, LoopState, PolicySnapshot
from tensor_optix.reporting.summary import loading_code, summary

REPORT = EvaluationResult(497.25, (493.5, 499.0), np.full(100, 497.25), np.full(100, 497), 49_725)
CHAMPION = PolicySnapshot("000007", EvalMetrics(441.5, {}, 88), HyperparamSet({}, 0), "runs/run-0001/weights", 88)


def result(**changes: Any) -> RunResult:
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


class TestSummary:
    def test_it_says_what_was_reached_why_it_stopped_and_where_it_lies(self) -> None:
        assert summary(result(), seed=3).splitlines() == [
            "Reason       trained: the loop went DORMANT",
            "Reached      mean return 497.25 (95 % interval 493.50 to 499.00)",
            "Measured on  100 fresh greedy episodes of the champion",
            "Env steps    147,725 (90,000 training, 8,000 evaluation, 49,725 report)",
            "Windows      450 in 12.3 seconds",
            "Seed         3",
            "Champion     runs/run-0001/weights",
        ]

    def test_without_a_report_the_training_score_is_called_that(self) -> None:
        text = summary(result(report=None))
        assert "score 441.5 while training; no fresh episodes were played" in text
        assert "Measured on" not in text
        assert "Seed" not in text

    def test_without_a_champion_it_claims_nothing(self) -> None:
        text = summary(result(report=None, champion=None, reason="error", env_steps={}))
        assert "nothing: no window gave a score" in text
        assert "Run folder  runs/run-0001" in text
        assert "Env steps   0" in text


def test_the_code_that_loads_is_python_and_has_no_backslashes() -> None:
    code = loading_code("runs/run-0001", "CartPole-v1")
    ast.parse(code)
    assert 'load_agent("runs/run-0001")' in code
    assert 'evaluate(agent, "CartPole-v1")' in code
