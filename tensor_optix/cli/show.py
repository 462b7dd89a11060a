"""`tensor-optix show`."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tensor_optix.cli.answer import Answer, answering
from tensor_optix.cli.options import Json, RunDir

if TYPE_CHECKING:
    from tensor_optix.cli.run_facts import RunFacts

MOST_CHAMPIONS = 5


def show(run_dir: RunDir, as_json: Json = False) -> None:
    """Show one run: what it came to, what it was asked for, what its figures depend on."""
    with answering(as_json) as answer:
        from tensor_optix.cli.run_facts import RunFacts
        from tensor_optix.core.storage.run_folder import existing_run, was_started
        from tensor_optix.exceptions import CheckpointError

        if not was_started(existing_run(run_dir)):
            raise CheckpointError(
                f"{run_dir.as_posix()} is not the folder of a run: nothing was begun in it. "
                "tensor-optix list DIR shows the runs in a folder."
            )
        run = RunFacts.of(run_dir)
        answer.document |= _document(run)
        _say(answer, run)
        answer.suggest(*_next_steps(run))


def _document(run: RunFacts) -> dict[str, Any]:
    from tensor_optix.cli.settings.config import settings_of
    from tensor_optix.cli.training import result_document

    return {
        **run.summary(),
        "result": None if run.outcome is None else result_document(run.outcome.result),
        "settings": None if run.plan is None else settings_of(run.plan),
        "champions": run.champions,
        "last_window": dict(run.last_row),
        "description": dict(run.description),
    }


def _say(answer: Answer, run: RunFacts) -> None:
    from tensor_optix.cli.training import summary

    rows: dict[str, Any] = {"Run": run.run_dir.as_posix(), "Verdict": run.verdict}
    if run.outcome is not None:
        for line in summary(run.outcome.result).splitlines():
            name, _, value = line.partition("  ")
            rows[name] = value.strip()
    rows.pop("Run folder", None)
    if run.outcome is None:
        rows |= {"Env steps": f"{run.env_steps:,}"} if run.env_steps is not None else {}
        rows |= {"Score": run.last_row.get("score"), "State": run.last_row.get("state")}
    rows |= {"Environment": run.env, "Algorithm": run.algorithm, "Seed": run.seed, "Began (UTC)": run.started}
    rows["Champions"] = _champions(run)
    rows |= {"Settings": _settings(run), "Hyperparameters": _pairs(run.within("agent").get("hyperparams"))}
    rows["Versions"] = _pairs(run.within("versions"), " ")
    rows["Threads"] = _pairs(run.within("threads")) or "as many as there are"
    answer.say_rows({name: str(value) for name, value in rows.items() if value not in (None, "")})
    if run.outcome is not None:
        answer.say(*(f"Note: {note}" for note in run.outcome.result.notes))


def _champions(run: RunFacts) -> str:
    found = run.champions
    shown = [f"{score:,.4g} in window {window:,}" for score, window in found[-MOST_CHAMPIONS:]]
    earlier = f"{len(found) - len(shown)} earlier, " if len(found) > len(shown) else ""
    return earlier + ", ".join(shown)


def _settings(run: RunFacts) -> str:
    from tensor_optix.cli.key_values import typed
    from tensor_optix.cli.settings.config import settings_of
    from tensor_optix.core.storage.json_files import to_jsonable

    if run.plan is None:
        return "those of a script"
    shown = {name: value for name, value in settings_of(run.plan).items() if name not in _TOLD_ELSEWHERE}
    agent = shown.pop("agent")
    told = {**{name: value for name, value in shown.items() if value not in (None, (), {}, False)}, **agent}
    return " ".join(f"{name}={typed(to_jsonable(value))}" for name, value in told.items()) or "the defaults"


_TOLD_ELSEWHERE = ("env", "env_kwargs", "wrappers", "algorithm", "seed", "checkpoint_dir")


def _pairs(values: Any, between: str = "=") -> str:
    if not isinstance(values, Mapping):
        return ""
    return ", ".join(f"{name}{between}{value}" for name, value in values.items())


def _next_steps(run: RunFacts) -> list[str]:
    from tensor_optix.cli.training import next_steps

    place = shlex.quote(run.run_dir.as_posix())
    if run.is_held:
        return [f"tensor-optix plot {place}"]
    steps = next_steps(run.run_dir, None if run.outcome is None else run.outcome.result)
    if run.plan is None:  # a script started it, and resumes it
        steps = [step for step in steps if " resume " not in step]
    repeat = [] if run.plan is None else [f"tensor-optix train --config {place}"]
    return [step for step in steps if " show " not in step] + repeat
