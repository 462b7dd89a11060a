"""What a command answers with: lines for people or, with ``--json``, one document and nothing else.

Only typer and rich are imported here, so that ``--help`` is there at once.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tensor_optix.cli.exits import failures_as_messages

WIDE = 160
"""Columns of a table in a pipe or file, which wraps nothing."""


class Answer:
    """Gathers what a command has to say.

    Args:
        is_json: ``--json``.

    Attributes:
        document: What is printed with ``--json``.
        console: What is shown while something goes on: standard output or, with ``--json``, standard error.
    """

    def __init__(self, is_json: bool) -> None:
        self.is_json = is_json
        self.document: dict[str, Any] = {}
        self.console = Console(stderr=is_json)

    def say(self, *lines: str) -> None:
        """Print lines for people; nothing with ``--json``."""
        if not self.is_json:
            for line in lines:
                self.console.print(printable(line), markup=False, highlight=False, soft_wrap=True)

    def say_rows(self, rows: Mapping[str, str]) -> None:
        """Print named values below one another, on a terminal wrapped beside their names; nothing with ``--json``."""
        width = max(map(len, rows))
        if not self.console.is_terminal:
            self.say(*(f"{name:<{width}}  {value}" for name, value in rows.items()))
            return
        table = Table.grid(padding=(0, 2))
        for name, value in rows.items():
            table.add_row(Text(name, style="bold"), Text(printable(value)))
        self.show(table)

    def show(self, drawn: Any) -> None:
        """Print a table or the like for people; nothing with ``--json``."""
        if not self.is_json:
            width = None if self.console.is_terminal else max(self.console.width, WIDE)
            self.console.print(drawn, highlight=False, width=width)

    def meanwhile(self, what: str, *, quiet: bool = False) -> contextlib.AbstractContextManager[Any]:
        """Show on a terminal that something is done which takes a while; nothing elsewhere, nor with ``quiet``."""
        if quiet or self.is_json or not self.console.is_terminal:
            return contextlib.nullcontext()
        return self.console.status(what)

    def suggest(self, *commands: str) -> None:
        """Say what may be done next."""
        self.document["next"] = list(commands)
        if commands:
            self.say("", "Next:", *(f"  {command}" for command in commands))


@contextlib.contextmanager
def answering(is_json: bool) -> Iterator[Answer]:
    """Give a command its answer; failures become one message, and ``"error"`` in the document.

    Args:
        is_json: ``--json``.
    """
    answer = Answer(is_json)
    with _alone_on_stdout(is_json) as stdout:
        try:
            with failures_as_messages(lambda message: answer.document.update(error=message)):
                yield answer
        finally:
            if is_json:
                print(_strict_json(answer.document), file=stdout, flush=True)


def printable(text: str) -> str:
    """Return a text that no terminal takes for orders, whoever wrote it: of control characters, ``?`` is left."""
    return "".join(mark if mark.isprintable() or mark == "\n" else "?" for mark in text)


def _strict_json(document: dict[str, Any]) -> str:
    from tensor_optix.core.storage.json_files import to_jsonable

    return json.dumps(to_jsonable(document), indent=2, allow_nan=False)


@contextlib.contextmanager
def _alone_on_stdout(is_alone: bool) -> Iterator[TextIO]:
    """Turn to standard error what environments, libraries and C++ print meanwhile; give the standard output."""
    stdout = sys.stdout
    if not is_alone:
        yield stdout
        return
    with contextlib.redirect_stdout(sys.stderr):
        if not _is_descriptor(stdout, 1) or not _is_descriptor(sys.stderr, 2):
            yield stdout
            return
        stdout.flush()
        kept = os.dup(1)
        os.dup2(2, 1)
        try:
            with os.fdopen(kept, "w", encoding="utf-8", closefd=False) as own:
                yield own
        finally:
            os.dup2(kept, 1)
            os.close(kept)


def _is_descriptor(stream: Any, number: int) -> bool:
    try:
        return bool(stream.fileno() == number)
    except (OSError, ValueError, AttributeError):  # a stream in memory, or none
        return False
