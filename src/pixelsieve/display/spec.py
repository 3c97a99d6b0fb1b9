"""Tables and figures as values: what is shown, whatever prints it (terminal, page, matplotlib)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

INK, BASELINE = "ink", "grey"
"""Colours that have a name: of float networks, and of baselines."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a table.

    `spread` is what follows the text, such as `± 0.0012`, `interval` a second line that a page
    has room for, `value` the number that a column is sorted by (default: the text).
    """

    text: str
    spread: str = ""
    interval: str = ""
    value: float | None = None


def cell_of(cell: Cell | str) -> Cell:
    """Return a cell; a text alone is one."""
    return Cell(cell) if isinstance(cell, str) else cell


@dataclass(frozen=True, slots=True)
class Column:
    """A column: `title` for a page, `short` for a terminal (default: the title), never broken.

    Numbers are set to the right. Columns of rank 0 are always shown; of the others a narrow
    terminal leaves out those of the highest rank first. If a table has columns of several
    `group`s and does not fit, each group is a table of its own beside the columns of no group.
    Without any title a table has no heading.
    """

    title: str
    number: bool = False
    short: str = ""
    rank: int = 0
    group: str = ""


def numbers(*titles: str) -> tuple[Column, ...]:
    """Return columns of numbers."""
    return tuple(Column(title, number=True) for title in titles)


@dataclass(frozen=True, slots=True)
class Row:
    """A row of as many cells as there are columns.

    `section` draws a line above it, `muted` sets it back (baselines).
    """

    cells: tuple[Cell | str, ...]
    section: bool = False
    muted: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table; `caption` is a sentence or two below it.

    `source` is the file that holds all of it, named if a terminal has no room for some columns.
    With `second_lines` a terminal shows the intervals too.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    caption: str = ""
    source: str = ""
    second_lines: bool = False


Cells = Iterable[Cell | str | int]


def table(
    title: str,
    columns: Iterable[Column | str],
    rows: Iterable[Row | Cells],
    caption: str = "",
    source: str = "",
    *,
    second_lines: bool = False,
) -> Table:
    """Return a table; a title alone is a column of text, cells alone are a row."""
    return Table(
        title,
        tuple(Column(one) if isinstance(one, str) else one for one in columns),
        tuple(one if isinstance(one, Row) else row_of(*one) for one in rows),
        caption,
        source,
        second_lines,
    )


def row_of(*cells: Cell | str | int, section: bool = False, muted: bool = False) -> Row:
    """Return a row; whole numbers are written as they are."""
    shown = tuple(str(one) if isinstance(one, int) else one for one in cells)
    return Row(shown, section, muted)


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis; its ends are those of the points if `low` and `high` are None.

    `categories` are the places of a category axis in order; `whole` asks for ticks at whole
    numbers.
    """

    label: str
    scale: Literal["linear", "log", "category"] = "linear"
    low: float | None = None
    high: float | None = None
    whole: bool = False
    categories: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Point:
    """A point; `low` and `high` are the ends of its error bar, `told` what a page says of it."""

    x: float | str
    y: float | None
    low: float | None = None
    high: float | None = None
    told: str = ""


@dataclass(frozen=True, slots=True)
class Series:
    """Points drawn in one way: a `line`, `step`s, points with `errors`, `points`, or a `front`.

    `colour` is a number in the palette or `INK` or `BASELINE`; `dash` numbers the pattern
    of baselines from 1, `tell` is said of every point.
    """

    name: str
    colour: int | str
    draw: Literal["line", "step", "errors", "points", "front"]
    points: tuple[Point, ...]
    dash: int = 0
    thin: bool = False
    tell: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """Axes and series; `marks` are vertical lines, `layout` tells a page how much room it takes."""

    x: Axis
    y: Axis
    series: tuple[Series, ...]
    title: str = ""
    marks: tuple[float, ...] = ()
    layout: Literal["", "wide", "pair"] = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """Charts that are shown together under a label, such as those of one width in bits."""

    label: str
    charts: tuple[Chart, ...]
