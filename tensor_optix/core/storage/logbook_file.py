"""``logbook.jsonl``: what was decided in a run, and when; what the history has no column for.

The history is a matter of numbers that repeat to the bit; times do not, so they are here. A run that went on from a
checkpoint writes once more what came after that: whoever reads drops what it replaced.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensor_optix.core.storage.atomic_files import regular_file
from tensor_optix.core.storage.history_lines import line_of, lines_of, parsed
from tensor_optix.core.storage.json_files import to_jsonable
from tensor_optix.exceptions import CheckpointError

logger = logging.getLogger(__name__)

LOGBOOK_FILE = "logbook.jsonl"
MOST = 1e18
"""Windows, env steps or seconds: no run has as many, whatever a file says."""

BEGAN = "began"
"""The kind of an entry with which a call of ``run()`` begins."""


def append_entry(root: Path, entry: Mapping[str, Any]) -> None:
    """Add one entry; it is handed to the system at once.

    Raises:
        OSError: The system refuses, or there is a link in its place.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(root / LOGBOOK_FILE, flags, 0o666)
    try:
        os.write(descriptor, line_of(to_jsonable(dict(entry))))
    finally:
        os.close(descriptor)


def read_entries(root: Path) -> tuple[list[dict[str, Any]], int]:
    """Return a run's entries, oldest first and each once, and how many lines are damaged; none where there is no file.

    Raises:
        CheckpointError: The file cannot be read.
        UnsafeFileError: It is a link that leads out of the folder.
    """
    if not os.path.lexists(root / LOGBOOK_FILE):
        return [], 0
    entries: list[dict[str, Any]] = []
    num_bad = 0
    for line in lines_of(regular_file(root, LOGBOOK_FILE)):
        entry = parsed(line)
        if entry is None or not _is_entry(entry):
            num_bad += 1
            continue
        if entry["kind"] == BEGAN:
            entries = [before for before in entries if before["windows"] <= entry["windows"]]
        entries.append(entry)
    return entries, num_bad


def try_read_entries(root: Path) -> tuple[list[dict[str, Any]], int]:
    """Return the same; where the file cannot be read, say so and return none."""
    try:
        return read_entries(root)
    except CheckpointError as error:
        logger.warning("The logbook in %s cannot be read and is not used: %s", root, error)
        return [], 0


def _is_entry(entry: Mapping[str, Any]) -> bool:
    numbers = (entry.get("windows"), entry.get("env_steps"), entry.get("seconds"))
    return isinstance(entry.get("kind"), str) and all(
        isinstance(number, int | float) and not isinstance(number, bool) and 0 <= number < MOST for number in numbers
    )
