"""What earlier calls of run() came to, and the bar that they set."""

import numpy as np
import pytest
from storage_fakes import StateAgent, save_all

from tensor_optix.core.budget import Budget, Ledger
from tensor_optix.core.checkpoint_registry import CheckpointRegistry
from tensor_optix.core.judgement.champion import Incumbent
from tensor_optix.core.loop.outcomes import Bar, Outcomes
from tensor_optix.core.loop.recorder import Recorder
from tensor_optix.core.run_result import RunResult
from tensor_optix.core.storage.run_folder import RunFolder
from tensor_optix.core.types import EvalMetrics, EvaluationResult, HyperparamSet, LoopState, PolicySnapshot
from tensor_optix.testing.fakes import ScriptedPipeline

HIGH, LOW = np.linspace(90.0, 110.0, 20), np.linspace(40.0, 60.0, 20)


def report_of(returns):
    returns = np.asarray(returns, np.float64)
    return EvaluationResult(float(returns.mean()), (0.0, 200.0), returns, np.ones(len(returns), np.int64), len(returns))


def bar_of(returns, window=10):
    snapshot = PolicySnapshot("000003", EvalMetrics(1.0, {}, window), HyperparamSet({}, 0), "weights", window)
    return Bar(snapshot, None if returns is None else report_of(returns))


class TestTheBar:
    @pytest.mark.parametrize(
        ("then", "now", "is_settled", "stays"),
        [
            (HIGH, LOW, True, True),
            (HIGH, LOW, False, True),
            (LOW, HIGH, True, False),
            (LOW, HIGH, False, False),
            (HIGH, HIGH + 1.0, True, False),
            (HIGH, HIGH - 1.0, True, False),  # worse, but not beyond chance: a run that went to its end has the say
            (HIGH, HIGH + 1.0, False, True),  # better, but not beyond chance: one that was cut short has not
            (HIGH, LOW[:4], True, False),  # too few to tell
            (HIGH[:4], LOW, False, True),
        ],
    )
    def test_reports_are_held_against_each_other(self, then, now, is_settled, stays):
        assert bar_of(then).stays(report_of(now), is_settled=is_settled, num_windows=100) is stays

    @pytest.mark.parametrize(("num_windows", "stays"), [(10, True), (11, False)])
    def test_without_a_report_the_run_must_have_passed_its_window(self, num_windows, stays):
        assert bar_of(None).stays(report_of(HIGH), is_settled=True, num_windows=num_windows) is stays
        assert bar_of(HIGH).stays(None, is_settled=True, num_windows=num_windows) is stays

    def test_a_run_that_was_cut_short_and_played_nothing_never_takes_its_place(self):
        assert bar_of(HIGH).stays(None, is_settled=False, num_windows=100)


def result_of(reason, champion=None, report=None):
    return RunResult(
        reason=reason,
        explanation="because",
        state=LoopState.ACTIVE,
        champion=champion,
        report=report,
        env_steps={"training": 40, "evaluation": 0, "diagnosis": 0, "report": 0},
        windows=4,
        seconds=1.0,
        run_dir=None,
        history={},
    )


class Folder:
    """A run folder with three snapshots, the second of which is the best."""

    def __init__(self, path):
        self.folder = RunFolder.create(path)
        self.registry = CheckpointRegistry(str(self.folder.path))
        save_all(self.registry, [1.0, 3.0, 2.0])
        self.outcomes = Outcomes(self.registry, Recorder(self.folder))

    def keep(self, reason, budget=4, report=None):
        ledger = Ledger(budget, None)
        for _ in range(4):
            ledger.count_window(10)
        self.outcomes.begin_anew()
        self.outcomes.keep(result_of(reason, self.registry.best, report), ledger, ScriptedPipeline([]))


@pytest.fixture
def run(tmp_path):
    run = Folder(tmp_path)
    with run.folder:
        yield run
    run.registry.close()


class TestFinished:
    def test_without_a_result_there_is_nothing_to_hand_back(self, run):
        assert run.outcomes.finished(Budget(4, None), None) is None

    @pytest.mark.parametrize(
        ("reason", "budget", "is_finished"),
        [
            ("budget", 4, True),
            ("budget", 5, False),
            ("budget", None, False),
            ("trained", 100, True),
            ("target", None, True),
            ("stopped", 4, False),
            ("error", 4, False),
        ],
    )
    def test_a_result_that_the_budget_would_not_change_is(self, run, reason, budget, is_finished):
        run.keep(reason)
        assert (run.outcomes.finished(Budget(budget, None), {"run_number": 1}) is not None) is is_finished

    def test_the_result_of_another_call_than_the_newest_checkpoint_is_none(self, run):
        run.keep("trained")
        assert run.outcomes.finished(Budget(4, None), {"run_number": 2}) is None
        assert run.outcomes.finished(Budget(4, None), None) is not None


def test_a_finished_run_is_handed_back_with_its_champion_which_is_the_next_ones_bar(run):
    report = report_of(HIGH)
    run.keep("trained", report=report)
    outcome = run.outcomes.finished(Budget(9, None), None)
    incumbent = Incumbent(StateAgent(), run.registry, None)
    result = run.outcomes.hand_back(outcome, incumbent)
    assert (result.reason, result.windows, result.champion.snapshot_id) == ("trained", 4, "000002")
    assert incumbent.snapshot.snapshot_id == "000002"
    assert run.outcomes.take_bar() is None, "not before another run begins"
    run.outcomes.begin_anew()
    bar = run.outcomes.take_bar()
    assert (run.outcomes.run_number, bar.snapshot.snapshot_id, bar.report.mean) == (2, "000002", report.mean)
    assert run.outcomes.take_bar() is None, "once"


def test_a_run_that_goes_on_from_before_its_best_has_that_for_a_bar(run, caplog):
    run.keep("stopped", report=report_of(HIGH))
    best, first = run.registry.best, run.registry.snapshots[0]
    run.outcomes.go_on_from(1, first, best)
    assert run.outcomes.take_bar().report.mean == report_of(HIGH).mean
    run.outcomes.go_on_from(1, best, best)
    assert run.outcomes.take_bar() is None
    assert "cut short" not in caplog.text


def test_a_run_without_a_result_was_cut_short_and_its_best_has_no_report(run, caplog):
    run.outcomes.go_on_from(3, None, run.registry.best)
    assert "holds no result: the run was cut short" in caplog.text
    assert (run.outcomes.run_number, run.outcomes.take_bar().report) == (3, None)


def test_without_a_folder_nothing_is_kept(tmp_path):
    outcomes = Outcomes(CheckpointRegistry(str(tmp_path)), Recorder(None))
    outcomes.keep(result_of("trained"), Ledger(4, None), ScriptedPipeline([]))
    assert outcomes.finished(Budget(4, None), None) is None
