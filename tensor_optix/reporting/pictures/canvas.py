"""What all pictures share: sizes, fonts, and how a drawing becomes two PNGs.

Colours differ in lightness and lines in their strokes, so that nothing is lost in black and white.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tensor_optix.exceptions import MissingExtraError

DARK, MIDDLE, LIGHT, WARM, RED = "#1a3a5c", "#4a7ba8", "#b9d0e4", "#c8610a", "#a82315"
"""Lines and bands; each is of another lightness."""

STROKES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 2)))
SHADES = (DARK, WARM, "#5d8f3a", "#8756a3", "#666666", "#b8a000")
"""Of several groups, in turn."""

_WIDE_DPI, _NARROW_DPI = 150, 200


@dataclass(frozen=True)
class Size:
    """How large a picture is drawn.

    Attributes:
        width: In inches.
        is_narrow: Whether it is meant for a telephone.
    """

    width: float
    is_narrow: bool


WIDE, NARROW = Size(8.6, is_narrow=False), Size(3.9, is_narrow=True)


@dataclass(frozen=True)
class Picture:
    """A picture in both sizes.

    Attributes:
        name: Of its file, without the ending.
        text: What it shows, for whoever cannot see it.
        wide: PNG.
        narrow: PNG.
    """

    name: str
    text: str
    wide: bytes
    narrow: bytes


def drawn(
    name: str, text: str, draw: Callable[[Any, Size], None], *, height: float | Callable[[Size], float]
) -> Picture:
    """Return a picture, drawn in both sizes.

    Args:
        name: Of its file.
        text: What it shows.
        draw: Is given an empty figure of Matplotlib's and its size.
        height: In inches; a function of the size, where it depends on that.

    Raises:
        MissingExtraError: Matplotlib is not installed.
    """
    made = [_png(draw, size, height if isinstance(height, float | int) else height(size)) for size in (WIDE, NARROW)]
    return Picture(name, text, *made)


def _png(draw: Callable[[Any, Size], None], size: Size, height: float) -> bytes:
    matplotlib, figure_class = _matplotlib()
    font = 8.5 if size.is_narrow else 9.0
    look = {
        **{"font.size": font, "axes.titlesize": font, "axes.labelsize": font, "legend.fontsize": font - 0.5},
        **{"axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "axes.grid.axis": "y"},
        **{"grid.color": "#dddddd", "grid.linewidth": 0.6, "axes.axisbelow": True, "legend.frameon": False},
        **{"hatch.linewidth": 0.5, "hatch.color": "#8a8a8a", "font.family": "DejaVu Sans"},
    }
    with matplotlib.rc_context(look):
        figure = figure_class(figsize=(size.width, height), layout="constrained")
        draw(figure, size)
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=_NARROW_DPI if size.is_narrow else _WIDE_DPI)
    return file.getvalue()


def _matplotlib() -> tuple[Any, Any]:
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError(
            "Reports need Matplotlib, the extra tensor-optix[plots]: pip install matplotlib."
        ) from error
    return matplotlib, Figure


def counted(axis: Any, size: Size) -> None:
    """Let an axis show whole numbers with commas, and no more of them than there is room for."""
    axis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axis.get_major_locator().set_params(nbins=4 if size.is_narrow else 8)


def legend_below(figure: Any, size: Size) -> None:
    """Put one legend of all that is labelled below a figure."""
    handles: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    if not handles:
        return
    labels = [wrapped(label, 42 if size.is_narrow else 90) for label in handles]
    longest = max(len(line) for label in labels for line in label.splitlines())
    columns = 1 if size.is_narrow or longest > 60 else 2 if longest > 42 else 3
    figure.legend(handles.values(), labels, loc="outside lower center", ncols=columns)


def wrapped(text: str, width: int) -> str:
    """Return a text in lines of so many characters, broken between words."""
    return "\n".join(textwrap.wrap(text, width, break_on_hyphens=False)) or text


def unit_of_time(seconds: float) -> tuple[float, str]:
    """Return the unit that suits a length of time, and what an axis in it is called."""
    for unit, name in ((86_400.0, "days"), (3600.0, "hours"), (60.0, "minutes")):
        if seconds >= 3 * unit:
            return unit, f"wall time [{name}]"
    return 1.0, "wall time [seconds]"
