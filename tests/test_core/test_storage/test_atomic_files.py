import hashlib
import os
import resource

import pytest

from tensor_optix.core.storage.atomic_files import (
    inside,
    partial_path,
    read_bounded,
    regular_file,
    replacing,
    sha256_of,
    write_atomically,
)
from tensor_optix.exceptions import CheckpointError, UnsafeFileError


def test_a_file_is_written_and_replaced_whole(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, b"old")
    write_atomically(path, b"new and longer")
    assert path.read_bytes() == b"new and longer"
    assert os.listdir(tmp_path) == ["file"]


def test_the_old_file_stays_when_the_writer_raises(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def write_half():
        with replacing(path) as (partial,):
            partial.write_bytes(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_half()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_full_disk_leaves_the_old_file_and_says_which(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(CheckpointError, match=r"Could not write .*file: File too large"):
            write_atomically(path, b"x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_missing_folder_is_an_error_of_ours(tmp_path):
    with pytest.raises(CheckpointError, match="Could not write"):
        write_atomically(tmp_path / "nowhere" / "file", b"x")


def test_a_link_planted_at_the_partial_name_is_not_written_through(tmp_path):
    outside = tmp_path / "outside"
    outside.write_bytes(b"precious")
    folder = tmp_path / "run"
    folder.mkdir()
    partial_path(folder / "file").symlink_to(outside)
    (folder / "file").symlink_to(outside)
    write_atomically(folder / "file", b"ours")
    assert outside.read_bytes() == b"precious"
    assert (folder / "file").read_bytes() == b"ours"
    assert not (folder / "file").is_symlink()


def test_sha256_agrees_with_hashlib_beyond_one_chunk(tmp_path):
    data = os.urandom(3_000_001)
    (tmp_path / "f").write_bytes(data)
    assert sha256_of(tmp_path / "f") == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(
    "relative",
    ["/etc/passwd", "../x", "a/../../x", "a/..", "C:\\x", "\\\\host\\x", "..\\x", "C:x", "", None, 3, "a\0b"],
)
def test_paths_that_lead_outside_are_refused(tmp_path, relative):
    with pytest.raises(UnsafeFileError, match=r"leads outside|Expected a relative path"):
        inside(tmp_path, relative)


def test_a_link_may_stay_inside_but_not_leave(tmp_path):
    root = tmp_path / "run"
    root.mkdir()
    (root / "real").write_bytes(b"x")
    (root / "link").symlink_to("real")
    (root / "out").symlink_to(tmp_path)
    (root / "loop").symlink_to("loop")
    assert inside(root, "link").read_bytes() == b"x"
    with pytest.raises(UnsafeFileError, match="link that leads outside"):
        inside(root, "out/x")
    with pytest.raises(CheckpointError, match=r"cannot be followed|cannot be read"):
        regular_file(root, "loop")


def test_a_root_that_is_itself_a_link_is_fine(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "f").write_bytes(b"x")
    (tmp_path / "alias").symlink_to("real")
    assert regular_file(tmp_path / "alias", "f").read_bytes() == b"x"


def test_only_ordinary_files_are_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for ever
    with pytest.raises(UnsafeFileError, match="not an ordinary file"):
        regular_file(tmp_path, "pipe")
    with pytest.raises(CheckpointError, match="missing or cannot be read"):
        regular_file(tmp_path, "absent")


def test_reading_is_bounded(tmp_path):
    (tmp_path / "f").write_bytes(b"12345")
    assert read_bounded(tmp_path / "f", 5) == b"12345"
    with pytest.raises(CheckpointError, match="larger than the 4 bytes"):
        read_bounded(tmp_path / "f", 4)
    with pytest.raises(CheckpointError, match="Could not read"):
        read_bounded(tmp_path / "absent", 4)
