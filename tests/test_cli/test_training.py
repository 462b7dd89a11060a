"""What `train` and `resume` do with a plan, and the last words of a run."""

from __future__ import annotations

import ast
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from results import result
from rich.console import Console

from tensor_optix.cli import training
from tensor_optix.cli.answer import Answer
from tensor_optix.cli.plan import TrainingPlan, read_plan
from tensor_optix.cli.training import loading_code, next_steps, result_document, run_training, summary

SMALL = {"hidden_units": (4,), "learning_rate": 1e-3}


def plan(folder: Path, **changes: object) -> TrainingPlan:
    given = {"num_envs": 1, "window_size": 50, "max_windows": 2, "overrides": SMALL, "checkpoint_dir": folder}
    return TrainingPlan("CartPole-v1", algorithm="policy_gradient", **{**given, **changes})  # type: ignore[arg-type]


def printed() -> tuple[Answer, io.StringIO]:
    answer, text = Answer(is_json=False), io.StringIO()
    answer.console = Console(file=text, width=120)
    return answer, text


@pytest.fixture
def assembled(monkeypatch: pytest.MonkeyPatch) -> Callable[[TrainingPlan], tuple[Any, Any, dict[str, Any]]]:
    """Return agent, pipeline and options that a plan comes to."""
    monkeypatch.setattr(training, "RLOptimizer", lambda agent, pipeline, **options: (agent, pipeline, options))
    return lambda plan: training.assemble(plan, [])  # type: ignore[return-value]


def test_a_plan_becomes_the_run_it_asks_for(tmp_path: Path, assembled: Any) -> None:
    asked_for = plan(tmp_path, seed=5, num_envs=3, window_size=20, rollback=True, target_score=9.0)
    agent, pipeline, options = assembled(asked_for)
    assert (pipeline.num_envs, pipeline.window_size, pipeline.env_id) == (3, 20, "CartPole-v1")
    assert agent.get_hyperparams().params["learning_rate"] == pytest.approx(1e-3)
    assert [layer.units for layer in agent.model.layers if hasattr(layer, "units")] == [4, 2]
    expected = {"seed": 5, "max_episodes": 2, "rollback_on_degradation": True, "target_score": 9.0}
    assert {name: options[name] for name in expected} == expected
    assert options["max_env_steps"] is None


def test_one_seed_reaches_the_first_weights(tmp_path: Path, assembled: Any) -> None:
    first, again, other = (
        assembled(plan(tmp_path, seed=seed))[0].model.get_weights()[0].tolist() for seed in (5, 5, 6)
    )
    assert first == again != other


def test_a_drawn_seed_is_kept_and_what_was_reached_is_printed(tmp_path: Path) -> None:
    answer, text = printed()
    result = run_training(plan(tmp_path), answer, quiet=True)
    kept = read_plan(tmp_path / "run-0001")
    assert result.windows == 2
    assert kept.seed is not None
    assert re.search(rf"^Seed +{kept.seed}$", text.getvalue(), re.MULTILINE)
    assert "Load the champion with:" in text.getvalue()
    assert "  window " not in text.getvalue()


def test_a_run_goes_on_and_its_new_budget_is_kept(tmp_path: Path) -> None:
    run_training(plan(tmp_path, seed=1), printed()[0], quiet=True)
    run = tmp_path / "run-0001"
    result = run_training(plan(tmp_path, seed=1, max_windows=3), printed()[0], quiet=True, resume=run)
    assert result.windows == 3
    assert read_plan(run).max_windows == 3


@pytest.mark.parametrize(("is_terminal", "quiet"), [(True, False), (True, True), (False, False)])
def test_a_terminal_shows_something_while_tensorflow_is_loaded(is_terminal: bool, quiet: bool) -> None:
    answer, text = printed()
    answer.console = Console(file=text, width=120, force_terminal=is_terminal)
    with answer.meanwhile("Loading TensorFlow", quiet=quiet):
        pass
    assert ("Loading TensorFlow" in text.getvalue()) == (is_terminal and not quiet)


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


class TestNextSteps:
    @pytest.mark.parametrize(
        ("reason", "explanation", "first"),
        [
            ("trained", "", "evaluate runs/run-0001"),
            ("target", "", "evaluate runs/run-0001"),
            ("stopped", "", "resume runs/run-0001"),
            ("error", "", "resume runs/run-0001"),
            ("stalled", "", "show runs/run-0001"),
            ("budget", "max_episodes=450 windows were used", "resume runs/run-0001 --max-windows 900"),
            ("budget", "max_env_steps=98000 were used", "resume runs/run-0001 --max-env-steps 196000"),
        ],
    )
    def test_they_go_on_from_how_it_ended(self, reason: str, explanation: str, first: str) -> None:
        ended = result(reason=reason, explanation=explanation)
        assert next_steps(Path("runs/run-0001"), ended)[0] == f"tensor-optix {first}"


def test_the_document_of_a_result_is_what_it_came_to() -> None:
    document = result_document(result())
    expected = {"reason": "trained", "confirmed_mean": 497.25, "confirmed_interval": (493.5, 499.0), "windows": 450}
    assert {name: document[name] for name in expected} == expected
