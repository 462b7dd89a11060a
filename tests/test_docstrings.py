"""What docstrings show runs, and the defaults that they name are those of the code."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import tensor_optix
from tensor_optix import DQNAgent, PPOAgent, SACAgent, TFAgent

DOCS = Path(__file__).parent.parent / "docs"
SKIPPED = {
    "tensor_optix.adapters.tensorflow.loading.load_agent": "shows what a run that was trained to the end gives",
    "tensor_optix.algorithms.dqn.DQNAgent": "trains to the end",
    "tensor_optix.algorithms.sac.SACAgent": "trains to the end",
    "tensor_optix.optimizer.RLOptimizer": "trains to the end",
    "tensor_optix.reporting.run.Run": "reads a run that was trained before",
}
"""Examples with lines that are not run, and why."""

NUMBER = r"(-?\d[\d,]*\.?\d*(?:e-?\d+)?)"
DEFAULTS_OF = {
    agent: {name: setting.default for name, setting in agent._settings.items()}
    for agent in (TFAgent, PPOAgent, DQNAgent, SACAgent)
}


def examples() -> Iterator[doctest.DocTest]:
    for module in pkgutil.walk_packages(tensor_optix.__path__, "tensor_optix."):
        if not module.name.endswith("__main__"):
            yield from doctest.DocTestFinder().find(importlib.import_module(module.name))


EXAMPLES = {test.name: test for test in examples() if test.examples}


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_example_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    output: list[str] = []
    result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(EXAMPLES[name], out=output.append)
    assert result.failed == 0, "".join(output)


def test_what_is_not_run_is_named_with_its_reason() -> None:
    skipped = {name for name, test in EXAMPLES.items() if any(doctest.SKIP in e.options for e in test.examples)}
    assert skipped == set(SKIPPED)


@pytest.mark.parametrize("agent", DEFAULTS_OF, ids=lambda agent: agent.__name__)
def test_hyperparameters_named_in_a_docstring_have_that_default(agent: type) -> None:
    named = re.findall(rf"``(\w+)``\s+{NUMBER}", inspect.getdoc(agent) or "")
    told = {name: number(text) for name, text in named if name in DEFAULTS_OF[agent]}
    assert told == {name: DEFAULTS_OF[agent][name] for name in told}
    assert agent not in (TFAgent, PPOAgent) or len(told) >= 5


def test_the_tables_of_the_algorithms_tell_the_defaults() -> None:
    told = 0
    page = (DOCS / "algorithms.md").read_text(encoding="utf-8")
    for line in page[page.index("## Tunable") : page.index("## What they learn")].splitlines():
        if not line.startswith("| `"):
            continue
        names, *cells = line.strip("| ").split("|")
        for agent, cell in zip((PPOAgent, DQNAgent, SACAgent), cells, strict=False):
            for name, value in values_in(re.findall(r"`(\w+)`", re.sub(r"\(.*?\)", "", names)), cell).items():
                assert value == default_of(agent, name), f"{agent.__name__}: {name}"
                told += 1
    assert told >= 45


def values_in(names: list[str], cell: str) -> dict[str, object]:
    """Return what a cell of the table tells of these names; words other than yes and no tell nothing."""
    texts = [text.strip() for text in re.sub(r"\(.*?\)", "", cell).split(", ")]
    if names == ["hidden_units"]:
        return {"hidden_units": tuple(map(number, texts))}
    values = {name: {"yes": True, "no": False}.get(text, text) for name, text in zip(names, texts, strict=False)}
    numbers = {name: number(text) for name, text in values.items() if re.fullmatch(NUMBER, str(text))}
    return {name: value for name, value in {**values, **numbers}.items() if not isinstance(value, str)}


def number(text: str) -> float:
    return float(text.replace(",", ""))


def default_of(agent: type, name: str) -> object:
    settings = DEFAULTS_OF[agent]
    return settings[name] if name in settings else inspect.signature(agent).parameters[name].default
