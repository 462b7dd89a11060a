"""What is installed: the base install is what the package imports and no more, and wheel and sdist are whole."""

from __future__ import annotations

import ast
import email
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import version_bounds
from extra_venvs import python_with
from packaging.requirements import Requirement

import tensor_optix

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
DEPENDENCIES = {Requirement(line).name for line in PROJECT["dependencies"]}
PACKAGE_OF = {"PIL": "pillow", "ml_dtypes": "ml-dtypes", "yaml": "pyyaml"}
"""Where the name to import is not the name to install."""

NOT_OURS = {"IPython": "only where a notebook runs", "pandas": "only where it is there"}
IMPORTED_WHEN_ASKED_FOR = {"plain_yaml.py"}
"""Modules that are imported only where what they need is asked for."""

MOST_BYTES = {".whl": 1_500_000, ".tar.gz": 4_000_000}


def imported() -> Iterator[tuple[str, Path]]:
    """Return each foreign module that the package imports when it runs, and where."""
    for path in (ROOT / "tensor_optix").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        only_types = [
            node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        ]
        left_out = {id(node) for block in only_types for node in ast.walk(block)}
        for node in ast.walk(tree):
            if id(node) in left_out or not isinstance(node, ast.Import | ast.ImportFrom):
                continue
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            tops = {name.partition(".")[0] for name in names}
            yield from ((top, path) for top in tops - set(sys.stdlib_module_names) - {"tensor_optix"})


def test_what_is_imported_is_what_is_installed() -> None:
    packages = {PACKAGE_OF.get(module, module) for module, _ in imported()} - set(NOT_OURS)
    of_extras = {Requirement(line).name for lines in EXTRAS.values() for line in lines}
    assert sorted(packages - DEPENDENCIES - of_extras) == []
    assert sorted(DEPENDENCIES - packages) == []  # nothing that is not needed at run time


def test_what_only_an_extra_brings_is_never_imported_at_the_top_of_a_module() -> None:
    optional = {Requirement(line).name for lines in EXTRAS.values() for line in lines} - DEPENDENCIES | set(NOT_OURS)
    at_the_top = []
    for path in (ROOT / "tensor_optix").rglob("*.py"):
        for node in [] if path.name in IMPORTED_WHEN_ASKED_FOR else ast.parse(path.read_text(encoding="utf-8")).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            tops = [name.partition(".")[0] for name in names]
            at_the_top += [(path.name, top) for top in tops if PACKAGE_OF.get(top, top) in optional]
    assert at_the_top == []


def test_each_extra_is_told_of() -> None:
    page = (ROOT / "docs" / "installing.md").read_text(encoding="utf-8")
    told = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", page, re.MULTILINE))))
    assert set(EXTRAS) - {"dev"} == told


def test_the_pins_are_within_the_bounds() -> None:
    pinned = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "requirements.txt").read_text(), re.MULTILINE))
    pinned = {name.lower().replace("_", "-"): version for name, version in pinned.items()}
    for line in PROJECT["dependencies"]:
        asked = Requirement(line)
        assert asked.specifier.contains(pinned[asked.name]), line


def test_what_is_not_run_with_the_oldest_versions_is_there_and_told_why() -> None:
    files, _ = version_bounds.not_run("oldest")
    assert [path for path in files if not (ROOT / path).exists()] == []
    assert all(files.values())
    assert "tests/test_pipeline/test_batch_pipeline.py" in files  # found by what it names
    assert len(files) < 40
    assert version_bounds.not_run("newest") == (version_bounds.NEVER_RUN, {})


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the sdist of this checkout, and the wheel that was built from the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    command = [python_with("packaging"), "-m", "build", "--no-isolation", "--outdir", folder, ROOT]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def files_of(archive: Path) -> dict[str, bytes]:
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            return {name: wheel.read(name) for name in wheel.namelist()}
    with tarfile.open(archive) as sdist:
        members = [member for member in sdist.getmembers() if member.isfile()]
        return {m.name.partition("/")[2]: sdist.extractfile(m).read() for m in members}  # type: ignore[union-attr]


@pytest.mark.extras
def test_wheel_and_sdist_hold_what_they_should(built: Path) -> None:
    (wheel,), (sdist,) = built.glob("*.whl"), built.glob("*.tar.gz")
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "tensor_optix").rglob("*.py")}
    in_wheel, in_sdist = files_of(wheel), files_of(sdist)
    package = {name for name in in_wheel if ".dist-info/" not in name}
    assert package == modules | {"tensor_optix/py.typed"}
    assert package <= set(in_sdist)
    for name in ("README.md", "LICENSE", "Makefile", "CHANGELOG.md", "requirements-docs.txt", "website/build.py"):
        assert name in in_sdist
    for folder, kind in (("docs", "*.md"), ("examples", "*.*"), ("tests", "**/*.py"), ("benchmarks", "**/*.py")):
        there = [path for path in (ROOT / folder).glob(kind) if path.is_file() and "__pycache__" not in path.parts]
        tracked = {path.relative_to(ROOT).as_posix() for path in there if ".venvs" not in path.parts}
        assert sorted(tracked - set(in_sdist)) == []
    assert wheel.stat().st_size < MOST_BYTES[".whl"]
    assert sdist.stat().st_size < MOST_BYTES[".tar.gz"]
    assert [
        name for name in in_sdist if name.endswith(".pyc") or "__pycache__" in name or name.startswith(".venv")
    ] == []
    of_this_machine = str(ROOT).encode()
    assert [name for name, content in {**in_sdist, **in_wheel}.items() if of_this_machine in content] == []


@pytest.mark.extras
def test_the_metadata_names_what_is_needed_and_no_place_of_this_machine(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    files = files_of(wheel)
    (text,) = (content.decode() for name, content in files.items() if name.endswith(".dist-info/METADATA"))
    metadata = email.message_from_string(text)
    assert metadata["Name"] == "tensor-optix"
    assert metadata["Version"] == tensor_optix.__version__
    assert metadata["Requires-Python"] == ">=3.11"
    required = [Requirement(line) for line in metadata.get_all("Requires-Dist") or []]
    assert {one.name for one in required if one.marker is None} == DEPENDENCIES
    assert set(metadata.get_all("Provides-Extra") or []) == set(EXTRAS)
    assert [one for one in required if one.url] == []
    assert metadata.get_payload().lstrip().startswith("# tensor-optix")
    for link in re.findall(
        r"\]\(([^)#]+)[^)]*\)", metadata.get_payload()
    ):  # relative: into the sdist, where all of them are
        assert link.startswith("http") or (ROOT / link).exists()


SMOKE = """
import tensor_optix, pathlib
assert "site-packages" in tensor_optix.__file__, tensor_optix.__file__
agent = tensor_optix.load_agent("runs/run-0001")
print("mean of", tensor_optix.evaluate(agent, "CartPole-v1", num_episodes=3).num_episodes)
"""


@pytest.mark.extras
def test_the_wheel_works_in_a_fresh_environment(built: Path, tmp_path: Path) -> None:
    """Far from the checkout; the dependencies are those of the tests (`version_bounds.py` installs its own)."""
    venv.create(tmp_path / "venv", with_pip=True)
    (site,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text("\n".join(path for path in sys.path if "site-packages" in path))
    folder = tmp_path / "venv" / "bin"
    wheel = next(built.glob("*.whl"))
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"HOME": str(tmp_path)}

    def run(program: str, *arguments: object) -> str:
        done = subprocess.run([folder / program, *arguments], cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("python", "-m", "pip", "install", "--no-deps", "--quiet", wheel)
    assert "train" in run("tensor-optix", "--help")
    run("tensor-optix", "train", "CartPole-v1", "--max-windows", "2", "--checkpoint-dir", "runs", "--quiet")
    assert "mean of 3" in run("python", "-c", SMOKE)


@pytest.mark.extras
@pytest.mark.parametrize("extra", sorted(EXTRAS))
def test_each_extra_resolves(extra: str, built: Path) -> None:
    """With the dependencies of the wheel, as pip would install it; nothing is installed."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--dry-run", "--quiet"]
    wanted = f"tensor-optix[{extra}] @ {next(built.glob('*.whl')).as_uri()}"
    done = subprocess.run([*command, "--no-cache-dir", wanted], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
