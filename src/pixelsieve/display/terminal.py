"""Print tables in a terminal: columns that do not fit are left out or make a table of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rich.box import HEAVY_HEAD, SIMPLE_HEAD
from rich.cells import cell_len
from rich.markup import escape
from rich.table import Table as RichTable
from rich.text import Text

from pixelsieve.display.spec import Cell, Column, Table, cell_of


def tables(table: Table, width: int) -> list[RichTable]:
    """Return the table as one or several tables that `width` characters hold.

    A table of several groups that does not fit is one table per group, each with the columns of
    no group and the rows that say something; the first has title and caption. Of what still does
    not fit, the columns of the highest rank are left out.
    """
    every = range(len(table.columns))
    groups = list(dict.fromkeys(c.group for c in table.columns if c.group))
    if len(groups) < 2 or _total(table, _least(table, every)) <= width:  # noqa: PLR2004 (several)
        return [_fitted(table, list(every), width)]
    parts = []
    for group in groups:
        own = [i for i in every if table.columns[i].group == group]
        part = replace(
            table,
            title=table.title if group == groups[0] else f"{table.title.split(',')[0]}, {group}",
            rows=tuple(r for r in table.rows if any(cell_of(r.cells[i]).text for i in own)),
            caption=table.caption if group == groups[0] else "",
        )
        shown = [i for i in every if table.columns[i].group in ("", group)]
        parts.append(_fitted(part, shown, width))
    return parts


def _fitted(table: Table, shown: list[int], width: int) -> RichTable:
    """Return the table of the columns `shown`, less those for which there is no room."""
    left = list(shown)
    while _total(table, _least(table, left)) > width:
        last = max(left, key=lambda i: (table.columns[i].rank, i))
        if table.columns[last].rank == 0:
            break
        left.remove(last)
    caption = table.caption
    if len(left) < len(shown):
        more = f"{table.source} and a wider terminal have more" if table.source else ""
        caption = "; ".join(filter(None, (caption, more or "a wider terminal shows more")))
    made = RichTable(
        title=escape(table.title) or None,
        caption=escape(caption) or None,
        title_justify="left",
        caption_justify="left",
        show_header=any(c.title or c.short for c in table.columns),
        box=SIMPLE_HEAD if table.second_lines else HEAVY_HEAD,
        padding=(0, 1, 0, 0) if table.second_lines else (0, 1),
    )
    for i, room in zip(left, _widths(table, left, width), strict=True):
        column = table.columns[i]
        made.add_column(
            Text(column.short or column.title),
            justify="right" if column.number else "left",
            width=room,
            overflow="fold",
        )
    for row in table.rows:
        if row.section:
            made.add_section()
        made.add_row(*(Text("\n".join(_lines(row.cells[i], table))) for i in left))
    return made


def _lines(cell: Cell | str, table: Table) -> list[str]:
    """Return the lines of a cell; the zero of a spread or of a difference saves no room."""
    one = cell_of(cell)
    spread = one.spread.replace("± ", "±").replace("±0.", "±.")
    lines = f"{one.text} {spread}".rstrip(" ").split("\n")
    second = one.interval.replace("± ", "±").replace("0.", ".") if table.second_lines else ""
    return [*lines, second] if second else lines


def _frame(table: Table) -> tuple[int, int]:
    """Return the characters of the frame: of each column, and besides."""
    return (1, 2) if table.second_lines else (3, 1)


def _total(table: Table, widths: Sequence[int]) -> int:
    each, besides = _frame(table)
    return sum(widths) + each * len(widths) + besides


def _widths(table: Table, shown: Sequence[int], width: int) -> list[int]:
    """Return the width of each column: what it needs, or as much of it as there is room for."""
    least, most = _least(table, shown), [_most(table, i) for i in shown]
    spare = width - _total(table, least)
    while spare < 0 and max(least) > 1:  # last resort: words are broken
        least[least.index(max(least))] -= 1
        spare += 1
    for i in sorted(range(len(shown)), key=lambda i: most[i] - least[i]):
        more = max(0, min(most[i] - least[i], spare))
        least[i] += more
        spare -= more
    return least


def _least(table: Table, shown: Sequence[int]) -> list[int]:
    """Return the widths below which a word would be broken.

    Headings made for a terminal and numbers with a spread stay in one line.
    """
    found = []
    for i in shown:
        column = table.columns[i]
        whole = table.second_lines or any(cell_of(row.cells[i]).spread for row in table.rows)
        cells = [line for row in table.rows for line in _lines(row.cells[i], table)]
        words = [*_heading(column)] if column.short else column.title.split()
        words += cells if whole else [word for line in cells for word in line.split()]
        found.append(max(map(cell_len, words), default=1))
    return found


def _most(table: Table, i: int) -> int:
    cells = [line for row in table.rows for line in _lines(row.cells[i], table)]
    return max(map(cell_len, [*cells, *_heading(table.columns[i]), " "]))


def _heading(column: Column) -> list[str]:
    return (column.short or column.title).split("\n")
