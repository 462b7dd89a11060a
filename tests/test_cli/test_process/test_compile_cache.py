"""The cache of compiled programs: the user's alone, whole or not used, and no figure depends on it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tensor_optix.cli.process import compile_cache as module
from tensor_optix.cli.process.compile_cache import FLAGS, UnusableCacheError, cache_root, compile_cache, ready_folder
from tensor_optix.core.loop.run_info import describe_platform

COMPILE = """
import os, sys
from tensor_optix.cli.process.compile_cache import compile_cache
with compile_cache() as folder:
    import tensorflow as tf
    doubled = tf.function(lambda x: tf.reduce_sum(tf.sin(x) @ x), jit_compile=True)
    print(folder, float(doubled(tf.ones((8, 8)) * 0.3)).hex())
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(FLAGS, raising=False)
    return tmp_path / "cache"


def program(folder: Path, content: bytes = b"code", name: str = "a.pb") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def test_the_folder_is_the_user_s_alone(home: Path) -> None:
    folder = ready_folder()
    assert folder.parent == cache_root() == home / "tensor-optix"
    assert (folder.stat().st_mode & 0o777, folder.parent.stat().st_mode & 0o777) == (0o700, 0o700)


def test_without_a_folder_for_caches_it_is_in_the_home(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        assert cache_root() == Path.home() / ".cache" / "tensor-optix"


@pytest.mark.skipif(os.name != "posix", reason="modes and links of POSIX")
@pytest.mark.parametrize("place", ["tensor-optix", "tensor-optix/xla"])
@pytest.mark.parametrize("kind", ["open to others", "link", "file", "other owner"])
def test_a_folder_that_others_may_write_is_not_used(
    home: Path, monkeypatch: pytest.MonkeyPatch, place: str, kind: str
) -> None:
    folder = ready_folder()
    path = folder if place.endswith("xla") else folder.parent
    if kind == "open to others":
        path.chmod(0o755)
    elif kind == "other owner":
        monkeypatch.setattr(module.os, "geteuid", lambda: 12345)
    else:
        moved = path.rename(home / "moved")
        path.symlink_to(moved) if kind == "link" else path.touch()
    with pytest.raises(UnusableCacheError):
        ready_folder()


def test_a_full_disk_and_a_name_that_flags_cannot_hold(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MIN_FREE_BYTES", 2**62)
    with pytest.raises(UnusableCacheError, match="too little room"):
        ready_folder()
    monkeypatch.setattr(module, "MIN_FREE_BYTES", 0)
    monkeypatch.setenv("XDG_CACHE_HOME", f"{home} here")
    with pytest.raises(UnusableCacheError, match="space in its name"):
        ready_folder()


def test_only_what_was_sealed_and_is_whole_is_left(home: Path) -> None:
    folder = ready_folder()
    whole, damaged = program(folder, name="whole.pb"), program(folder, name="damaged.pb")
    module._seal(folder)
    damaged.write_bytes(b"coda")
    put_there, linked = program(folder, name="put-there.pb"), folder / "link.pb"
    linked.symlink_to(whole)
    being_written, left = program(folder, name="x.pb.tmp"), program(folder, name="y.pb.tmp")
    os.utime(left, (0, 0))
    assert ready_folder() == folder
    assert [path.exists() for path in (whole, damaged, put_there, being_written, left)] == [1, 0, 0, 1, 0]
    assert not linked.is_symlink()


def test_checksums_that_are_damaged_make_everything_new(home: Path) -> None:
    folder = ready_folder()
    kept = program(folder)
    module._seal(folder)
    (folder / "checksums.json").write_text("{}")
    ready_folder()
    assert not kept.exists()


def test_the_oldest_go_where_there_are_too_many(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = ready_folder()
    monkeypatch.setattr(module, "MAX_BYTES", 10)
    for age in range(4):
        os.utime(program(folder, b"abcd", f"{age}.pb"), (1000 - age, 1000 - age))
    module._prune(folder.parent)
    assert sorted(path.name for path in folder.glob("*.pb")) == ["0.pb", "1.pb"]


def test_other_machines_and_versions_have_other_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    first = ready_folder()
    monkeypatch.setattr(module, "_cpu_flags", lambda: "flags: avx9")
    second = ready_folder()
    monkeypatch.setattr(module.metadata, "version", lambda _: "99")
    assert len({first, second, ready_folder()}) == 3


@pytest.mark.parametrize("reason", ["loaded", "unwanted", "set"])
def test_it_is_not_used_where_it_may_not_be(monkeypatch: pytest.MonkeyPatch, reason: str) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", module)
    if reason != "loaded":
        monkeypatch.delitem(sys.modules, "tensorflow")
    if reason == "set":
        monkeypatch.setenv(FLAGS, "--tf_xla_persistent_cache_directory=/mine")
    before = os.environ.get(FLAGS)
    with compile_cache(reason != "unwanted") as folder:
        assert folder is None
        assert os.environ.get(FLAGS) == before


def test_where_programs_are_kept_is_no_part_of_what_a_run_depends_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FLAGS, "--tf_xla_auto_jit=2")
    threads = describe_platform()["threads"]
    assert threads[FLAGS] == "--tf_xla_auto_jit=2"
    monkeypatch.setenv(FLAGS, "--tf_xla_auto_jit=2 --tf_xla_persistent_cache_directory=/a")
    assert describe_platform()["threads"] == threads


@pytest.mark.slow
def test_a_program_is_compiled_once_gives_the_same_bits_and_damage_costs_nothing_but_time(home: Path) -> None:
    def compiled() -> str:
        command = [sys.executable, "-c", COMPILE]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    first = compiled()
    folder = Path(first.split()[0])
    (kept,) = folder.glob("*.pb")
    written = kept.stat().st_mtime_ns
    assert compiled() == first
    assert kept.stat().st_mtime_ns == written
    kept.write_bytes(kept.read_bytes()[:1000])
    assert compiled() == first
    assert kept.stat().st_size > 1000
