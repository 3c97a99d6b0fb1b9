"""Values that show themselves: in one line, as text in a terminal, as HTML in a notebook."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pixelsieve.core.errors import ConfigError
from pixelsieve.display.html import table_html
from pixelsieve.display.spec import Cell, Table, cell_of

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_WIDTH = 100


def one_line(kind: str, *facts: str) -> str:
    """Return `Kind(facts; more facts)`, of at most 100 characters, for a `__repr__`."""
    text = " ".join("; ".join(facts).split())
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
