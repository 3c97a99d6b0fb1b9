"""Tables drawn with | and +, and headings, in the text reports of vendor tools."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Table", "after", "column", "first_row", "match", "number", "tables", "whole"]


@dataclass(frozen=True, slots=True)
class Table:
    """Cells without the blanks around them; of several header lines the last."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def tables(text: str) -> list[Table]:
    """Every whole table of a text: rule, header lines, rule, rows (with rules among them), rule."""
    found: list[Table] = []
    header: tuple[str, ...] = ()
    rows: list[tuple[str, ...]] = []
    rules, closed = 0, False
    for line in [*text.splitlines(), ""]:
        bare = line.strip()
        if bare.startswith("+") and set(bare) <= set("+-="):
            rules, closed = rules + 1, True
        elif bare.startswith("|") and bare.endswith("|") and rules:
            closed = False
            cells = tuple(cell.strip() for cell in bare[1:-1].split("|"))
            if rules == 1:
                header = cells
            else:
                rows.append(cells)
        else:
            if rows and closed:
                found.append(Table(header, tuple(rows)))
            header, rows, rules, closed = (), [], 0, False
    return found


def column(table: Table, name: str) -> int | None:
    """Place of a column, None where there is none of this name."""
    return table.header.index(name) if name in table.header else None


def number(text: str | None) -> float | None:
    """A finite number, thousands commas allowed; None for "?", "NA", "undef" and the like."""
    try:
        value = float((text or "").replace(",", "").replace("_", "x"))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def whole(text: str | None) -> int | None:
    """A count: None for what is no whole number of 0 or more (upstream tools write -1 for none)."""
    value = number(text)
    return int(value) if value is not None and value >= 0 and value.is_integer() else None


def first_row(table: Table, label: str, names: Mapping[str, tuple[str, ...]]) -> dict[str, int]:
    """Figures of the first row whose first cell matches `label`, by the names of fields."""
    row = next((r for r in table.rows if re.fullmatch(label, r[0])), None)
    values: dict[str, int] = {}
    for name, titles in names.items():
        places = [p for title in titles if (p := column(table, title)) is not None]
        if row and places and len(row) > places[0] and (v := whole(row[places[0]])) is not None:
            values[name] = v
    return values


def match(text: str, pattern: str) -> str | None:
    """The first group of `pattern`, None where it is empty or not found."""
    found = re.search(pattern, text)
    return found[1].strip() or None if found else None


def after(text: str, label: str) -> str | None:
    """What stands after a label on its line."""
    return match(text, label + r"[ \t]*([^\n|]*)")
