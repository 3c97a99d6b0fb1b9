"""Tables of `inspect`, made from its plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from pixelsieve.report.tables import read_out_table

__all__ = ["inspection_tables"]

_HUNDRED = 100.0
_LONGEST_BARS = 20
_HEIGHTS = " ▁▂▃▄▅▆▇█"


def inspection_tables(summary: Mapping[str, Any]) -> list[Table | Text]:
    """Splits, overlaps, features and a few clusters of a data set."""
    tables: list[Table | Text] = [_source(summary), _splits(summary)]
    if summary["front_end"]:
        tables.append(read_out_table(summary["front_end"]))
    tables += [_overlaps(summary), _histograms(summary), _values(summary), _registry(summary)]
    tables += [_display(kind, summary["displays"]) for kind in ("signal", "bib")]
    return tables


def _source(summary: Mapping[str, Any]) -> Text:
    detector = summary["detector"]
    sensor = detector["sensor"]
    what = (
        f"detector: {detector['name']}, window of {sensor['rows']} rows (y) x {sensor['columns']} "
        f"columns (x), pixels of {sensor['pitch_y_um']:g} x {sensor['pitch_x_um']:g} um, "
        f"{sensor['thickness_um']:g} um thick"
    )
    lines = [what]
    origins: dict[str, list[str]] = {}
    for name, said in summary["provenance"].items():
        origins.setdefault(_told(said), []).append(name)
    for told, names in origins.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        lines.append(f"{names[0]}{more}: {told}")
    lines += [f"note: {note}" for note in summary["notes"]]
    return Text("\n".join(lines))


def _told(said: Mapping[str, Any]) -> str:
    """The single values of a provenance, those one level down behind their table's name."""
    parts = []
    for key, value in said.items():
        if isinstance(value, Mapping):
            inner = [f"{k} {v}" for k, v in value.items() if not isinstance(v, (Mapping, list))]
            parts.append(f"{key}: {', '.join(inner) or 'nothing'}")
        elif not isinstance(value, list):
            parts.append(f"{key} {value}")
    return "; ".join(parts)


def _splits(summary: Mapping[str, Any]) -> Table:
    table = Table(title=f"Splits, by {escape(summary['split_by'])}", title_justify="left")
    table.add_column("split")
    for column in ("clusters", "signal", "BIB", "signal share", "particle groups"):
        table.add_column(column, justify="right")
    for name, part in summary["splits"].items():
        share = part["signal"] / part["clusters"]
        counts = (part["clusters"], part["signal"], part["bib"])
        table.add_row(name, *map(str, counts), f"{share:.3f}", str(part["groups"]))
    return table


def _overlaps(summary: Mapping[str, Any]) -> Table:
    shared, repeated = summary["shared_groups"], summary["duplicates"]
    table = Table(
        title=f"Overlaps ({repeated['examined']} clusters of 3 or more pixels compared)",
        title_justify="left",
    )
    table.add_column("what")
    table.add_column("found", justify="right")
    for pair, count in shared["pairs"].items():
        table.add_row(f"groups in both {pair} (by {shared['by']})", str(count))
    for kind, count in repeated["inside"].items():
        table.add_row(f"identical clusters inside {_class(kind)}", str(count))
    table.add_row("identical clusters in both classes", str(repeated["between_classes"]))
    for pair, count in repeated["between_splits"].items():
        table.add_row(f"identical clusters in both {pair}", str(count))
    return table


def _histograms(summary: Mapping[str, Any]) -> Table:
    title = f"Distributions of {summary['described']}, each to its own peak"
    table = Table(title=title, title_justify="left")
    table.add_column("quantity")
    table.add_column("from, to", justify="right")
    for kind in ("signal", "bib"):
        table.add_column(_class(kind), no_wrap=True)
    for one in summary["distributions"].values():
        low, high = one["edges"][0], one["edges"][-1]
        log = ", log" if one["scale"] == "log" else ""
        bars = (_bars(one["signal"]), _bars(one["bib"]))
        table.add_row(one["label"], f"{low:.3g}, {high:.3g}{log}", *bars)
    return table


def _bars(counts: Sequence[int]) -> str:
    """A histogram in one line of at most 20 characters; any count above 0 shows."""
    merged = -(-len(counts) // _LONGEST_BARS)
    sums = [sum(counts[i : i + merged]) for i in range(0, len(counts), merged)]
    top = max(*sums, 1)
    return "".join(_HEIGHTS[-(-s * (len(_HEIGHTS) - 1) // top)] for s in sums)


def _values(summary: Mapping[str, Any]) -> Table:
    title = f"Features of {summary['described']}, before scaling"
    table = Table(title=title, title_justify="left")
    table.add_column("feature", no_wrap=True)
    table.add_column("class", no_wrap=True)
    table.add_column("0, 5, 50, 95, 100 % quantile", justify="right", no_wrap=True)
    table.add_column("saturated", justify="right", no_wrap=True)
    for name, one in summary["features"].items():
        head, tail = name, f"{100 * one['saturated_share']:.2f} %"
        for kind in ("signal", "bib"):
            quantiles: Sequence[float] | None = one[kind]
            if quantiles is not None:
                values = " ".join(_short(v).rjust(6) for v in quantiles)
                table.add_row(head, _class(kind), values, tail)
                head = tail = ""
    return table


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= _HUNDRED else f"{value:.2g}"


def _registry(summary: Mapping[str, Any]) -> Table:
    table = Table(title="What the features are", title_justify="left")
    for column in ("feature", "formula", "usual range", "divided by", "on the chip"):
        table.add_column(column)
    for name, one in summary["features"].items():
        low, high = one["usual_range"]
        size = f" ({one['size']} numbers)" if one["size"] > 1 else ""
        usual = f"{low:g} to {high:g} {one['unit']}"
        table.add_row(
            f"{name}{size}", one["formula"], usual, f"{one['divisor']:g}", one["hardware_cost"]
        )
    return table


def _display(kind: str, shown: Mapping[str, Any]) -> Table:
    title = f"{_class(kind)}: pixels in 100 e"
    table = Table(title=title, title_justify="left", show_lines=True)
    table.add_column("cluster", no_wrap=True)
    table.add_column("pixels", no_wrap=True)
    for one in shown[kind]:
        charge = sum(map(sum, one["pixels_e"]))
        head = (
            f"row {one['row']}\nz {one['z_global_mm']:.1f} mm\ny {one['y_local_mm']:.1f} mm\n"
            f"{charge:.0f} e"
        )
        table.add_row(head, _drawn(one["pixels_e"]))
    return table


def _drawn(pixels_e: Sequence[Sequence[float]]) -> str:
    """The part of the window with hits, y upwards; `.` is 0 e, a hit below 50 e reads 0."""
    rows = [i for i, line in enumerate(pixels_e) if any(q > 0 for q in line)]
    if not rows:
        return "no pixel above 0 e"
    columns = [j for j in range(len(pixels_e[0])) if any(line[j] > 0 for line in pixels_e)]
    cells = [
        [
            f"{pixels_e[i][j] / _HUNDRED:.0f}" if pixels_e[i][j] > 0 else "."
            for j in range(columns[0], columns[-1] + 1)
        ]
        for i in range(rows[-1], rows[0] - 1, -1)
    ]
    width = max(len(cell) for line in cells for cell in line)
    return "\n".join(" ".join(cell.rjust(width) for cell in line) for line in cells)


def _class(kind: str) -> str:
    return "BIB" if kind == "bib" else kind
