"""What a run's folder tells of the run, from whatever is in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tensor_optix.cli.run_facts import RunFacts
from tensor_optix.core.storage.json_files import write_sealed_json


@pytest.mark.parametrize(
    ("described", "algorithm"),
    [("PPOAgent", "ppo"), ("TFAgent", "policy_gradient"), ("CarefulAgent", "CarefulAgent"), (3, None), (None, None)],
)
def test_the_algorithm_is_told_by_the_class_of_the_agent(tmp_path: Path, described: object, algorithm: str) -> None:
    write_sealed_json(tmp_path / "run.json", {"agent": {"class": described}})
    assert RunFacts.of(tmp_path).algorithm == algorithm


def test_a_folder_that_holds_nothing_tells_nothing(tmp_path: Path) -> None:
    facts = RunFacts.of(tmp_path)
    assert (facts.verdict, facts.env, facts.algorithm, facts.env_steps, facts.seed, facts.started) == (
        "unfinished",
        *[None] * 5,
    )
    assert facts.champions == []
    assert facts.within("agent") == {}


def test_a_row_that_is_torn_is_not_the_last(tmp_path: Path) -> None:
    (tmp_path / "history.jsonl").write_text('{"window": 0, "env_steps": 5}\n{"window": 1, "env_st')
    assert RunFacts.of(tmp_path).env_steps == 5
