"""The common look of all figures: field style, colour-blind safe, saved as PNG and PDF."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pixelsieve.core.files import replacing
from pixelsieve.report.colours import INK, colours

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "APPROACH_COLOURS",
    "BASELINE_COLOUR",
    "BASELINE_LINES",
    "BASELINE_MARKERS",
    "CLASS_COLOURS",
    "canvas",
    "colour_of",
]

APPROACH_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Colours that can be told apart by everyone (Okabe and Ito 2008)."""

_NOT_BLACK = APPROACH_COLOURS[:-1]
BASELINE_COLOUR = "#777777"
BASELINE_LINES, BASELINE_MARKERS = ("--", ":"), ("s", "D")
"""Baselines in the order of metrics.json; as on the page."""

CLASS_COLOURS = {"signal": ("signal", APPROACH_COLOURS[0]), "bib": ("BIB", APPROACH_COLOURS[1])}
"""Name and colour of each class."""


def colour_of(approach: str, approaches: list[str]) -> str:
    """The colour of an approach, that of the page; float is black."""
    number = colours(approaches)[approach]
    return "#000000" if number == INK else APPROACH_COLOURS[int(number) % len(_NOT_BLACK)]


@contextmanager
def canvas(
    path: Path, size: tuple[float, float] = (7.0, 5.0), rows: int = 1, columns: int = 1
) -> Iterator[Figure]:
    """Give a figure with a grid of axes; save it as `path`.png and `path`.pdf afterwards."""
    import matplotlib as mpl
    import mplhep
    from matplotlib.figure import Figure

    style = {
        **mplhep.style.CMS,
        "font.size": 11,
        "axes.titlesize": 11,
        "axes.labelsize": 12,
        "legend.fontsize": 9,
        "xtick.labelsize": 10,
        "ytick.labelsize": 10,
        "figure.figsize": size,
        "lines.linewidth": 1.4,
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans"],
        "mathtext.fontset": "dejavusans",
    }
    with mpl.rc_context(style):
        figure = Figure(figsize=size, layout="constrained")
        figure.subplots(rows, columns, squeeze=False)
        yield figure
        for suffix in (".png", ".pdf"):
            with replacing(path.with_name(path.name + suffix)) as temporary:
                figure.savefig(temporary, dpi=150)
