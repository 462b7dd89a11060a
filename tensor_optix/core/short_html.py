"""How results, agents and runs show themselves in a notebook: a small table, readable without any style sheet."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

_CELL = "text-align:left;vertical-align:top;padding:2px 12px 2px 0"


def html_table(title: str, rows: Mapping[str, Any]) -> str:
    """Return a title and named values as HTML; rows that are None or empty are left out.

    Args:
        title: Shown in bold.
        rows: Name to value; values are shown as text.
    """
    shown = [(name, str(value)) for name, value in rows.items() if value is not None and str(value)]
    lines = [
        f'<tr><th style="{_CELL}">{html.escape(name)}</th><td style="{_CELL}">{html.escape(value)}</td></tr>'
        for name, value in shown
    ]
    return f"<div><b>{html.escape(title)}</b><table>{''.join(lines)}</table></div>"
