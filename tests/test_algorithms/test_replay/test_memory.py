"""A replay that would not fit is refused before it is filled for hours."""

import builtins
import io

import pytest

from tensor_optix.algorithms.replay import memory
from tensor_optix.exceptions import InvalidArgumentError

GIB = 2**30


@pytest.mark.parametrize("free_bytes", [None, 3 * GIB])
def test_what_fits_or_cannot_be_told_passes(monkeypatch, free_bytes):
    monkeypatch.setattr(memory, "available_memory_bytes", lambda: free_bytes)
    memory.require_memory(3 * GIB, 1000)


def test_what_does_not_fit_is_refused_with_a_size_that_would(monkeypatch):
    monkeypatch.setattr(memory, "available_memory_bytes", lambda: 3 * GIB)
    message = r"buffer_size=1000 would take 6.0 GiB, but 3.0 GiB of memory are free. .* for example buffer_size=400\."
    with pytest.raises(InvalidArgumentError, match=message):
        memory.require_memory(6 * GIB, 1000)


@pytest.mark.parametrize(
    ("text", "expected"), [("MemTotal: 9 kB\nMemAvailable:   2048 kB\n", 2048 * 1024), ("MemTotal: 9 kB\n", 600)]
)
def test_the_kernel_is_asked_and_else_all_there_is(monkeypatch, text, expected):
    monkeypatch.setattr(builtins, "open", lambda *_, **__: io.StringIO(text))
    monkeypatch.setattr(memory.os, "sysconf", {"SC_PHYS_PAGES": 6, "SC_PAGE_SIZE": 100}.__getitem__)
    assert memory.available_memory_bytes() == expected


def test_where_nothing_tells_it_is_not_known(monkeypatch):
    def refuse(*_, **__):
        raise OSError

    monkeypatch.setattr(builtins, "open", refuse)
    monkeypatch.setattr(memory.os, "sysconf", refuse)
    assert memory.available_memory_bytes() is None


def test_here_it_is_some():
    assert memory.available_memory_bytes() > 2**20
