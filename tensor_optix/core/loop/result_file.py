"""``result.json``: what a run came to, for whoever looks into its folder later."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tensor_optix.core.budget import Budget
from tensor_optix.core.run_result import REASONS, RunResult
from tensor_optix.core.storage.atomic_files import regular_file
from tensor_optix.core.storage.checkpoint_slots import CheckpointSlots
from tensor_optix.core.storage.exact_json import from_exact, to_exact
from tensor_optix.core.storage.json_files import field, number_field, read_sealed_json, to_jsonable, write_sealed_json
from tensor_optix.core.types import EvaluationResult, LoopState
from tensor_optix.exceptions import CheckpointError

logger = logging.getLogger(__name__)

RESULT_FILE = "result.json"
ENVIRONMENT_FILE = "environment.json"
_REPORT_PREFIX = "report-"

_FORMAT = "tensor-optix result"
_ENVIRONMENT_FORMAT = "tensor-optix environment"
_VERSION = 1


@dataclass(frozen=True)
class Outcome:
    """A run's result as its folder has it, and what decides whether the run can be gone on with.

    Attributes:
        result: Without champion and history, which have files of their own.
        champion_id: Snapshot of the champion; None where there is none.
        run_number: How often ``run()`` had begun anew in the folder.
        budget: What the run was allowed.
        used: What it took of that.
    """

    result: RunResult
    champion_id: str | None
    run_number: int
    budget: Budget
    used: Budget

    @property
    def ended_by_itself(self) -> bool:
        """Whether no budget, nobody and no error ended the run."""
        return self.result.reason in ("trained", "stalled", "target")

    def leaves_room_for(self, budget: Budget) -> bool:
        """Tell whether a run with this budget would have gone on."""
        if self.ended_by_itself:
            return False
        return self.result.reason != "budget" or budget.allows_more_than(self.budget, self.used)


def write_outcome(root: Path, outcome: Outcome) -> None:
    """Write a run's result, replacing an earlier one whole.

    The report's episodes, the only long part, go to a file beside it, named for its content.

    Raises:
        CheckpointError: They cannot be written; the earlier ones are still there.
    """
    result, report = outcome.result, outcome.result.report
    champion = result.champion
    document: dict[str, Any] = {
        "format": _FORMAT,
        "version": _VERSION,
        "reason": result.reason,
        "explanation": result.explanation,
        "state": result.state.value,
        "champion": None if champion is None else {
            "snapshot_id": champion.snapshot_id,
            "primary_score": champion.eval_metrics.primary_score,
            "episode_id": champion.episode_id,
        },
        "report": None,
        "env_steps": dict(result.env_steps),
        "windows": result.windows,
        "seconds": result.seconds,
        "notes": list(result.notes),
        "is_interrupted": result.is_interrupted,
        "training_mean": result.training_mean,
        "run_number": outcome.run_number,
        "budget": asdict(outcome.budget),
        "used": asdict(outcome.used),
    }  # fmt: skip
    if report is not None:
        episodes: dict[str, Any] = {"returns": report.returns.tolist(), "lengths": report.lengths.tolist()}
        if report.against is not None:
            episodes["against"] = _against(report.against)
        name = _REPORT_PREFIX + hashlib.sha256(json.dumps(episodes).encode()).hexdigest()[:16] + ".json"
        write_sealed_json(root / name, episodes)
        low, high = report.interval
        document["report"] = {
            "mean": report.mean,
            "interval": {"low": low, "high": high},
            "std": float(np.std(report.returns)),
            "num_episodes": report.num_episodes,
            "env_steps": report.env_steps,
            "num_cut": report.num_cut,
            "episodes": name,
        }
    write_sealed_json(root / RESULT_FILE, to_jsonable(document))
    _remove_other_reports(root, None if report is None else document["report"]["episodes"])


def write_environment_state(root: Path, state: Mapping[str, Any]) -> None:
    """Write what the environment's wrappers had gathered at the end of a run; nothing where they gathered nothing.

    Raises:
        CheckpointError: It cannot be written.
    """
    if state:
        write_sealed_json(
            root / ENVIRONMENT_FILE, {"format": _ENVIRONMENT_FORMAT, "env": to_exact(state, "the wrappers")}
        )


def read_environment_state(root: Path) -> dict[str, Any]:
    """Return what a run's wrappers had gathered: at its end or, where it was cut short, at its last checkpoint.

    Raises:
        CheckpointError: What is there is damaged.
    """
    if (root / ENVIRONMENT_FILE).exists():
        path = regular_file(root, ENVIRONMENT_FILE)
        document = read_sealed_json(path)
        if document.get("format") != _ENVIRONMENT_FORMAT:
            raise CheckpointError(
                f"{path} is no state of an environment: its format is {document.get('format')!r:.80}."
            )
        return _layers(from_exact(field(document, "env", dict, path)), path)
    newest = CheckpointSlots(root).newest_document() or {}
    pipeline = newest.get("parts", {}).get("pipeline", {}).get("state", {})
    return _layers(pipeline.get("env", {}), root)


def _layers(state: Any, path: Path) -> dict[str, Any]:
    is_whole = isinstance(state, dict) and all(isinstance(one, dict) and "class" in one for one in state.values())
    if not is_whole:
        raise CheckpointError(f"{path} holds no state of an environment.")
    return dict(state)


def read_outcome(root: Path) -> Outcome | None:
    """Return what ``write_outcome`` wrote; None where there is nothing, or nothing that is whole."""
    path = root / RESULT_FILE
    if not path.exists() and not path.is_symlink():
        return None
    try:
        return _decode(root, read_sealed_json(regular_file(root, RESULT_FILE)))
    except (CheckpointError, ValueError, TypeError) as error:
        logger.warning("The result in %s cannot be read and is not used: %s", root, error)
        return None


def _decode(root: Path, document: dict[str, Any]) -> Outcome:
    path = root / RESULT_FILE
    if (
        document.get("format") != _FORMAT
        or document.get("version") != _VERSION
        or document.get("reason") not in REASONS
    ):
        raise CheckpointError(f"{path} is no result of this version.")
    champion = field(document, "champion", (dict, type(None)), path)
    env_steps = field(document, "env_steps", dict, path)
    result = RunResult(
        reason=document["reason"],
        explanation=field(document, "explanation", str, path),
        state=LoopState(document.get("state")),
        champion=None,
        report=_read_report(root, field(document, "report", (dict, type(None)), path)),
        env_steps={use: field(env_steps, use, int, path) for use in env_steps},
        windows=field(document, "windows", int, path),
        seconds=number_field(document, "seconds", path),
        run_dir=str(root),
        history={},
        notes=tuple(str(note) for note in field(document, "notes", list, path)),
        is_interrupted=document.get("is_interrupted") is True,
        training_mean=None if document.get("training_mean") is None else number_field(document, "training_mean", path),
    )
    return Outcome(
        result,
        None if champion is None else field(champion, "snapshot_id", str, path),
        field(document, "run_number", int, path),
        _budget(field(document, "budget", dict, path), path),
        _budget(field(document, "used", dict, path), path),
    )


def _read_report(root: Path, plain: dict[str, Any] | None) -> EvaluationResult | None:
    if plain is None:
        return None
    path = root / RESULT_FILE
    name = field(plain, "episodes", str, path)
    episodes = read_sealed_json(regular_file(root, name))
    report = _evaluation(plain, episodes, path, name)
    if report.num_episodes != field(plain, "num_episodes", int, path):
        raise CheckpointError(f"{root / name} holds other episodes than {path} speaks of.")
    if "against" not in episodes:
        return report
    theirs = field(episodes, "against", dict, name)
    return replace(report, against=_evaluation(theirs, theirs, name, name))


def _evaluation(plain: dict[str, Any], episodes: dict[str, Any], path: Any, name: str) -> EvaluationResult:
    returns, lengths = (np.asarray(field(episodes, key, list, name)) for key in ("returns", "lengths"))
    if returns.ndim != 1 or returns.shape != lengths.shape:
        raise CheckpointError(f"{name} holds other episodes than {path} speaks of.")
    interval = field(plain, "interval", dict, path)
    low, high = (
        default if interval.get(end) is None else number_field(interval, end, path)
        for end, default in (("low", -np.inf), ("high", np.inf))
    )
    return EvaluationResult(
        number_field(plain, "mean", path),
        (low, high),
        returns.astype(np.float64),
        lengths.astype(np.int64),
        field(plain, "env_steps", int, path),
        field(plain, "num_cut", int, path) if "num_cut" in plain else 0,
    )


def _against(played: EvaluationResult) -> dict[str, Any]:
    """Return what the baseline came to in the report's episodes."""
    numbers = {"mean": played.mean, "env_steps": played.env_steps, "num_cut": played.num_cut}
    low, high = to_jsonable(list(played.interval))
    return {
        **numbers,
        "interval": {"low": low, "high": high},
        "returns": played.returns.tolist(),
        "lengths": played.lengths.tolist(),
    }


def _budget(plain: Mapping[str, Any], path: Path) -> Budget:
    limits = {key: plain.get(key) for key in ("max_windows", "max_env_steps")}
    if any(limit is not None and not isinstance(limit, int) for limit in limits.values()):
        raise CheckpointError(f"{path}: a budget is {dict(plain)!r:.200}, which it cannot be.")
    return Budget(**limits)


def _remove_other_reports(root: Path, kept: str | None) -> None:
    for path in root.glob(f"{_REPORT_PREFIX}*.json"):
        if path.name != kept:
            try:
                path.unlink()
            except OSError as error:
                logger.warning("%s, of an earlier result, could not be removed: %s", path, error)
