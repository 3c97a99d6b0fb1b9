"""Tables of data sets, imported models, evaluations, and thresholds on changed detectors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from pixelsieve.display.spec import (
    Axis,
    Cell,
    Chart,
    Choice,
    Column,
    Point,
    Series,
    Table,
    numbers,
    row_of,
    table,
)
from pixelsieve.metrics.statistics import PairedInterval
from pixelsieve.reporting.comparison import METRIC_TITLES
from pixelsieve.training.job import JobResult

if TYPE_CHECKING:
    from pixelsieve.evaluation.data_rate import Occupancy, Rate, Slice
    from pixelsieve.front_end import FrontEndSummary
    from pixelsieve.importing.convert import ImportReport
    from pixelsieve.metrics.statistics import Interval, Metrics
    from pixelsieve.studies.inspect import Display, Histogram, Inspection
    from pixelsieve.studies.robustness import RobustnessResult, RobustnessRow

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
    rows = []
    for name, part in found.splits.items():
        share = f"{part.signal / part.clusters:.3f}"
        rows.append((name, part.clusters, part.signal, part.bib, share, part.groups))
    titles = ("clusters", "signal", "BIB", "signal share", "particle groups")
    return table(f"Splits, by {found.split_by}", ("split", *numbers(*titles)), rows)


def _overlaps(found: Inspection) -> Table:
    shared, repeated = found.shared_groups, found.duplicates
    counts = [(f"groups in both {pair} (by {shared.by})", n) for pair, n in shared.pairs.items()]
    for kind, n in repeated.inside.items():
        counts.append((f"identical clusters inside {_class(kind)}", n))
    counts.append(("identical clusters in both classes", repeated.between_classes))
    for pair, n in repeated.between_splits.items():
        counts.append((f"identical clusters in both {pair}", n))
    title = f"Overlaps ({repeated.examined} clusters of 3 or more pixels compared)"
    return table(title, ("overlap", *numbers("found")), counts)


def _histograms(found: Inspection) -> Table:
    rows = []
    for one in found.distributions.values():
        log = ", log" if one.scale == "log" else ""
        ends = f"{one.edges[0]:.3g}, {one.edges[-1]:.3g}{log}"
        rows.append((one.label, ends, _bars(one.signal), _bars(one.bib)))
    title = f"Distributions of {found.described}, each to its own peak"
    return table(title, ("quantity", *numbers("from, to"), "signal", "BIB"), rows)


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
                rows.append((head, kind, values, tail))
                head = tail = ""
    titles = ("0, 5, 50, 95, 100 % quantile", "saturated")
    title = f"Features of {found.described}, before scaling"
    return table(title, ("feature", "class", *numbers(*titles)), rows)


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= _HUNDRED else f"{value:.2g}"


def _registry(found: Inspection) -> Table:
    rows = []
    for name, one in found.features.items():
        low, high = one.usual_range
        size = f" ({one.size} numbers)" if one.size > 1 else ""
        usual = f"{low:g} to {high:g} {one.unit}"
        rows.append((f"{name}{size}", one.formula, usual, f"{one.divisor:g}", one.hardware_cost))
    titles = ("feature", "formula", "usual range", "divided by", "on the chip")
    return table("What the features are", titles, rows)


def _display(kind: str, shown: Sequence[Display]) -> Table:
    rows = []
    for one in shown:
        charge = sum(map(sum, one.pixels_e))
        place = f"z {one.z_global_mm:.1f} mm\ny {one.y_local_mm:.1f} mm"
        head = f"row {one.row}\n{place}\n{charge:.0f} e"
        rows.append(row_of(head, _drawn(one.pixels_e), section=True))
    return table(f"{_class(kind)}: pixels in 100 e", ("cluster", "pixels"), rows)


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
    for one in report.rows:
        if one.what != "beside":
            indent = "  " if one.what == "variable" else ""
            rows.append((f"{indent}{one.name}", "yes" if one.used else "no", one.note))
    for reason, count in Counter(r.note for r in report.rows if r.what == "beside").items():
        rows.append((f"{count} more arrays", "no", reason))
    columns = ("in the file", "used", "as, or why not")
    return table(f"{report.file}: {report.format}", columns, rows)


def read_out_table(front_end: FrontEndSummary) -> Table:
    """Return how many clusters have a pixel left after the front end; the rest is not read out."""
    rows = []
    for name, by_class in front_end.clusters.items():
        cells = [name]
        for kind in ("signal", "bib"):
            collected, seen = by_class[kind].collected, by_class[kind].read_out
            cells += [f"{seen} of {collected}", f"{seen / collected:.4f}" if collected else "-"]
        rows.append(cells)
    columns = numbers("signal", "share", "BIB", "share")
    return table("Clusters read out by the front end", ("split", *columns), rows)


def scores_table(title: str, figures: Metrics, intervals: Mapping[str, Interval]) -> Table:
    """Return the figures of merit of one model with their bootstrap intervals."""
    rows = []
    for name, text in METRIC_TITLES.items():
        kind, _, efficiency = name.partition("_")
        more = ("efficiency", "tie_loss") if kind == "rejection" else ()
        also = [f"{figures[f'{one}_{efficiency}']:.4f}" for one in more] or ["", ""]
        interval = f"{intervals[name].low:.4f} to {intervals[name].high:.4f}"
        rows.append((text, f"{figures[name]:.4f}", interval, *also))
    titles = ("value", "68 % interval", "achieved signal efficiency", "lost to ties")
    return table(title, ("figure of merit", *numbers(*titles)), rows)


def paired_scores_table(title: str, differences: Mapping[str, PairedInterval]) -> Table:
    """Return the differences of two models' figures of merit with their intervals."""
    rows = [
        (METRIC_TITLES[name], f"{one.difference:+.4f}", f"{one.low:+.4f} to {one.high:+.4f}")
        for name, one in differences.items()
    ]
    return table(title, ("figure of merit", *numbers("difference", "68 % interval")), rows)


def history_table(result: JobResult) -> Table:
    """Return the figures of every epoch of a training."""
    names = list(dict.fromkeys(name for epoch in result.history for name in epoch))
    rows = [
        [Cell(f"{epoch[n]:.5g}", value=epoch[n]) if n in epoch else "" for n in names]
        for epoch in result.history
    ]
    return table(f"Epochs of {result.name}", numbers(*names), rows)


def data_rate_table(rates: Sequence[Rate], occupancy: Occupancy | None) -> Table:
    """Return the fraction of the BIB that is left, and rates of the whole layer if known."""
    title = "Data rate of the layer"
    more: tuple[Column, ...] = ()
    if occupancy is not None:
        title += (
            f", assumed: {occupancy.clusters_per_cm2:g} BIB clusters per cm² and crossing "
            f"(--hit-density), {occupancy.crossings_per_s:g} crossings per second, "
            f"{occupancy.bits_per_pixel:g} bits per pixel (--bits-per-pixel)"
        )
        more = numbers("clusters per cm²", "pixels per cm²", "Gbit/s")
    rows = []
    for rate in rates:
        efficiency = "no filter" if rate.efficiency == 1 else f"{rate.signal_efficiency:.4f}"
        pixels = "-" if rate.bib_pixels is None else f"{rate.bib_pixels:.4f}"
        layer = (rate.clusters_per_cm2, rate.pixels_per_cm2, rate.gbit_per_s)
        known = [f"{one:.1f}" for one in layer if one is not None]
        rows.append((efficiency, f"{rate.bib_clusters:.4f}", pixels, *known))
    columns = (*numbers("BIB clusters left", "BIB pixels left"), *more)
    return table(title, ("signal efficiency", *columns), rows)


def slices_table(slices: Sequence[Slice]) -> Table:
    """Return signal efficiency and rejection by slices."""
    rows = []
    for (variable, unit), group in groupby(slices, key=lambda one: (one.variable, one.unit)):
        rows.append(row_of(f"{variable} ({unit})", "", "", "", "", section=True))
        for one in group:
            lost = one.bib_kept and tuple(1 - share for share in one.bib_kept)
            signal, bib = _interval(one.signal_kept), _interval(lost)
            rows.append(row_of(f"  {_range(one)}", one.n_signal, signal, one.n_bib, bib))
    title = "By slices, at 98 % signal efficiency: fraction and its 68 % interval"
    return table(title, ("slice", *numbers("signal", "efficiency", "BIB", "rejection")), rows)


def _range(one: Slice) -> str:
    """Return a slice in the unit of its variable; whole numbers as the ones that are in it."""
    low, high = one.low, one.high
    if low is None:
        return f"below {high:.3g}"
    if high is None:
        return f"{low:.3g} and above"
    if one.variable == "cluster_size":
        return f"{low:.0f}" if high == low + 1 else f"{low:.0f} to {high - 1:.0f}"
    return f"{low:.3g} to {high:.3g}"


def _interval(share: tuple[float, ...] | None) -> str:
    """Return the value, then low to high, whichever way round the ends are given."""
    if share is None:
        return "-"
    low, high = sorted(share[1:])
    return f"{share[0]:.3f} {low:.3f} to {high:.3f}".replace(" 0.", " .")


_MERITS = {
    "signal_efficiency": ("signal efficiency", "signal\nefficiency"),
    "rejection": ("BIB rejection", "BIB\nrejection"),
    "rejection_reset": ("rejection, cut set again", "rejection,\ncut set again"),
    "auc": ("AUC", "\nAUC"),
}
"""Titles of figures of merit for a page and for a terminal, in the order of the columns."""


def robustness_tables(result: RobustnessResult) -> list[Table]:
    """Return a table per approach: how its frozen threshold fares on changed detectors."""
    columns: tuple[Column | str, ...] = (
        "detector",
        *(Column(title, number=True, short=short) for title, short in _MERITS.values()),
        Column("clusters read out, lost", number=True, short="clusters,\nlost"),
        Column("difference to", rank=1),
    )
    tables = []
    for one in result.approaches:
        networks, kind = len(one.networks), None
        counted = f"mean ± spread of {networks} networks" if networks > 1 else "one network"
        rows = []
        for row in one.rows:
            merits = (_merit(row, name, spread=networks > 1) for name in _MERITS)
            section = kind not in (None, row.kind)
            more = _read_out(row), row.against or ""
            rows.append(row_of(row.label, *merits, *more, section=section))
            kind = row.kind
        tables.append(
            table(
                f"{one.approach}, {counted}, {result.split} split: threshold frozen at "
                f"{100 * result.efficiency:g} % signal efficiency on validation",
                columns,
                tuple(rows),
                "Of the clusters that are read out. Second lines: difference to the nominal row "
                "and its statistical error (particles drawn again; the same ones for both, if "
                "they are the same)",
                source="robustness.json",
                second_lines=True,
            )
        )
    return tables


def _merit(row: RobustnessRow, name: str, *, spread: bool) -> Cell:
    """Return a figure of merit with its spread over networks, and below it the difference."""
    value, change = row.figures[name], (row.difference or {}).get(name)
    if value.mean is None:
        return Cell("-")
    second = ""
    if change is not None and change.mean is not None:
        second = f"{change.mean:+.4f}"
        if change.error is not None:
            second += f" ±{change.error:.4f}".replace("±0.", "±.")
    shown = f"± {value.spread:.4f}" if spread else ""
    return Cell(f"{value.mean:.4f}", shown, second, value.mean)


def _read_out(row: RobustnessRow) -> Cell:
    """Return how many clusters are read out, and the fraction that lost every pixel."""
    collected, read = (
        sum(one[what] for one in row.clusters.values()) for what in ("collected", "read_out")
    )
    return Cell(f"{read}\n{100 * (1 - read / collected):.2f} %", value=read)
