from __future__ import annotations

import sys
from pathlib import Path

import pytest

PACKAGE = """
from tensor_optix.lazy_names import lazy_names

own = 1
__getattr__, __dir__, __all__ = lazy_names(__name__, {"inner": ["Second", "First"]})
"""
INNER = "First = object()\nSecond = object()\n"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of a package that loads two names of a module of its own when they are first used."""
    folder = tmp_path / "lazily_named"
    folder.mkdir()
    (folder / "__init__.py").write_text(PACKAGE)
    (folder / "inner.py").write_text(INNER)
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("lazily_named", "lazily_named.inner"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return "lazily_named"


def test_a_module_is_imported_with_the_first_of_its_names_that_is_used(package: str) -> None:
    module = __import__(package)
    assert f"{package}.inner" not in sys.modules
    first = module.First
    assert first is sys.modules[f"{package}.inner"].First
    assert "First" in vars(module)  # and is found without asking again
    assert "Second" not in vars(module)


def test_what_is_there_is_told_before_it_is_loaded(package: str) -> None:
    module = __import__(package)
    assert module.__all__ == ["First", "Second"]
    assert {"First", "Second", "own", "__name__"} <= set(dir(module))
    assert f"{package}.inner" not in sys.modules
    names: dict[str, object] = {}
    exec(f"from {package} import *", names)
    assert names["Second"] is sys.modules[f"{package}.inner"].Second


def test_another_name_is_an_attribute_error_of_the_package(package: str) -> None:
    with pytest.raises(AttributeError, match="module 'lazily_named' has no attribute 'Third'"):
        _ = __import__(package).Third
