"""The rules of the house, read off the source with `ast`: who may import whom, and what never appears."""

from __future__ import annotations

import ast
import functools
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "tensor_optix"
ROOT_NAME = PACKAGE.name

FLOOR_OF = {
    "__version__": 0,
    "lazy_names": 0,
    "exceptions": 0,
    "functional": 0,
    "core.checks": 0,
    "core.rewards": 0,
    "core.search_space": 0,
    "core.short_html": 0,
    "core.types": 0,
    "core.base_agent": 1,
    "core.base_evaluator": 1,
    "core.base_optimizer": 1,
    "core.base_pipeline": 1,
    "core": 2,
    "core.storage": 3,
    "monitoring": 3,
    "core.backoff_scheduler": 4,
    "core.budget": 4,
    "core.checkpoint_registry": 4,
    "core.run_result": 3,
    "core.callbacks": 3,
    "core.judgement": 5,
    "core.loop": 6,
    "core.loop_controller": 7,
    "pipeline": 5,
    "optimizers": 5,
    "adapters": 5,
    "algorithms": 6,
    "adapters.tensorflow.loading": 7,
    "presets": 10,
    "testing": 10,
    "reporting": 11,
    "optimizer": 12,
    "cli": 13,
    "__main__": 14,
}
"""Imports go to a lower floor, or to the same one inside the same top folder."""

SAME_FLOOR_FRIENDS = {
    ("core", "monitoring"),
    ("exceptions", "functional"),
    ("core", "functional"),
    ("core", "exceptions"),
}
FRAMEWORKS = {"tensorflow", "keras", "gymnasium", "envpool"}
FRAMEWORK_FREE = ("core", "functional", "monitoring", "optimizers")
UNSAFE_MODULES = {"pickle", "cloudpickle", "dill", "marshal", "shelve", "joblib"}
GENERATORS = {"default_rng", "Generator", "SeedSequence", "BitGenerator", "PCG64", "Philox"}
PARTS = {"agent", "evaluator", "pipeline", "optimizer", "tuner", "policy", "scheduler", "registry"}
ASKS_NOBODY = ("core", "optimizer", "optimizers", "pipeline")
ASKS_ONCE = {"core.loop.entrance", "pipeline.acting", "pipeline.live.live_actor"}
"""Where a part comes in it is asked, checked and made whole (`core.protocols`); all else has whole parts."""

MAX_FILE_LINES = 400
MAX_BODY_LINES = 60

FILES = sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    """Return the module's name below the package, '' for the package itself."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def longest_prefix(module: str) -> str:
    parts = module.split(".")
    for size in range(len(parts), 0, -1):
        if ".".join(parts[:size]) in FLOOR_OF:
            return ".".join(parts[:size])
    raise AssertionError(f"{module} has no floor: add it to FLOOR_OF")


@functools.cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports_of(tree: ast.AST) -> list[tuple[str, int]]:
    """Return (absolute dotted name, line) of everything imported, also inside functions."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative import"
            found.append((node.module or "", node.lineno))
            found += [(f"{node.module}.{alias.name}", node.lineno) for alias in node.names if node.module == ROOT_NAME]
    return found


def names_in_strings(tree: ast.AST) -> list[tuple[str, int]]:
    """Return (absolute dotted name, line) of every text that names a module, or begins to, also as ``module:name``."""
    texts = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    found = [(re.fullmatch(rf"({ROOT_NAME}(\.\w+)+)[.:]?\w*", node.value), node.lineno) for node in texts]
    return [(match[1], line) for match, line in found if match]


def own_imports(tree: ast.AST) -> list[tuple[str, int]]:
    """Return (module below the package, line) of everything of the package that is imported, or named in a text."""
    prefix = ROOT_NAME + "."
    names = [*imports_of(tree), *names_in_strings(tree)]
    return [(name.removeprefix(prefix), line) for name, line in names if name.startswith(prefix)]


def import_offences(importer: str, imported: str) -> str | None:
    """Return what is wrong with one import inside the package, None if nothing."""
    here, there = longest_prefix(importer), longest_prefix(imported)
    if FLOOR_OF[there] < FLOOR_OF[here]:
        return None
    folders = importer.split(".")[0], imported.split(".")[0]
    if FLOOR_OF[there] > FLOOR_OF[here]:
        return f"{importer} imports {imported}, which is on a higher floor"
    if folders[0] != folders[1] and tuple(sorted(folders)) not in SAME_FLOOR_FRIENDS:
        return f"{importer} imports its sibling {imported}"
    return None


def found(files: list[Path], offences_in: Callable[[ast.Module], list[tuple[str, int]]]) -> list[str]:
    """Return the offences of all files, each with the file it is in."""
    return [f"{name_of(path)}: {offence}" for path in files for offence in offences_in(tree_of(path))]


def body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return how many lines a function has below its docstring."""
    body = node.body[1:] if ast.get_docstring(node) else node.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def is_constant(node: ast.expr, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def dotted(node: ast.AST) -> str:
    """Return ``a.b.c`` for such an expression, '' for any other."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


@pytest.mark.parametrize(
    ("importer", "imported", "is_allowed"),
    [
        ("core.judgement.judge", "monitoring.trend", True),
        ("core.types", "functional.statistics", True),
        ("optimizer", "adapters.tensorflow.tf_evaluator", True),
        ("pipeline.batch_pipeline", "pipeline.stepping.window_builder", True),
        ("algorithms.ppo", "adapters.tensorflow.tf_agent", True),
        ("core.types", "core.base_agent", False),
        ("core.judgement.judge", "core.loop.tuning", False),
        ("functional.returns", "core.judgement.judge", False),
        ("pipeline.batch_pipeline", "adapters.tensorflow.tf_agent", False),
        ("optimizers.pbt_optimizer", "core.loop_controller", False),
        ("adapters.tensorflow.tf_agent", "algorithms.ppo", False),
        ("reporting.progress", "cli.main", False),
    ],
)
def test_the_rule_itself_tells_good_imports_from_bad(importer: str, imported: str, is_allowed: bool) -> None:
    assert (import_offences(importer, imported) is None) is is_allowed


@pytest.mark.parametrize(
    "line",
    [
        "import tensor_optix.algorithms.ppo",
        "from tensor_optix.algorithms.ppo import PPOAgent",
        "importlib.import_module('tensor_optix.algorithms.ppo')",
        "importlib.import_module(f'tensor_optix.algorithms.{name}')",
        "HOME_OF = {'PPOAgent': 'tensor_optix.algorithms.ppo'}",
        "HOME = 'tensor_optix.algorithms.ppo:PPOAgent'",
    ],
)
@pytest.mark.parametrize("indent", ["", "def load():\n    "])
def test_an_import_is_seen_wherever_it_hides(indent: str, line: str) -> None:
    seen = [name for name, _ in own_imports(ast.parse(indent + line))]
    assert seen
    assert [name for name in seen if import_offences("adapters.tensorflow.tf_agent", name) is None] == []


def test_a_text_that_names_no_module_is_no_import() -> None:
    texts = ("call tensor_optix.algorithms.register(...)", "tensor_optix_checkpoints", "tensor_optix", "algorithms.ppo")
    assert [own_imports(ast.parse(repr(text))) for text in texts] == [[]] * len(texts)


def test_imports_only_go_down() -> None:
    offences = []
    for path in FILES:
        importer = name_of(path)
        for imported, line in own_imports(tree_of(path)):
            if path.name == "__init__.py" and imported.startswith(importer) and is_for_type_checkers(path, line):
                continue
            if (importer, imported) == ("", "lazy_names"):
                continue
            offence = import_offences(importer, imported) if importer else "the package itself loads lazily"
            offences += [f"{path.name}:{line}: {offence}"] if offence else []
    assert offences == []


def is_for_type_checkers(path: Path, line: int) -> bool:
    """Tell whether a line is in a block that only type checkers read: a folder's names, which it loads lazily."""
    blocks = [node for node in tree_of(path).body if isinstance(node, ast.If)]
    return any(x for x in blocks if dotted(x.test) == "TYPE_CHECKING" and x.lineno < line <= (x.end_lineno or 0))


def test_frameworks_stay_out_of_the_core() -> None:
    core = [path for path in FILES if name_of(path).split(".")[0] in FRAMEWORK_FREE]
    assert len(core) > 10
    assert found(core, lambda tree: [x for x in imports_of(tree) if x[0].split(".")[0] in FRAMEWORKS]) == []
    spaces = [path for path in FILES if name_of(path).startswith("adapters.spaces.")]
    assert len(spaces) > 2
    others = FRAMEWORKS - {"gymnasium"}
    assert found(spaces, lambda tree: [x for x in imports_of(tree) if x[0].split(".")[0] in others]) == []


def asked_of_parts(tree: ast.AST) -> list[tuple[str, int]]:
    """Return each place that asks by name what a part can do, or has, though the part was made complete."""
    return [
        (f"{node.func.id} on {ast.unparse(node.args[0])}", node.lineno)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("getattr", "hasattr")
        if len(node.args) > 1 and isinstance(node.args[1], ast.Constant)
        if not str(node.args[1].value).startswith("__")
        and set(re.findall(r"[a-z]+", ast.unparse(node.args[0]))) & PARTS
    ]


def test_nobody_asks_what_a_part_can_do() -> None:
    names = {path: name_of(path) for path in FILES}
    files = [path for path in FILES if names[path].split(".")[0] in ASKS_NOBODY and names[path] not in ASKS_ONCE]
    assert len(files) > 50
    assert found(files, asked_of_parts) == []


@pytest.mark.parametrize(
    ("line", "is_seen"),
    [
        ("getattr(self._agent, 'caveats', tuple)()", True),
        ("hasattr(type(pipeline), 'request_barrier')", True),
        ("self._agent.caveats()", False),
        ("getattr(space, 'shape', None)", False),
        ("getattr(evaluator, '__dict__', {})", False),
        ("getattr(agent, name)", False),
    ],
)
def test_asking_is_told_from_calling(line: str, is_seen: bool) -> None:
    assert bool(asked_of_parts(ast.parse(line))) is is_seen


def unexplained_constants(source: str) -> list[str]:
    """Return the numbers at the top of a module that no comment or docstring stands by, in the same block of lines."""
    lines, body = source.splitlines(), ast.parse(source).body
    found = []
    for node, after in zip(body, [*body[1:], None], strict=True):
        parts = list(ast.walk(node.value)) if isinstance(node, ast.Assign) else []
        is_number = any(isinstance(part, ast.Constant) and type(part.value) in (int, float) for part in parts)
        is_constant = is_number and not any(isinstance(part, ast.Call) for part in parts)
        if not is_constant or (isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)):
            continue
        first = node.lineno - 1
        while first and lines[first - 1].strip():
            first -= 1
        if not any("#" in line for line in lines[first : node.end_lineno]):
            found.append(lines[node.lineno - 1])
    return found


@pytest.mark.parametrize(
    ("source", "num_found"),
    [
        ("X = 1", 1),
        ("X = 1  # windows; benchmarks/x.py", 0),
        ("# Chosen with benchmarks/x.py.\nX = 1\nY = 2", 0),
        ("# Chosen with benchmarks/x.py.\nX = 1\n\nY = 2", 1),
        ('X = 1\n"""Windows."""\nY = (2, 3)', 1),
        ("NAME = 'x'\nlogger = getLogger(__name__)", 0),
    ],
)
def test_a_constant_without_a_word_is_seen(source: str, num_found: int) -> None:
    assert len(unexplained_constants(source)) == num_found


def test_constants_of_judge_and_detectors_say_where_they_come_from() -> None:
    files = [path for path in FILES if name_of(path).startswith(("core.judgement.", "monitoring."))]
    assert len(files) > 15
    assert [f"{name_of(path)}: {line}" for path in files for line in unexplained_constants(path.read_text())] == []


def test_nothing_is_pickled() -> None:
    def offences(tree: ast.Module) -> list[tuple[str, int]]:
        keywords = [node for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg == "allow_pickle"]
        allowed = [("allow_pickle", node.lineno) for node in keywords if not is_constant(node.value, False)]
        return allowed + [x for x in imports_of(tree) if x[0].split(".")[0] in UNSAFE_MODULES]

    assert found(FILES, offences) == []


def test_randomness_is_owned() -> None:
    def offences(tree: ast.Module) -> list[tuple[str, int]]:
        names = [(dotted(node), node.lineno) for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
        numpy = [x for x in names if re.match(r"(np|numpy)\.random\.", x[0]) and x[0].split(".")[2] not in GENERATORS]
        seeding = [x for x in names if x[0].endswith(("random.set_seed", "utils.set_random_seed"))]
        return numpy + seeding + [x for x in imports_of(tree) if x[0].split(".")[0] == "random"]

    assert found(FILES, offences) == []


def test_nothing_is_asserted() -> None:
    def offences(tree: ast.Module) -> list[tuple[str, int]]:
        return [("assert", node.lineno) for node in ast.walk(tree) if isinstance(node, ast.Assert)]

    assert found(FILES, offences) == []


def test_files_stay_short() -> None:
    lengths = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert {name: length for name, length in lengths.items() if length > MAX_FILE_LINES} == {}


def test_the_loop_stays_on_its_page() -> None:
    path = PACKAGE / "core" / "loop_controller.py"
    assert len(path.read_text().splitlines()) <= 250
    (process,) = [n for n in ast.walk(tree_of(path)) if isinstance(n, ast.FunctionDef) and n.name == "_process"]
    assert body_lines(process) <= 30


def test_functions_stay_short() -> None:
    def offences(tree: ast.Module) -> list[tuple[str, int]]:
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        return [(node.name, body_lines(node)) for node in functions if body_lines(node) > MAX_BODY_LINES]

    assert found(FILES, offences) == []


def test_no_note_to_oneself_is_left() -> None:
    notes = ("TO" + "DO", "FIX" + "ME")
    assert [name_of(path) for path in FILES if any(note in path.read_text(encoding="utf-8") for note in notes)] == []


def test_no_run_is_kept_in_the_repository() -> None:
    root = PACKAGE.parent
    if shutil.which("git") is None or not (root / ".git").exists():
        pytest.skip("not in a Git checkout")
    listed = subprocess.run(["git", "ls-files", "*/run.json"], cwd=root, capture_output=True, text=True, check=True)
    assert listed.stdout.splitlines() == []


def test_no_circle_among_imports() -> None:
    modules = {name_of(path): path for path in FILES}
    edges = {
        name: {m for m in (nearest_module(imported, modules) for imported in imports_that_run(path)) if m}
        for name, path in modules.items()
    }
    assert circle_in(edges) is None


def test_a_circle_would_be_found() -> None:
    assert circle_in({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": set()}) is not None
    assert circle_in({"a": {"b", "c"}, "b": {"c"}, "c": set()}) is None


def imports_that_run(path: Path) -> list[str]:
    """Return the modules that a file imports or names, in functions, too, but for what only type checkers read."""
    return [name for name, line in own_imports(tree_of(path)) if not is_for_type_checkers(path, line)]


def nearest_module(name: str, modules: dict[str, Path]) -> str | None:
    while name and name not in modules:
        name = name.rpartition(".")[0]
    return name or None


def circle_in(edges: dict[str, set[str]]) -> list[str] | None:
    """Return one circle of a directed graph, None if there is none."""
    done: set[str] = set()

    def visit(node: str, path: list[str]) -> list[str] | None:
        if node in path:
            return [*path[path.index(node) :], node]
        if node in done:
            return None
        for target in sorted(edges.get(node, ())):
            circle = visit(target, [*path, node])
            if circle:
                return circle
        done.add(node)
        return None

    return next(filter(None, (visit(node, []) for node in sorted(edges))), None)
