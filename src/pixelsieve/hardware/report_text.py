"""Tables and figures in the text of vendors' reports."""

from __future__ import annotations

import bisect
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class TextTable:
    """Cells without the blanks around them; of several header lines the last."""

    header: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ((),)

    def cell(self, row: tuple[str, ...], *titles: str) -> str | None:
        """Return the cell of a row in the first of these columns that there is."""
        place = next((self.header.index(t) for t in titles if t in self.header), len(row))
        return row[place] if place < len(row) else None


def tables(text: str) -> list[TextTable]:
    """Return every whole table: rule, header lines, rule, rows (with rules among them), rule."""
    found: list[TextTable] = []
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
                found.append(TextTable(header, tuple(rows)))
            header, rows, rules, closed = (), [], 0, False
    return found


def ruled_table(text: str, title: str) -> TextTable:
    """Return the table without frame whose header begins with `title`; an empty one without it.

    Under the header stands a rule for each column, and rows end with a blank line. A word belongs
    to the last column that begins before the word ends: names begin with their column, numbers end
    with it.
    """
    lines = text.splitlines()
    for place, rule in enumerate(lines[1:]):
        if lines[place].lstrip().startswith(title) and "-" in rule and not rule.strip("- "):
            starts = [found.start() for found in re.finditer("-+", rule)]
            body = lines[place + 2 :]
            end = next((n for n, line in enumerate(body) if not line.strip()), None)
            if end is None:  # cut off: what is missing may change what the others mean
                break
            rows = tuple(_under(starts, line) for line in body[:end])
            return TextTable(_under(starts, lines[place]), rows)
    return TextTable(rows=())


def _under(starts: list[int], line: str) -> tuple[str, ...]:
    words: list[list[str]] = [[] for _ in starts]
    for word in re.finditer(r"\S+", line):
        words[max(0, bisect.bisect_left(starts, word.end()) - 1)].append(word[0])
    return tuple(" ".join(found) for found in words)


_SHARE = re.compile(r"\s*\([<~]?[\d.]+\s*%\)$")


def number(text: str | None) -> float | None:
    """Return a finite number; None for "?", "NA", "undef" and the like.

    Commas between thousands and a share behind it, as in "1,234 (2.3%)", are allowed.
    """
    try:
        value = float(_SHARE.sub("", text or "").replace(",", "").replace("_", "x"))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def whole(text: str | None) -> int | None:
    """Return a count; None for what is none, as the -1 that some tools write."""
    value = number(text)
    return int(value) if value is not None and value >= 0 and value.is_integer() else None


def first_row(table: TextTable, label: str, names: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    """Return figures of the first row whose first cell matches `label`, by the names of fields."""
    row = next((r for r in table.rows if r and re.fullmatch(label, r[0])), ())
    values = {name: whole(table.cell(row, *titles)) for name, titles in names.items()}
    return {name: value for name, value in values.items() if value is not None}


def match(text: str, pattern: str) -> str | None:
    """Return the first group of `pattern`, None if it is empty or not found."""
    found = re.search(pattern, text)
    return found[1].strip() or None if found else None


def after(text: str, label: str) -> str | None:
    """Return what stands after a label on its line."""
    return match(text, label + r"[ \t]*([^\n|]*)")
