"""The tree of tests mirrors the package: what has behaviour has a test file of its own, where one looks for it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "tensor_optix"
SKIPPED_FOLDERS = ("tensorflow",)
"""``adapters`` holds one folder only."""

STILL_MISSING: set[str] = set()
"""Modules that wait for their tests. This only shrinks."""


def home_of(module: str) -> Path:
    """Return where the tests of ``core.storage.manifest`` are: ``test_core/test_storage/test_manifest.py``."""
    parts = [part for part in module.split(".") if part not in SKIPPED_FOLDERS]
    return TESTS.joinpath(*(f"test_{part}" for part in parts)).with_suffix(".py")


def modules() -> dict[str, ast.Module]:
    """Return each module's name below the package and its tree; what ``__init__`` files hold is handed on only."""
    paths = sorted(path for path in PACKAGE.rglob("*.py") if not path.name.startswith("__"))
    return {".".join(path.relative_to(PACKAGE).with_suffix("").parts): ast.parse(path.read_text()) for path in paths}


def has_behaviour(tree: ast.Module) -> bool:
    """Tell whether any function of a module does more than to declare what others do."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return not all(is_declaration(statement) for function in functions for statement in function.body)


def is_declaration(statement: ast.stmt) -> bool:
    """Tell whether a statement is a docstring, ``...``, ``pass``, a constant default, or "not implemented"."""
    if isinstance(statement, ast.Raise):
        return "NotImplementedError" in ast.unparse(statement)
    if isinstance(statement, ast.Return | ast.Expr):
        return statement.value is None or is_literal(statement.value)
    return isinstance(statement, ast.Pass)


def is_literal(node: ast.expr) -> bool:
    try:
        ast.literal_eval(node)
    except ValueError:
        return False
    return True


def has_a_test(path: Path) -> bool:
    """Tell whether a file is there and has at least one test."""
    nodes = ast.walk(ast.parse(path.read_text())) if path.exists() else ()
    return any(isinstance(node, ast.FunctionDef) and node.name.startswith("test") for node in nodes)


def missing() -> set[str]:
    found = {name for name, tree in modules().items() if has_behaviour(tree)}
    assert len(found) > 100
    return {name for name in found if not has_a_test(home_of(name))}


def test_every_module_with_behaviour_has_its_tests() -> None:
    assert sorted(missing() - STILL_MISSING) == []


def test_nobody_waits_who_has_them() -> None:
    assert sorted(STILL_MISSING - missing()) == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("MOST = 3", False),
        ("class A(Protocol):\n    def act(self): ...", False),
        ("@dataclass\nclass A:\n    x: int = 0", False),
        ("class A:\n    def act(self):\n        '''Do it.'''\n        raise NotImplementedError('act')", False),
        ("class A:\n    def bounds(self):\n        return {}", False),
        ("class A:\n    def act(self):\n        return self.x", True),
        ("def double(x):\n    return 2 * x", True),
        ("def check(x):\n    raise ValueError(x)", True),
        ("class A:\n    def act(self):\n        self.x = 1", True),
    ],
)
def test_what_only_declares_is_told_by_rule(source: str, expected: bool) -> None:
    assert has_behaviour(ast.parse(source)) is expected


def test_a_file_without_tests_does_not_count(tmp_path: Path) -> None:
    test = tmp_path / "test_it.py"
    assert not has_a_test(test)
    for text, expected in [
        ("from tensor_optix.it import double", False),
        ("def test_one():\n    assert double(1) == 2", True),
        ("class TestOne:\n    def test_two(self):\n        assert double(1) == 2", True),
    ]:
        test.write_text(text)
        assert has_a_test(test) is expected, text
