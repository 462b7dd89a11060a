"""What the folder of a run says of its champion, to whoever plays it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tensor_optix.cli.champions import champion_of, recorded_algorithm, recorded_environment
from tensor_optix.core.storage.json_files import write_sealed_json
from tensor_optix.exceptions import CheckpointError


@pytest.mark.parametrize("document", [{}, {"pipeline": 3}, {"pipeline": None}])
def test_a_folder_that_says_nothing_says_nothing(tmp_path: Path, document: dict[str, object]) -> None:
    assert recorded_environment(tmp_path) == {}
    write_sealed_json(tmp_path / "run.json", document)
    assert recorded_environment(tmp_path) == {}
    assert recorded_algorithm(tmp_path) is None


def test_the_environment_is_what_run_json_says(tmp_path: Path) -> None:
    write_sealed_json(tmp_path / "run.json", {"pipeline": {"env_id": "CartPole-v1"}})
    assert recorded_environment(tmp_path)["env_id"] == "CartPole-v1"


def test_a_folder_without_a_champion_has_none(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="champion"):
        champion_of(tmp_path)
