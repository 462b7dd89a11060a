"""Builds the documentation site from what can be read without it: ``docs/``, ``examples/`` and the docstrings.

    make docs                                   # installs what it needs, builds build/docs/html
    python website/build.py --pages-only        # only puts the pages together, in build/docs/pages

The pages of ``docs/`` are taken as they are; those of ``examples/`` and of the API are written here. The build is
strict: a link to a page or an anchor that is not there ends it.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
BUILD = ROOT / "build" / "docs"
PACKAGE = ROOT / "tensor_optix"
BESIDE = ("CONTRIBUTING.md", "CHANGELOG.md")
"""Pages at the top of the checkout that belong to the site, too."""

API = {
    "Runs": ("optimizer", "presets", "pipeline.evaluation", "pipeline.environment_names", "core.run_result", "sweeps"),
    "Agents": ("adapters.tensorflow.tf_agent", "adapters.tensorflow.loading", "algorithms", "core.base_agent"),
    "Pipelines": ("pipeline", "core.base_pipeline"),
    "Evaluators": ("adapters.tensorflow.tf_evaluator", "core.base_evaluator"),
    "Hyperparameters": ("optimizers", "core.base_optimizer", "core.search_space"),
    "Callbacks and reports": ("core.callbacks", "reporting"),
    "Detectors": ("monitoring",),
    "Errors": ("exceptions",),
    "Tests for parts of yours": ("testing",),
    "Values and the loop": ("",),
}
"""Pages of the API: the modules (or folders) whose names they hold. A name belongs to the first page that fits."""

REPORTING = r"Progress$|\w+(Callback|Logger)$|StopOnScore$|Run$|Comparison$|(plot|write|compare)_\w+"
"""What of ``reporting`` is for users."""

PLAIN = {r":(?:class|func|meth|mod|attr|data):`~?([^`]+)`": r"``\1``", r"(?m)^( +)Example:$": r"\1Examples:"}
"""What docstrings say in Sphinx's way, and how the site's reader of docstrings wants it."""


# What the API consists of, read off the source: nothing is imported.


def public_names() -> list[str]:
    """Return ``module.name``, below the package, of all that is for users."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    named = [
        f"{node.module}.{alias.name}".removeprefix("tensor_optix.")
        for node in imports
        for alias in node.names
        if alias.asname == alias.name
    ]
    return list(dict.fromkeys([*named, *_more_names()]))


def _more_names() -> Iterator[str]:
    yield from (f"algorithms.registry.{name}" for name in ("register", "unregister"))
    for path in [PACKAGE / "exceptions.py", *sorted((PACKAGE / "testing").glob("*.py"))]:
        yield from _classes_in(path)
    for path in sorted((PACKAGE / "reporting").glob("**/*.py")):
        if "shared" not in path.parts:
            yield from _classes_in(path, only=REPORTING)


def _classes_in(path: Path, only: str = r"[A-Z]\w+") -> Iterator[str]:
    module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        is_public = isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_")
        if is_public and ast.get_docstring(node) and re.match(only, node.name):
            yield f"{module}.{node.name}"


def api_pages() -> dict[str, list[str]]:
    """Return the public names of each page of the API."""
    pages: dict[str, list[str]] = {title: [] for title in API}
    for name in public_names():
        module = name.rpartition(".")[0]
        pages[next(title for title, prefixes in API.items() if _is_in(module, prefixes))].append(name)
    return {title: names for title, names in pages.items() if names}


def _is_in(module: str, prefixes: tuple[str, ...]) -> bool:
    return any(not prefix or f"{module}.".startswith(f"{prefix}.") for prefix in prefixes)


# Pages


def file_of(title: str) -> str:
    """Return the file of a page of the API."""
    return f"api/{title.lower().replace(' ', '_')}.md"


def api_page(title: str, names: list[str]) -> str:
    """Return a page on which each name's docstring will stand."""
    return f"# {title}\n\n" + "\n".join(f"::: tensor_optix.{name}\n" for name in names)


def example_page(path: Path) -> str:
    """Return a page with an example, what it says of itself first."""
    if path.suffix == ".ipynb":
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        texts = [(cell["cell_type"], "".join(cell["source"])) for cell in cells]
        return "\n\n".join(text if kind == "markdown" else f"```python\n{text}\n```" for kind, text in texts) + "\n"
    source = path.read_text(encoding="utf-8")
    first, _, more = (ast.get_docstring(ast.parse(source)) or "").partition("\n\n")
    code = re.sub(r'^""".*?"""\n+', "", source, count=1, flags=re.DOTALL)
    said = [first, *map(_prose_or_commands, more.split("\n\n"))] if more else [first]
    return "\n\n".join([f"# {path.name}", *said, f"```python\n{code}```"]) + "\n"


def _prose_or_commands(paragraph: str) -> str:
    lines = [line.strip() for line in paragraph.splitlines()]
    are_commands = all(line.startswith(("python ", "pip ")) for line in lines)
    return "\n".join(["```text", *lines, "```"]) if are_commands else re.sub("::$", ":", paragraph)


def for_the_site(text: str, is_beside: bool) -> str:
    """Return a page with its links as they are in the site, where all pages of ``docs/`` are at the top."""
    text = re.sub(r"\]\((?:\.\./)?examples/(\w+)\.(?:py|ipynb)\)", r"](examples/\1.md)", text)
    return text.replace("](docs/", "](") if is_beside else text.replace("](../", "](")


def write_pages(into: Path) -> None:
    """Put all pages together."""
    shutil.rmtree(into, ignore_errors=True)
    shutil.copytree(ROOT / "docs", into)
    shutil.copy(Path(__file__).parent / "extra.css", into)
    for path in [*(ROOT / "docs").glob("*.md"), *(ROOT / name for name in BESIDE)]:
        text = path.read_text(encoding="utf-8")
        (into / path.name).write_text(for_the_site(text, path.name in BESIDE), encoding="utf-8")
    (into / "examples").mkdir()
    for path in example_files():
        (into / "examples" / f"{path.stem}.md").write_text(example_page(path), encoding="utf-8")
    (into / "api").mkdir()
    for title, names in api_pages().items():
        (into / file_of(title)).write_text(api_page(title, names), encoding="utf-8")


def example_files() -> list[Path]:
    """Return the examples, in the order of their names."""
    return sorted(path for path in (ROOT / "examples").iterdir() if path.suffix in (".py", ".ipynb"))


# Settings


def settings() -> dict[str, Any]:
    """Return what ``mkdocs.yml`` says, with pages that it cannot know: the API's, and those that it does not name."""
    given: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "mkdocs.yml").read_text(encoding="utf-8"))
    named = set(pages_of(given["nav"]))
    unnamed = sorted(path.name for path in (ROOT / "docs").glob("*.md") if path.name not in named)
    given["nav"] += [{"More": unnamed}] if unnamed else []
    given["nav"] += [{"API": [{title: file_of(title)} for title in api_pages()]}]
    return given


def pages_of(nav: Any) -> list[str]:
    """Return the files that a navigation names."""
    if isinstance(nav, str):
        return [nav]
    below = nav.values() if isinstance(nav, dict) else nav
    return [page for part in below for page in pages_of(part)]


def write_source(into: Path) -> None:
    """Copy the package for its docstrings, in the words that the site's reader knows."""
    shutil.rmtree(into, ignore_errors=True)
    for path in PACKAGE.rglob("*.py"):
        copy = into / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        text = path.read_text(encoding="utf-8")
        for said, plain in PLAIN.items():
            text = re.sub(said, plain, text)
        copy.write_text(text, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--into", type=Path, default=BUILD, help="where pages, settings and site are written")
    parser.add_argument("--pages-only", action="store_true", help="do not build the site")
    options = parser.parse_args()
    write_pages(options.into / "pages")
    write_source(options.into / "source")
    (options.into / "mkdocs.yml").write_text(yaml.safe_dump(settings(), sort_keys=False), encoding="utf-8")
    if not options.pages_only:
        command = [sys.executable, "-m", "zensical", "build", "--clean", "--strict"]
        built = subprocess.run(command, cwd=options.into, env={**os.environ, "NO_COLOR": "1"}, check=False)
        sys.exit(built.returncode or print(f"The site: {options.into / 'html' / 'index.html'}"))


if __name__ == "__main__":
    main()
