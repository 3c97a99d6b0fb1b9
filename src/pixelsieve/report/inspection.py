"""Tables of what is in a data set, and of a model from elsewhere that was imported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pixelsieve.report.evaluation_tables import read_out_table
from pixelsieve.report.spec import Axis, Chart, Choice, Column, Point, Row, Series, Table, numbers

if TYPE_CHECKING:
    from pixelsieve.importing.convert import ImportReport
    from pixelsieve.studies.inspect import Display, Histogram, Inspection

_HUNDRED = 100.0
_LONGEST_BARS = 20
_HEIGHTS = " ▁▂▃▄▅▆▇█"
_FLAT = ("abs_z_global_mm", "y_local_mm")


def inspection_tables(found: Inspection) -> list[Table]:
    """Return tables of splits, overlaps, features and a few clusters of a data set."""
    tables = [_splits(found)]
    if found.front_end:
        tables.append(read_out_table(found.front_end))
    tables += [_overlaps(found), _histograms(found), _values(found), _registry(found)]
    return tables + [_display(kind, found.displays[kind]) for kind in ("signal", "bib")]


def inspection_lines(found: Inspection) -> list[str]:
    """Return the detector, where the files come from, and notes."""
    sensor = found.detector.sensor
    detector = (
        f"detector: {found.detector.name}, window of {sensor.rows} rows (y) x {sensor.columns} "
        f"columns (x), pixels of {sensor.pitch_y_um:g} x {sensor.pitch_x_um:g} um, "
        f"{sensor.thickness_um:g} um thick"
    )
    lines = [detector]
    origins: dict[str, list[str]] = {}
    for name, said in found.provenance.items():
        origins.setdefault(_told(said), []).append(name)
    for told, names in origins.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        lines.append(f"{names[0]}{more}: {told}")
    return lines + [f"note: {note}" for note in found.notes]


def _told(said: Mapping[str, object]) -> str:
    """The single values of a provenance, those one level down behind their table's name."""
    parts = []
    for key, value in said.items():
        if isinstance(value, Mapping):
            inner = [f"{k} {v}" for k, v in value.items() if not isinstance(v, (Mapping, list))]
            parts.append(f"{key}: {', '.join(inner) or 'nothing'}")
        elif not isinstance(value, list):
            parts.append(f"{key} {value}")
    return "; ".join(parts)


def _splits(found: Inspection) -> Table:
    rows = [
        Row((
            name,
            *map(str, (part.clusters, part.signal, part.bib)),
            f"{part.signal / part.clusters:.3f}",
            str(part.groups),
        ))
        for name, part in found.splits.items()
    ]  # fmt: skip
    titles = ("clusters", "signal", "BIB", "signal share", "particle groups")
    return Table(f"Splits, by {found.split_by}", (Column("split"), *numbers(*titles)), tuple(rows))


def _overlaps(found: Inspection) -> Table:
    shared, repeated = found.shared_groups, found.duplicates
    counts = [(f"groups in both {pair} (by {shared.by})", n) for pair, n in shared.pairs.items()]
    for kind, n in repeated.inside.items():
        counts.append((f"identical clusters inside {_class(kind)}", n))
    counts.append(("identical clusters in both classes", repeated.between_classes))
    for pair, n in repeated.between_splits.items():
        counts.append((f"identical clusters in both {pair}", n))
    return Table(
        f"Overlaps ({repeated.examined} clusters of 3 or more pixels compared)",
        (Column("overlap"), *numbers("found")),
        tuple(Row((what, str(n))) for what, n in counts),
    )


def _histograms(found: Inspection) -> Table:
    rows = []
    for one in found.distributions.values():
        log = ", log" if one.scale == "log" else ""
        ends = f"{one.edges[0]:.3g}, {one.edges[-1]:.3g}{log}"
        rows.append(Row((one.label, ends, _bars(one.signal), _bars(one.bib))))
    return Table(
        f"Distributions of {found.described}, each to its own peak",
        (Column("quantity"), *numbers("from, to"), Column("signal"), Column("BIB")),
        tuple(rows),
    )


def _bars(counts: Sequence[int]) -> str:
    """Return a histogram in one line of at most 20 characters; any count above 0 shows."""
    merged = -(-len(counts) // _LONGEST_BARS)
    sums = [sum(counts[i : i + merged]) for i in range(0, len(counts), merged)]
    top = max(*sums, 1)
    return "".join(_HEIGHTS[-(-s * (len(_HEIGHTS) - 1) // top)] for s in sums)


def _values(found: Inspection) -> Table:
    rows = []
    for name, one in found.features.items():
        head, tail = name, f"{100 * one.saturated_share:.2f} %"
        for kind, quantiles in (("signal", one.signal), ("BIB", one.bib)):
            if quantiles is not None:
                values = " ".join(_short(v).rjust(6) for v in quantiles)
                rows.append(Row((head, kind, values, tail)))
                head = tail = ""
    titles = ("0, 5, 50, 95, 100 % quantile", "saturated")
    return Table(
        f"Features of {found.described}, before scaling",
        (Column("feature"), Column("class"), *numbers(*titles)),
        tuple(rows),
    )


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= _HUNDRED else f"{value:.2g}"


def _registry(found: Inspection) -> Table:
    rows = []
    for name, one in found.features.items():
        low, high = one.usual_range
        size = f" ({one.size} numbers)" if one.size > 1 else ""
        usual = f"{low:g} to {high:g} {one.unit}"
        cells = (f"{name}{size}", one.formula, usual, f"{one.divisor:g}", one.hardware_cost)
        rows.append(Row(cells))
    titles = ("feature", "formula", "usual range", "divided by", "on the chip")
    return Table("What the features are", tuple(map(Column, titles)), tuple(rows))


def _display(kind: str, shown: Sequence[Display]) -> Table:
    rows = []
    for one in shown:
        charge = sum(map(sum, one.pixels_e))
        place = f"z {one.z_global_mm:.1f} mm\ny {one.y_local_mm:.1f} mm"
        head = f"row {one.row}\n{place}\n{charge:.0f} e"
        rows.append(Row((head, _drawn(one.pixels_e)), section=True))
    title = f"{_class(kind)}: pixels in 100 e"
    return Table(title, (Column("cluster"), Column("pixels")), tuple(rows))


def _drawn(pixels_e: Sequence[Sequence[float]]) -> str:
    """Return the part of the window with hits, y upwards; `.` is 0 e, a hit below 50 e reads 0."""
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


def distribution_charts(distributions: Mapping[str, Histogram]) -> list[Choice]:
    """Return the fraction of each class by bin, a chart per quantity; log but for the places."""
    charts = []
    for name, one in distributions.items():
        series = []
        for colour, (kind, counts) in enumerate((("signal", one.signal), ("bib", one.bib))):
            total = sum(counts) + one.outside[kind]
            if total:
                shares = [*(count / total for count in counts), None]
                points = tuple(map(Point, one.edges, shares))
                series.append(Series(_class(kind), colour, "step", points))
        y = Axis("fraction per bin", "linear" if name in _FLAT else "log")
        charts.append(Chart(Axis(one.label, one.scale), y, tuple(series)))
    return [Choice("", tuple(charts))]


def import_table(report: ImportReport) -> Table:
    """Return every layer and variable of a model's file; others in one row per reason."""
    rows = []
    for row in report.rows:
        if row.what != "beside":
            indent = "  " if row.what == "variable" else ""
            rows.append(Row((f"{indent}{row.name}", "yes" if row.used else "no", row.note)))
    for reason, count in Counter(r.note for r in report.rows if r.what == "beside").items():
        rows.append(Row((f"{count} more arrays", "no", reason)))
    columns = tuple(map(Column, ("in the file", "used", "as, or why not")))
    return Table(f"{report.file}: {report.format}", columns, tuple(rows))
