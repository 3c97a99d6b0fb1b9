"""Values that show themselves: in one line, as text in a terminal, as HTML in a notebook."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any

from pixelsieve.core.errors import ConfigError
from pixelsieve.display.html import table_html
from pixelsieve.display.spec import Cell, Column, Table, cell_of
from pixelsieve.display.spec import table as make_table

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_WIDTH = 100
_UNITS = ("GeV", "K", "MeV", "T", "V", "e", "mm", "ns", "ps", "px", "um")
"""Units that names of fields end in."""


def one_line(kind: str, *facts: str) -> str:
    """Return `Kind(facts; more facts)`, of at most 100 characters, for a `__repr__`."""
    text = " ".join("; ".join(facts).split())
    text = "".join(one if one.isprintable() else "?" for one in text)
    room = _WIDTH - len(kind) - len("()")
    if len(text) > room:
        text = f"{text[: room - 3]}..."
    return f"{kind}({text})"


class HasRows(ABC):
    """A value with rows, for Arrow and pandas."""

    __slots__ = ()

    @abstractmethod
    def to_arrow(self) -> pa.Table:
        """Return the rows as an Arrow table."""

    def to_pandas(self) -> pd.DataFrame:
        """Return the rows as a data frame; raise `ConfigError` if pandas is not installed."""
        try:
            return self.to_arrow().to_pandas()
        except ModuleNotFoundError as error:
            msg = "to_pandas: pandas is not installed; pip install pandas, or use to_arrow()"
            raise ConfigError(msg) from error


def arrow_of(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Return rows by column name as an Arrow table; what a row lacks is null."""
    import pyarrow as pa

    names = dict.fromkeys(name for row in rows for name in row)
    return pa.table({name: [row.get(name) for row in rows] for name in names})


class ShowsFields:
    """A dataclass that a notebook shows as a table of its fields."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        return table_html(_fields_table(self))


def changes(value: Any, *but: str) -> list[str]:
    """Return the fields that differ from their defaults, or have none, e.g. `noise_e 80`."""
    told = {f.name: (getattr(value, f.name), f.default) for f in fields(value)}
    return [
        f"{name} {_word(now)}"
        for name, (now, usual) in told.items()
        if name not in but and now != usual
    ]


def _fields_table(value: Any) -> Table:
    """Return names and values, those of inner dataclasses behind their names."""
    rows = [(name, _word(one), _unit(name)) for name, one in _fields_of(value)]
    columns = ("field", Column("value", number=True), "unit")
    shown = 3 if any(unit for *_, unit in rows) else 2
    return make_table(repr(value), columns[:shown], [row[:shown] for row in rows])


def _fields_of(value: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    for field in fields(value):
        one = getattr(value, field.name)
        if is_dataclass(one):
            yield from _fields_of(one, f"{before}{field.name}.")
        else:
            yield f"{before}{field.name}", one


def _unit(name: str) -> str:
    last = name.rpartition("_")[2]
    return last if last in _UNITS else ""


def _word(value: Any) -> str:
    """Return a value as a TOML file has it, without quotes."""
    if value is None or value == ():
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ", ".join(map(_word, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True, slots=True, repr=False)
class Shown(HasRows):
    """A table that a terminal prints and a notebook draws."""

    table: Table

    def to_arrow(self) -> pa.Table:
        """Return the rows, a column per title; numbers as they are shown, spreads left out."""
        import pyarrow as pa

        return pa.table(
            {
                column.title: [
                    _number(cell_of(row.cells[place])) if column.number else _text(row.cells[place])
                    for row in self.table.rows
                ]
                for place, column in enumerate(self.table.columns)
            }
        )

    def __repr__(self) -> str:
        return one_line("Shown", self.table.title, f"{len(self.table.rows)} rows")

    def __str__(self) -> str:
        from rich.console import Console

        from pixelsieve.display import terminal

        text = io.StringIO()
        console = Console(file=text, width=_WIDTH, color_system=None)
        console.print(*terminal.tables(self.table, _WIDTH), sep="\n")
        return "\n".join(line.rstrip() for line in text.getvalue().splitlines())

    def _repr_html_(self) -> str:
        return table_html(self.table)


class ShowsTable(ABC):
    """A value that a notebook shows as its table."""

    __slots__ = ()

    @abstractmethod
    def table(self) -> Shown:
        """Return the table."""

    def parts(self) -> list[Table | str]:
        """Return the tables and lines that the command line prints."""
        return [self.table().table]

    def _repr_html_(self) -> str:
        return table_html(self.table().table)


def _text(cell: Cell | str) -> str:
    return cell_of(cell).text


def _number(cell: Cell) -> float | None:
    if cell.value is not None:
        return cell.value
    try:
        return float(cell.text)
    except ValueError:
        return None
