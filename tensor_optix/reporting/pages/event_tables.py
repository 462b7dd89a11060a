"""What happened in a run, in tables: champions, trials and challenges, alarms with their causes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tensor_optix.core.storage.logbook_file import BEGAN
from tensor_optix.reporting.pages.html_page import paragraph, table
from tensor_optix.reporting.pages.wording import cut, joined, number
from tensor_optix.reporting.run import Run

MOST_ROWS = 40
"""Of a table: of more events the latest are shown."""

Entry = Mapping[str, Any]


def champion_table(run: Run) -> str:
    """Return the champions with their training scores and their greedy means, told apart."""
    crowned = [entry for entry in run.logbook if entry["kind"] == "champion"]
    if crowned:
        rows = [[*_when(entry), number(entry.get("score")), _greedy(entry)] for entry in crowned]
    else:  # of a run of before there was a logbook those are known that are kept
        rows = [
            [
                f"{kept.episode_id:,}",
                number(kept.eval_metrics.env_steps, 0),
                "-",
                number(kept.eval_metrics.primary_score),
                "-",
            ]
            for kept in run.champions
        ]
    report = None if run.result is None else run.result.report
    last = [] if report is None else [["report", "", "", "", f"{number(report.mean)} ({report.num_episodes} episodes)"]]
    return _latest(["Window", "Env steps", "Seconds", "Training score", "Greedy mean"], rows, last)


def trial_table(run: Run) -> str:
    """Return challenges for the championship and trials of bold hyperparameters, and how each ended."""
    rows = []
    for entry in run.logbook:
        if entry["kind"] == "challenge":
            outcome = "won: new champion" if entry.get("is_won") else "champion kept"
            means = f"challenger {number(entry.get('challenger'))}, champion {number(entry.get('champion'))}"
            rows.append(
                [
                    *_when(entry),
                    "challenge",
                    f"{number(entry.get('episodes'), 0)} greedy episodes each: {means}",
                    outcome,
                ]
            )
        elif entry["kind"] == "trial":
            rows.append([*_when(entry), "trial begins", _bold(run, entry.get("hyperparams")), ""])
        elif entry["kind"] == "trial over":
            rows.append([*_when(entry), "trial ends", "", "kept" if entry.get("is_kept") else "taken back"])
    return _latest(["Window", "Env steps", "Seconds", "What", "With", "Outcome"], rows)


def _bold(run: Run, hyperparams: Any) -> str:
    """Return what of a trial's hyperparameters is otherwise than the run began with."""
    at_start = run.described("agent").get("hyperparams")
    known = at_start if isinstance(at_start, Mapping) else {}
    tried = hyperparams if isinstance(hyperparams, Mapping) else {}
    return joined({name: value for name, value in tried.items() if known.get(name) != value})


def alarm_table(run: Run) -> str:
    """Return alarms with their causes and what was done, and updates that were undone."""
    rows: list[list[str]] = []
    for entry, later in _with_later(run.logbook):
        if entry["kind"] == "alarm":
            cause = next(
                (cut(str(other.get("cause"))) for other in later if other["kind"] == "cause"), "not looked for"
            )
            is_back = any(other["kind"] == "rollback" for other in later)
            rows.append([*_when(entry), number(entry.get("score")), cause, _answer(cause, is_back)])
        elif entry["kind"] == "undone":
            problem = cut(str(entry.get("problem")))
            rows.append([*_when(entry), "-", "update gave NaN or infinity", f"undone: {problem}"])
    if not rows and not run.logbook:
        steps = run.columns["env_steps"][run.columns["alarm"]]
        rows = [["-", number(step, 0), "-", "-", "not known", "not known"] for step in steps]
    return _latest(["Window", "Env steps", "Seconds", "Score", "Cause", "Answer"], rows)


def _with_later(entries: Sequence[Entry]) -> list[tuple[Entry, list[Entry]]]:
    """Return each entry with those that follow it up to the next alarm."""
    pairs = []
    for i, entry in enumerate(entries):
        following: list[Entry] = []
        for other in entries[i + 1 :] if entry["kind"] == "alarm" else ():
            if other["kind"] in ("alarm", BEGAN):
                break
            following.append(other)
        pairs.append((entry, following))
    return pairs


def _answer(cause: str, is_rolled_back: bool) -> str:
    if is_rolled_back:
        return "rolled back to the champion"
    answers = {"world changed": "old best voided, learning goes on", "false alarm": "none: slower to cry from now on"}
    return answers.get(cause, "learning goes on")


def _greedy(entry: Entry) -> str:
    if "greedy_mean" not in entry:
        return "none played yet"
    return f"{number(entry['greedy_mean'])} ({number(entry.get('greedy_episodes'), 0)} episodes)"


def _when(entry: Entry) -> list[str]:
    window = entry.get("window", entry["windows"] - 1)
    return [number(max(window, 0), 0), number(entry["env_steps"], 0), number(entry["seconds"], 1)]


def _latest(headings: list[str], rows: list[list[str]], last: Sequence[list[str]] = ()) -> str:
    left_out = len(rows) - MOST_ROWS
    said = paragraph(f"The latest {MOST_ROWS} of {len(rows):,}.", "note") if left_out > 0 else ""
    return said + table(
        headings, [*rows[-MOST_ROWS:], *last], numbers=(0, 1, 2, 3) if len(headings) == 5 else (0, 1, 2)
    )
