"""What pages are made of: one HTML file that needs nothing else, neither network nor other files."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Mapping, Sequence
from string import Template
from typing import Any

from tensor_optix.reporting.pictures.canvas import Picture

MOST_BYTES = 5_000_000
"""Of a page: what mail takes."""

_SHORT = 16
"""Characters of a table's cell that is not broken."""

_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>$title</title>
<style>
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; color: #1b1b1b;
       background: #fff; max-width: 60rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: .5rem 0; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; border-bottom: 1px solid #999; }
p { margin: .4rem 0; overflow-wrap: anywhere; }
.lead { font-size: 1.1rem; border-left: .3rem solid #1a3a5c; padding: .3rem 0 .3rem .8rem; }
.note { color: #444; font-size: .9rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; margin: .5rem 0; }
th, td { text-align: left; vertical-align: top; padding: .25rem .9rem .25rem 0; border-bottom: 1px solid #ddd;
         font-variant-numeric: tabular-nums; }
thead th { border-bottom: 1px solid #555; }
td.number, th.number { text-align: right; white-space: nowrap; }
table.facts td { overflow-wrap: anywhere; }
table.facts th { font-weight: 600; white-space: nowrap; }
img { max-width: 100%; height: auto; display: block; margin: .5rem 0; }
img.film { border: 1px solid #999; }
pre { background: #f3f3f3; padding: .6rem; white-space: pre-wrap; overflow-wrap: anywhere; font-size: .85rem; }
.whole { white-space: nowrap; }
@media (max-width: 500px) {
  table.facts th { white-space: normal; }
  table.rows, table.rows tbody, table.rows tr { display: block; }
  table.rows thead { display: none; }
  table.rows tr { border-bottom: 1px solid #555; padding: .3rem 0; }
  table.rows td { display: grid; grid-template-columns: 9rem 1fr; gap: .5rem; border: 0; padding: .05rem 0;
                  text-align: left; white-space: normal; overflow-wrap: anywhere; }
  table.rows td:empty { display: none; }
  table.rows td::before { content: attr(data-of); color: #555; }
}
@media print { body { max-width: none; } h2 { break-after: avoid; } img { break-inside: avoid; } }
</style>
</head>
<body>
$body
<p class="note">$foot</p>
</body>
</html>
""")


def page(title: str, parts: Iterable[str], foot: str) -> str:
    """Return a whole page.

    Args:
        title: Plain text.
        parts: HTML, as the functions of this module return it.
        foot: Plain text.
    """
    return _PAGE.substitute(title=html.escape(title), body="\n".join(filter(None, parts)), foot=html.escape(foot))


def heading(text: str) -> str:
    """Return the heading of a page."""
    return f"<h1>{html.escape(text)}</h1>"


def section(title: str, *parts: str) -> str:
    """Return a part of a page below a heading; nothing where it has no content."""
    content = "\n".join(filter(None, parts))
    return f"<h2>{html.escape(title)}</h2>\n{content}" if content else ""


def paragraph(text: str, style: str = "") -> str:
    """Return a paragraph of plain text; nothing for none.

    Args:
        text: Plain text.
        style: "lead", "note", or none.
    """
    chosen = f' class="{style}"' if style else ""
    return f"<p{chosen}>{html.escape(text)}</p>" if text else ""


def listing(items: Sequence[str]) -> str:
    """Return a list of plain texts; nothing for none."""
    return "<ul>" + "".join(f"<li>{html.escape(item)}</li>" for item in items) + "</ul>" if items else ""


def code(text: str) -> str:
    """Return a block of code."""
    return f"<pre>{chr(10).join(map(_unbroken, text.split(chr(10))))}</pre>"


def _unbroken(line: str) -> str:
    """Return a line of code that breaks between words only, unless one is longer than a telephone's screen."""
    words = [
        f'<span class="whole">{html.escape(word)}</span>' if len(word) <= 36 else html.escape(word)
        for word in line.split(" ")
    ]
    return " ".join(words)


def facts(rows: Mapping[str, Any]) -> str:
    """Return named values below each other; those that are None or empty are left out."""
    shown = {name: value for name, value in rows.items() if value is not None and str(value)}
    lines = [
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(str(value))}</td></tr>" for name, value in shown.items()
    ]
    return f'<table class="facts">{"".join(lines)}</table>' if lines else ""


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], numbers: Iterable[int] = ()) -> str:
    """Return a table; nothing where it has no rows.

    Args:
        headings: Of its columns.
        rows: Plain texts.
        numbers: Columns of numbers, which stand on the right.
    """
    if not rows:
        return ""
    right = set(numbers)

    def cells(kind: str, texts: Sequence[str]) -> str:
        kinds = ["number" if i in right else "whole" if len(text) <= _SHORT else "" for i, text in enumerate(texts)]
        looks = [f' class="{look}"' if look else "" for look in kinds]
        named = [f' data-of="{html.escape(heading, quote=True)}"' if kind == "td" else "" for heading in headings]
        made = zip(looks, named, texts, strict=True)
        return "<tr>" + "".join(f"<{kind}{look}{of}>{html.escape(text)}</{kind}>" for look, of, text in made) + "</tr>"

    body = "".join(cells("td", row) for row in rows)
    head = f"<thead>{cells('th', headings)}</thead>"
    return f'<div class="wide"><table class="rows">{head}<tbody>{body}</tbody></table></div>'


def shown(picture: Picture | None) -> str:
    """Return a picture in the size that suits the screen; nothing for none."""
    if picture is None:
        return ""
    narrow, wide = (_data("png", data) for data in (picture.narrow, picture.wide))
    return (
        f'<picture><source media="(max-width: 600px)" srcset="{narrow}">'
        f'<img src="{wide}" alt="{html.escape(picture.text, quote=True)}"></picture>'
    )


def film(gif: bytes, caption: str) -> str:
    """Return an animated GIF with its caption."""
    alt = html.escape(caption, quote=True)
    return f'<img class="film" src="{_data("gif", gif)}" alt="{alt}">\n{paragraph(caption, "note")}'


def _data(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
