"""Which module of the user's own a command imports for an algorithm, and which it never does."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tensor_optix.algorithms import unregister
from tensor_optix.algorithms.registry import registered
from tensor_optix.cli.algorithms import import_for_run, import_typed, module_to_import
from tensor_optix.exceptions import InvalidArgumentError, UnsafeFileError

MODULE = """
from tensor_optix.algorithms import PPOAgent, register

class Thrifty(PPOAgent):
    pass

register("thrifty", Thrifty, serves=["Discrete"], num_envs=2, window_steps=64)
"""
RUN = Path("run-0001")


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Name of a module in the current folder that registers the algorithm "thrifty"."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    Path("savings.py").write_text(MODULE, encoding="utf-8")
    yield "savings"
    sys.modules.pop("savings", None)
    if "thrifty" in registered():
        unregister("thrifty")


def test_what_is_typed_is_imported(module: str) -> None:
    import_typed("ppo")
    assert module not in sys.modules
    import_typed("savings:thrifty")
    assert "thrifty" in registered()


@pytest.mark.parametrize("typed", ["savings:thrifty", "thrifty"])
def test_the_module_to_import_is_told_for_the_code_that_is_shown(module: str, typed: str) -> None:
    import_typed("savings:thrifty")
    assert module_to_import(typed) == "savings"
    assert module_to_import("ppo") is None


def test_a_folder_alone_has_nothing_imported(module: str) -> None:
    advice = "tensor-optix resume run-0001 --algorithm savings:thrifty"
    with pytest.raises(UnsafeFileError, match=f"would import the module 'savings'.*{advice}"):
        import_for_run(RUN, "resume", "savings:thrifty", None, is_trusted=False)
    assert module not in sys.modules


@pytest.mark.parametrize(("typed", "is_trusted"), [("savings:thrifty", False), (None, True)])
def test_a_user_who_says_so_has_it_imported(module: str, typed: str | None, is_trusted: bool) -> None:
    import_for_run(RUN, "evaluate", "savings:thrifty", typed, is_trusted)
    assert "thrifty" in registered()


def test_a_module_that_is_there_already_is_no_danger(module: str) -> None:
    import_typed("savings:thrifty")
    import_for_run(RUN, "evaluate", "savings:thrifty", None, is_trusted=False)


@pytest.mark.parametrize("typed", ["dqn", "savings:other"])
def test_another_algorithm_than_the_run_s_is_refused(module: str, typed: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"was trained by 'savings:thrifty', not by '{typed}'"):
        import_for_run(RUN, "resume", "savings:thrifty", typed, is_trusted=True)


def test_a_run_that_tells_no_algorithm_asks_for_nothing(module: str) -> None:
    import_for_run(RUN, "evaluate", None, None, is_trusted=False)
    assert module not in sys.modules
