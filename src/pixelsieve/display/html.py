"""Tables as HTML, for the page of a report and for notebooks."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from pixelsieve.display.spec import Table, cell_of

if TYPE_CHECKING:
    from jinja2 import Environment

_TEMPLATES = Path(__file__).parent / "templates"
_STYLE = (
    "<style>.pixelsieve .scroll { overflow-x: auto } "
    ".pixelsieve .scroll table :is(th, td) { text-align: left } "
    ".pixelsieve .scroll table .num { text-align: right }</style>"
)
"""Whatever a notebook does to tables, numbers are to the right, and wide tables scroll."""


def environment(*folders: Path) -> Environment:
    """Return what renders the templates of those folders, with the macro for tables."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader([*folders, _TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["cell"] = cell_of
    return made


def table_html(table: Table) -> str:
    """Return a table as HTML that stands alone, for a notebook."""
    macros = environment().get_template("table.html.j2").make_module({})
    drawn = macros.table(table, sorts=False)  # type: ignore[attr-defined]
    title, caption = (
        f"<p>{escape(text)}</p>" if text else "" for text in (table.title, table.caption)
    )
    whole = f'<div class="pixelsieve">{_STYLE}{title}{drawn}{caption}</div>'
    return whole.encode(errors="replace").decode()  # names of files need not be Unicode
