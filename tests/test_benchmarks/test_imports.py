"""What the scripts and the examples take from the package, from each other and from the harness is there."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = [
    *(path for path in (ROOT / "benchmarks").rglob("*.py") if ".venvs" not in path.parts),  # peers' environments
    *(ROOT / "examples").rglob("*.py"),
    *(ROOT / "tests/helpers").glob("*.py"),
]
SIBLINGS = {path.stem for path in (ROOT / "benchmarks").glob("*.py")}


def names_in(path: Path) -> list[tuple[str, str]]:
    """Return (module, name) of each ``from ... import`` of ours, in functions, too."""
    nodes = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.ImportFrom)]
    return [(node.module or "", alias.name) for node in nodes for alias in node.names]


def is_there(module: str, name: str) -> bool:
    """Tell whether a module has a name, or a file of it; scripts are read, and not run."""
    if module.split(".")[0] == "tensor_optix":
        found = importlib.import_module(module)
        is_module = hasattr(found, "__path__") and importlib.util.find_spec(f"{module}.{name}") is not None
        return is_module or hasattr(found, name)
    path = (ROOT / "benchmarks" / Path(*module.split("."))).with_suffix(".py")
    if not path.exists():
        return (path.with_suffix("") / f"{name}.py").exists()
    defined = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return any(name in (getattr(n, "name", None), getattr(n, "id", None), getattr(n, "asname", None)) for n in defined)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_each_name_is_there(path: Path) -> None:
    ours = [
        (module, name)
        for module, name in names_in(path)
        if module.split(".")[0] in {"tensor_optix", "harness", *SIBLINGS}
    ]
    assert [f"{module}.{name}" for module, name in ours if not is_there(module, name)] == []


@pytest.mark.parametrize("module", ["tensor_optix", "tensor_optix.core.types", "harness.watch", "harness", "learning"])
def test_what_is_not_there_is_noticed(module: str) -> None:
    assert not is_there(module, "Nonsense")
