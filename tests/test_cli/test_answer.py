"""What a command says: lines, or one JSON document and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
import typer

from tensor_optix.cli.answer import answering, printable
from tensor_optix.exceptions import CheckpointError, InvalidArgumentError

NOISY = """
import os
from tensor_optix.cli.answer import answering
with answering(True) as answer:
    print("python prints")
    os.write(1, b"C prints\\n")
    os.system("echo a child prints")
    answer.console.print("progress")
    answer.document["mean"] = float("nan")
"""


def refuse(constant: str) -> Any:
    raise AssertionError(f"{constant} is no JSON")


def test_lines_are_printed_and_no_document(capsys: pytest.CaptureFixture[str]) -> None:
    with answering(False) as answer:
        answer.document["mean"] = 3.0
        answer.say("a [bold]line[/]")
        answer.show("drawn")
        answer.suggest("tensor-optix list")
    assert capsys.readouterr().out.splitlines() == ["a [bold]line[/]", "drawn", "", "Next:", "  tensor-optix list"]


def test_a_document_is_printed_and_no_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with answering(True) as answer:
        answer.say("a line")
        answer.show("drawn")
        answer.suggest("tensor-optix list")
    assert json.loads(capsys.readouterr().out) == {"next": ["tensor-optix list"]}


@pytest.mark.parametrize(("error", "code"), [(InvalidArgumentError("no"), 2), (CheckpointError("no"), 1)])
def test_a_failure_is_in_the_document_and_a_message(
    error: Exception, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as left, answering(True):
        raise error
    captured = capsys.readouterr()
    assert left.value.exit_code == code
    assert json.loads(captured.out) == {"error": "no"}
    assert captured.err == "Error: no\n"


def test_the_document_stands_alone_whatever_else_is_printed_and_is_strict() -> None:
    done = subprocess.run([sys.executable, "-c", NOISY], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout, parse_constant=refuse) == {"mean": None}
    for line in ("python prints", "C prints", "a child prints", "progress"):
        assert line in done.stderr
    assert os.linesep in done.stdout


def test_no_text_gives_orders_to_a_terminal() -> None:
    assert printable("run\x1b[2J\x07\rx\u202e\nnext ä") == "run?[2J??x?\nnext ä"
