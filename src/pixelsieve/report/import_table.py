"""The report of an imported model for the terminal."""

from __future__ import annotations

from collections import Counter

from rich.markup import escape
from rich.table import Table

from pixelsieve.importing.report import ImportReport

__all__ = ["import_table"]


def import_table(report: ImportReport) -> Table:
    """Every layer and variable of the file by rows; what stands beside them in one row a reason."""
    title = f"{report.file}: {report.format}"
    table = Table(
        "in the file", "used", "as, or why not", title=escape(title), title_justify="left"
    )
    for row in report.rows:
        if row.what == "beside":
            continue
        indent = "  " if row.what == "variable" else ""
        table.add_row(escape(f"{indent}{row.name}"), "yes" if row.used else "no", escape(row.note))
    for reason, count in Counter(r.note for r in report.rows if r.what == "beside").items():
        table.add_row(f"{count} more arrays", "no", escape(reason))
    return table
