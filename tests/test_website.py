"""The documentation hangs together: what is linked is there, and what is asked most is two clicks away."""

from __future__ import annotations

import re
import subprocess
import sys
import unicodedata
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml
from extra_venvs import python_with

import tensor_optix

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "website"))
import build  # noqa: E402

PAGES = {path.name: path for path in [*sorted((ROOT / "docs").glob("*.md")), *(ROOT / name for name in build.BESIDE)]}
TEXTS = {name: path.read_text(encoding="utf-8") for name, path in PAGES.items()}
TEXTS["README.md"] = (ROOT / "README.md").read_text(encoding="utf-8")
NAV = yaml.safe_load((ROOT / "website" / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")

QUESTIONS = {
    "log": ("watching.md", "callbacks=["),
    "plot": ("watching.md#a-picture-of-the-run", "plot_run("),
    "report and compare": ("report.md", "compare_runs("),
    "continue": ("between_runs.md#train-on", "RLOptimizer(agent"),
    "fine-tune": ("between_runs.md#fine-tune-a-model-of-your-own", "PPOAgent(actor"),
    "export": ("deploy.md", "agent.export("),
    "deploy": ("deploy.md#with-onnx", "onnxruntime.InferenceSession("),
    "own env": ("environments.md", "gym.register("),
    "own network": ("own_networks.md", "PPOAgent(actor, critic"),
    "own algorithm": ("own_algorithm.md", "def learn(self"),
    "why did it stop": ("results.md#why-did-it-stop", '"stalled"'),
    "is it good": ("results.md#is-it-good", "confirmed_interval"),
    "what is in the folder": ("results.md#what-is-in-the-folder", "history.jsonl"),
}
"""Where each is answered, and what the answer holds."""


def without_code(text: str) -> str:
    return re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE)


def slug(heading: str) -> str:
    """Return the anchor that Python-Markdown (and GitHub) makes of a heading."""
    plain = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    plain = unicodedata.normalize("NFKD", plain).encode("ascii", "ignore").decode()
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain).strip().lower())


def anchors(name: str) -> set[str]:
    return {slug(heading) for heading in re.findall(r"^#+ (.*)$", without_code(TEXTS[name]), re.MULTILINE)}


def links(name: str) -> list[tuple[str, str]]:
    """Return (path below the checkout, anchor) of each link of a page within the checkout."""
    folder = "docs" if name not in (*build.BESIDE, "README.md") else "."
    found = [link.partition("#") for link in LINK.findall(without_code(TEXTS[name])) if not link.startswith("http")]
    paths = [(ROOT / folder / path).resolve() if path else PAGES.get(name, ROOT / name) for path, _, _ in found]
    return [(path.relative_to(ROOT).as_posix(), anchor) for path, (_, _, anchor) in zip(paths, found, strict=True)]


def section(target: str) -> str:
    page, _, anchor = target.partition("#")
    parts = re.split(r"^(?=##+ )", TEXTS[page], flags=re.MULTILINE)  # a comment in code begins with a single one
    return TEXTS[page] if not anchor else next(part for part in parts if slug(part.partition("\n")[0]) == anchor)


@pytest.mark.parametrize("name", TEXTS)
def test_each_link_leads_to_a_page_and_an_anchor_that_are_there(name: str) -> None:
    assert [path for path, _ in links(name) if not (ROOT / path).exists()] == []
    to_pages = [(Path(path).name, anchor) for path, anchor in links(name) if anchor]
    assert [(page, anchor) for page, anchor in to_pages if anchor not in anchors(page)] == []


def test_a_link_that_leads_nowhere_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TEXTS, "index.md", "[a](nowhere.md) [b](results.md#nowhere) [c](results.md#is-it-good)")
    with pytest.raises(AssertionError, match=r"nowhere\.md"):
        test_each_link_leads_to_a_page_and_an_anchor_that_are_there("index.md")
    monkeypatch.setitem(TEXTS, "index.md", "[b](results.md#nowhere) [c](results.md#is-it-good)")
    with pytest.raises(AssertionError, match=r"results.md.*nowhere"):
        test_each_link_leads_to_a_page_and_an_anchor_that_are_there("index.md")


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_answer_is_within_two_clicks_of_the_front_page_and_of_the_readme(question: str) -> None:
    target, words = QUESTIONS[question]
    assert words in section(target)
    page = f"docs/{target.partition('#')[0]}"
    for front in ("index.md", "README.md"):
        one_click = {path for path, _ in links(front)}
        two_clicks = {path for name in one_click if Path(name).name in TEXTS for path, _ in links(Path(name).name)}
        assert page in one_click | two_clicks


def test_each_question_has_a_line_of_its_own_on_the_front_page() -> None:
    asked = re.findall(r"^\| .*\]\(([\w.#-]+)\).* \|$", TEXTS["index.md"], re.MULTILINE)
    assert [target for target, _ in QUESTIONS.values() if target.partition("#")[0] not in "".join(asked)] == []
    assert len(asked) >= len(QUESTIONS)


def test_the_navigation_names_each_page_once() -> None:
    named = build.pages_of(NAV)
    assert len(named) == len(set(named))
    assert [name for name in named if name not in PAGES] == []
    more = next((part["More"] for part in build.settings()["nav"] if "More" in part), [])
    assert sorted(named + more) == sorted(PAGES)


def test_the_api_has_each_public_name_once() -> None:
    named = [name for names in build.api_pages().values() for name in names]
    assert len(named) == len(set(named))
    assert set(tensor_optix.__all__) - {"__version__"} <= {name.rpartition(".")[2] for name in named}


def test_each_example_is_in_the_list_and_has_a_page_of_its_own(tmp_path: Path) -> None:
    listed = re.findall(r"^\| \[(\w+\.\w+)\]\(\.\./examples/\1\) \|", TEXTS["examples.md"], re.MULTILINE)
    assert sorted(listed) == [path.name for path in build.example_files()]
    build.write_pages(tmp_path)
    for path in build.example_files():
        page = (tmp_path / "examples" / f"{path.stem}.md").read_text(encoding="utf-8")
        assert page.startswith("# ")
        assert "```python\n" in page
        assert f"examples/{path.stem}.md" in (tmp_path / "examples.md").read_text(encoding="utf-8")


class Hypertext(HTMLParser):
    """What a built page links to, and what on it can be linked to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        self.anchors |= {known.get("id") or "", known.get("name") or ""}
        link = known.get("href") or known.get("src") or ""
        if link and not re.match(r"[a-z]+:", link):
            self.links.append(link)


@pytest.mark.extras
def test_the_site_builds_strictly_and_its_links_hold(tmp_path: Path) -> None:
    """With the site's own builder, then read back: every link and anchor of every page, those of the API included."""
    command = [python_with("docs"), ROOT / "website" / "build.py", "--into", tmp_path]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    html = tmp_path / "html"
    pages = {path: Hypertext(path.read_text(encoding="utf-8")) for path in html.rglob("*.html") if path.stem != "404"}
    assert len(pages) >= len(PAGES) + len(build.example_files()) + len(build.api_pages())
    broken = []
    for page, content in pages.items():
        for link in content.links:
            path, _, anchor = link.partition("?")[0].partition("#")
            target = (page.parent / path).resolve() if path else page
            if not target.exists() or (anchor and target in pages and anchor not in pages[target].anchors):
                broken.append(f"{page.relative_to(html)}: {link}")
    assert broken == []
    fetched = [
        page.name for page in pages if re.search(r'(src|href)="https?://[^"]*\.(js|css|woff2?)"', page.read_text())
    ]
    assert fetched == []
