from types import SimpleNamespace

import pytest

from tensor_optix.exceptions import CheckpointError, InvalidTypeError, UnsafeFileError
from tensor_optix.reporting.shared.run_files import checked_place, place_of


def test_a_place_is_absolute_and_its_folder_is_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    place = checked_place("logs/run.csv")
    assert place_of(place, SimpleNamespace(run_dir=None), "x") == tmp_path / "logs" / "run.csv"
    assert (tmp_path / "logs").is_dir()
    assert checked_place(None) is None


def test_without_one_it_is_the_runs_folder(tmp_path):
    assert place_of(None, SimpleNamespace(run_dir=tmp_path), "x.csv") == tmp_path / "x.csv"
    with pytest.raises(CheckpointError, match="no folder for x"):
        place_of(None, SimpleNamespace(run_dir=None), "x.csv")


def test_what_is_no_place_is_refused(tmp_path):
    with pytest.raises(InvalidTypeError, match="path"):
        checked_place(7)
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UnsafeFileError, match="is a link"):
        place_of(tmp_path / "link", SimpleNamespace(run_dir=None), "x")
