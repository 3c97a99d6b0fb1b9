"""The common look of all figures: field style, colour-blind safe, saved as PNG and PDF."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pixelsieve.files import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["APPROACH_COLOURS", "CLASS_COLOURS", "canvas", "colour_of"]

APPROACH_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Colours that can be told apart by everyone (Okabe and Ito 2008)."""

CLASS_COLOURS = {"signal": ("signal", APPROACH_COLOURS[0]), "bib": ("BIB", APPROACH_COLOURS[1])}
"""Name and colour of each class."""


def colour_of(approach: str, approaches: list[str]) -> str:
    """One colour an approach, the same in every figure of a run; float is black."""
    if approach == "float":
        return "#000000"
    others = [a for a in dict.fromkeys(approaches) if a != "float"]
    return APPROACH_COLOURS[others.index(approach) % (len(APPROACH_COLOURS) - 1)]


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
            with replacing(path.with_suffix(suffix)) as temporary:
                figure.savefig(temporary, dpi=150)
