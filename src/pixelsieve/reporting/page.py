"""From runs to one self-contained HTML file."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixelsieve import __version__
from pixelsieve.core.config import to_plain
from pixelsieve.core.errors import ConfigError
from pixelsieve.core.files import replacing, telling_unwritable
from pixelsieve.display import html
from pixelsieve.display.spec import Chart, Choice, Point, Table, table
from pixelsieve.hardware.synthesis import Synthesis
from pixelsieve.networks.precision import bits_text
from pixelsieve.reporting.charts import drawn
from pixelsieve.reporting.comparison import (
    Answer,
    answers,
    approach_columns,
    approach_rows,
    comparison_table,
    correction_line,
    luts_table,
    paired_table,
    warm_start_table,
    warm_starts,
    warnings,
)
from pixelsieve.reporting.firmware_table import resources_table, vendor_table
from pixelsieve.reporting.record import FirmwareRecord, Manifest, RunRecord
from pixelsieve.reporting.search import search_lines, search_table
from pixelsieve.reporting.tables import robustness_tables
from pixelsieve.studies.explain import Curves
from pixelsieve.studies.summary import Comparison

if TYPE_CHECKING:
    from markupsafe import Markup

_TEMPLATES = Path(__file__).parent / "templates"
_DASH = "\N{EN DASH}"


def write_report(runs: Sequence[RunRecord], out: Path) -> None:
    """Write the page of one or several runs to `out`, whole or not at all.

    Nothing on it is loaded from elsewhere. Raise `RunError` if it cannot be written and
    `ConfigError` if a run is given twice.
    """
    text = render(runs)
    with telling_unwritable(out, "choose another --out"):
        if not out.parent.is_dir():
            out.parent.mkdir(parents=True)
        with replacing(out) as temporary:
            temporary.write_text(text, encoding="utf-8")


def render(runs: Sequence[RunRecord]) -> str:
    """Return the page as HTML; raise `ConfigError` if a run is given twice."""
    paths = [run.path.resolve() for run in runs]
    for path in paths:
        if paths.count(path) > 1:
            msg = f"{path}: given twice; give each run once"
            raise ConfigError(msg)
    environment = html.environment(_TEMPLATES)
    environment.filters["sentence"] = _sentence
    environment.globals |= {function.__name__: function for function in _SHOWN}
    approaches = [r.approach for run in runs if run.comparison for r in run.comparison.rows]
    shown = [PageRun(f"r{i}", run, drawn(run, approaches)) for i, run in enumerate(runs)]
    data: dict[str, object] = {}
    for one in shown:
        data |= {f"{one.key}-{name}": list(map(_plain_choice, c)) for name, c in one.charts.items()}
        if one.record.curves is not None:
            seen = to_plain(one.record.curves.seen)
            data[f"{one.key}-seen"] = {**seen, "pitch_um": _pitch(one.record)}
    return environment.get_template("report.html.j2").render(
        version=__version__,
        runs=shown,
        joint=_joint_table(runs) if len(runs) > 1 else None,
        same_data=len({str(r.manifest.config.get("data")) for r in runs if r.comparison}) == 1,
        data=data,
        css=_source("report.css"),
        script=_source("charts.js", "display.js", "page.js"),
    )


def _source(*names: str) -> Markup:
    from markupsafe import Markup

    text = "\n".join((_TEMPLATES / name).read_text(encoding="utf-8") for name in names)
    return Markup(text)  # noqa: S704 (our own files)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _pitch(run: RunRecord) -> list[float | None]:
    if run.comparison is None or run.comparison.detector is None:
        return [None, None]
    sensor = run.comparison.detector.sensor
    return [sensor.pitch_x_um, sensor.pitch_y_um]


@dataclass(frozen=True, slots=True)
class Gate:
    """The result of the checks of a firmware folder."""

    name: str
    passed: bool
    mismatches: dict[str, int]
    facts: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class PageRun:
    """A run with its key on the page, and its figures by name."""

    key: str
    record: RunRecord
    charts: dict[str, tuple[Choice, ...]]


def answers_by_bits(comparison: Comparison) -> list[tuple[str, list[Answer]]]:
    """Return the answers by the title of their precision."""
    found = groupby(answers(comparison), key=lambda one: one.bits)
    return [(f"At {bits_text(bits)}", list(group)) for bits, group in found]


def resources_of(run: RunRecord) -> Table:
    """Return the costs of the run's models."""
    return resources_table([(run.name, one) for one in run.resources.values()])


def facts_of(run: RunRecord) -> list[tuple[str, str]]:
    """Return the head of the page: network, inputs, clusters, data and sensor."""
    one, facts = run.comparison, []
    clusters = run.search.clusters if run.search else one.clusters if one else {}
    front_end = one.front_end.clusters if one and one.front_end else {}
    if one is not None:
        facts.append(("network", f"{one.network}, {one.n_parameters} parameters"))
        facts.append(("inputs", ", ".join(one.features.names)))
    facts += [(name, f"{n.signal} signal, {n.bib} BIB") for name, n in clusters.items()]
    for name, n in front_end.items():
        signal = f"{n['signal'].read_out} of {n['signal'].collected} signal"
        bib = f"{n['bib'].read_out} of {n['bib'].collected} BIB"
        facts.append((f"{name}, read out by the front end", f"{signal}, {bib}"))
    started = run.manifest.started.replace("T", " ").replace("+00:00", " UTC")
    return [*facts, *data_facts(run.manifest, one), ("started", started)]


_MADE = {
    "simulation": " (simulated by pixelsieve)",
    "conversion": " (converted by pixelsieve)",
    None: " (not said by the file whether simulated or measured)",
}


def data_facts(manifest: Manifest, comparison: Comparison | None) -> list[tuple[str, str]]:
    """Name and value: the files with what made them, and the sensor, as far as the run says."""
    files, facts = manifest.config.get("data"), []
    made = comparison.made if comparison else None
    if isinstance(files, Mapping):
        groups: dict[str, list[str]] = {}
        for name in files:
            groups.setdefault(_MADE.get(made.get(name), "") if made else "", []).append(str(name))
        facts.append(("data", "; ".join(", ".join(n) + how for how, n in groups.items())))
    if comparison and comparison.detector:
        sensor = comparison.detector.sensor
        pitch = f"{sensor.pitch_x_um:g} x {sensor.pitch_y_um:g}"
        size = f"pixels of {pitch} µm (along x and y), {sensor.thickness_um:g} µm thick"
        facts.append(("sensor", f"{comparison.detector.name}: {size}"))
    return facts


def warm_starts_of(run: RunRecord) -> list[tuple[str, Table | None]]:
    """Return by training of a quantized network what its warm start did, if it had one."""
    jobs = [job for job in run.jobs.values() if run.kind == "train" and job.bits is not None]
    found = [(f"{job.name}, {bits_text(job.bits)}", job.warm_start) for job in jobs]
    if run.comparison is not None:
        found = warm_starts(run.comparison)
    return [(name, warm_start_table(name, rows) if rows else None) for name, rows in found]


def _joint_table(runs: Sequence[RunRecord]) -> Table | None:
    """Return the summaries of all comparisons in one table."""
    rows = tuple(
        replace(row, cells=(run.name, run.comparison.network, *row.cells), section=False)
        for run in runs
        if run.comparison
        for row in approach_rows(run.comparison, recipes=False)
    )
    return table("", ("run", "network", *approach_columns()), rows) if rows else None


def command_of(manifest: Manifest) -> str:
    """Return the command that made the run, to copy."""
    words = list(manifest.command or ())
    if words and Path(words[0]).name in {"__main__.py", "pixelsieve"}:
        words[0] = "pixelsieve"
    return shlex.join(words)


def firmware_command(path: Path, manifest: Manifest, curves: Curves | None) -> str:
    """Return the command that makes firmware of the network that the page looks into, to copy.

    Of a run without `curves` it names no model if it has one alone, as `train` makes it.
    """
    words = ["pixelsieve", "firmware", str(path)]
    for one in _data_of(manifest.command or ()) or ["DATA"]:
        words += ["--data", one]
    if curves is not None and curves.seen.bits:
        seen = curves.seen
        words += ["--model", seen.model or f"{seen.approach}_{seen.bits}b_seed{seen.seed}"]
    elif "recipes" in manifest.config or "space" in manifest.config:
        words += ["--model", "MODEL"]
    return shlex.join(words)


def _data_of(command: Sequence[str]) -> list[str]:
    """Return the values of --data and -d in the words of a command."""
    found = [b for a, b in pairwise(command) if a in {"--data", "-d"}]
    return found + [w.removeprefix("--data=") for w in command if w.startswith("--data=")]


def config_lines(value: object, name: str = "") -> list[tuple[str, str]]:
    """Return a nested configuration as lines of dotted name and value; plain lists in one."""
    if isinstance(value, Mapping):
        inner = [(f"{name}.{key}" if name else str(key), one) for key, one in value.items()]
        return [line for key, one in inner for line in config_lines(one, key)]
    if isinstance(value, list):
        if any(isinstance(one, (Mapping, list)) for one in value):
            inner = [(f"{name}[{i}]", one) for i, one in enumerate(value)]
            return [line for key, one in inner for line in config_lines(one, key)]
        return [(name, ", ".join(map(str, value)) or "none")]
    return [(name, "none" if value is None else str(value))]


def gate_of(name: str, one: FirmwareRecord) -> Gate:
    """Return what a firmware folder was checked for."""
    checked = one.verification
    wrong = dict(checked.mismatches)
    for stage in (one.netlist, one.vhdl):
        wrong |= stage.mismatches if stage else {}
    passed = one.passed if one.passed is not None else checked.passed
    facts = [
        ("test clusters", _DASH if checked.clusters is None else str(checked.clusters)),
        ("corner vectors", _DASH if checked.corners is None else str(checked.corners)),
    ]
    if made := one.design:
        facts += [
            ("made from", one.made_from),
            ("latency", f"{made.latency} clocks" if made.latency else "combinational"),
            ("LUTs (alkaid's estimate)", f"{made.lut_estimate:.0f}"),
            ("levels of adders", f"{made.levels:.0f}"),
            ("register bits", str(made.register_bits)),
        ]
    if cut := one.threshold:
        facts += [
            ("threshold (code)", str(cut.code)),
            ("signal efficiency, validation", f"{cut.validation_efficiency:.4f}"),
            ("rejection, validation", f"{cut.validation_rejection:.4f}"),
        ]
    facts += [(f"{s.measure} ({s.tool} {s.version})", _counts(s)) for s in one.synthesis]
    facts += [(tool, text) for tool, text in (checked.tools or one.versions).items()]
    return Gate(name, not any(wrong.values()) if passed is None else passed, wrong, facts)


def _counts(made: Synthesis) -> str:
    """Return what Yosys counted, or why there is nothing."""
    counts = to_plain(made.gates if made.measure == "gates" else made.luts) or {}
    numbers = {k: v for k, v in counts.items() if isinstance(v, (int, float))}
    told = ", ".join(f"{v:g} {k.replace('_', ' ')}" for k, v in numbers.items())
    return told if made.done else made.status


def _plain_choice(choice: Choice) -> dict[str, object]:
    """Return what the page's script draws: axes, series and points as plain data."""
    return {"label": choice.label, "charts": [_plain_chart(one) for one in choice.charts]}


def _plain_chart(chart: Chart) -> dict[str, object]:
    plain: dict[str, Any] = to_plain(chart)
    for name in ("x", "y"):
        plain[name] = {key: at for key, at in plain[name].items() if at is not None}
    for series, one in zip(plain["series"], chart.series, strict=True):
        series["points"] = [_plain_point(point) for point in one.points]
    return plain


def _plain_point(point: Point) -> list[object]:
    x = point.x if isinstance(point.x, str) else _short(point.x)
    values: list[object] = [x, *map(_short, (point.y, point.low, point.high)), point.told or None]
    while values[-1] is None and len(values) > 2:  # noqa: PLR2004 (x and y)
        del values[-1]
    return values


def _short(value: float | None) -> float | None:
    """Return five digits, which is more than a chart shows."""
    return None if value is None else float(f"{value:.5g}")


_SHOWN = (
    *(answers_by_bits, command_of, comparison_table, config_lines, correction_line, facts_of),
    *(firmware_command, gate_of, luts_table, paired_table, resources_of, robustness_tables),
    *(search_lines, search_table, vendor_table, warm_starts_of, warnings),
)
"""Functions that the templates call."""
