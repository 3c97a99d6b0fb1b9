"""From runs to one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from pixelsieve import __version__
from pixelsieve.core.errors import ConfigError, RunError
from pixelsieve.core.files import replacing, telling_unwritable
from pixelsieve.networks.precision import bits_label, bits_text
from pixelsieve.report.page import charts, search_charts, tables
from pixelsieve.report.page.about import data_facts, firmware_command
from pixelsieve.report.page.answers import Answer, answers
from pixelsieve.report.page.gather import RunRecord
from pixelsieve.report.page.slice_charts import slices_figure
from pixelsieve.report.search_table import search_lines
from pixelsieve.report.tables import (
    METRIC_TITLES,
    TREES_NOTE,
    coarse_lines,
    collapsed_lines,
    correction_line,
    over_budget_lines,
)

__all__ = ["render", "write_report"]

_UNKNOWN: dict[str, Any] = {
    **dict.fromkeys(("pixelsieve", "config_hash", "python", "machine"), "not recorded"),
    "git": None,
    "versions": {},
    "config": {},
}
"""For manifests of older versions."""

_OTHER_FORM = (ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError)
"""What Python says of plain data that are not what was expected."""

_TEMPLATES = Path(__file__).parent / "templates"


def write_report(runs: Sequence[RunRecord], out: Path) -> None:
    """Write the page of one or several runs to `out`, whole or not at all.

    Nothing on it is loaded from elsewhere. Raises `RunError` where it cannot be written and
    `ConfigError` where a run is given twice.
    """
    text = render(runs)
    with telling_unwritable(out, "choose another --out"):
        if not out.parent.is_dir():
            out.parent.mkdir(parents=True)
        with replacing(out) as temporary:
            temporary.write_text(text, encoding="utf-8")


def render(runs: Sequence[RunRecord]) -> str:
    """The page as HTML.

    Raises `ConfigError` where a run is given twice, `RunError` for one whose JSON has a form that
    this version does not know.
    """
    paths = [run.path.resolve() for run in runs]
    for path in paths:
        if paths.count(path) > 1:
            msg = f"{path}: given twice; give each run once"
            raise ConfigError(msg)
    try:
        return _page(runs)
    except _OTHER_FORM as error:
        raise _of_another_form(runs) or error from error


def _of_another_form(runs: Sequence[RunRecord]) -> RunError | None:
    """The first run that makes no page by itself, as an error."""
    for run in runs:
        try:
            _page([run])
        except _OTHER_FORM as error:
            msg = (
                f"{run.path}: a JSON file in it has a form that pixelsieve {__version__} does not "
                f"know ({error}); use the version that made it, or the same command again"
            )
            return RunError(msg)
    return None


def _page(runs: Sequence[RunRecord]) -> str:
    from jinja2 import ChainableUndefined, Environment, FileSystemLoader, TemplateRuntimeError

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=ChainableUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    approaches = [name for run in runs for name in _approaches(run)]
    shown = [_shown(run, i, approaches) for i, run in enumerate(runs)]
    try:
        return environment.get_template("report.html.j2").render(
            version=__version__,
            runs=shown,
            joint=_joint(runs, shown) if len(runs) > 1 else None,
            data={k: v for one in shown for k, v in one["data"].items()},
            metric_titles=[
                METRIC_TITLES[m].replace(" %", "\N{NO-BREAK SPACE}%") for m in tables.METRIC_ORDER
            ],
            css=_source("report.css"),
            script=_source("charts.js", "display.js", "page.js"),
        )
    except TemplateRuntimeError as error:
        raise TypeError(str(error)) from error


def _source(*names: str) -> Any:
    from markupsafe import Markup

    text = "\n".join((_TEMPLATES / name).read_text(encoding="utf-8") for name in names)
    return Markup(text)  # noqa: S704 (our own files)


def _approaches(run: RunRecord) -> list[str]:
    """What has a colour, in the order of the run's table."""
    rows = (run.metrics or {}).get("rows", []) if run.kind == "compare" else []
    return [row["approach"] for row in rows]


def _shown(run: RunRecord, number: int, approaches: Sequence[str]) -> dict[str, Any]:
    """What the template shows of one run; `data` is what the script draws, by key.

    `approaches` are those of the whole page, which give the colours.
    """
    key, parts = f"r{number}", _Parts()
    manifest = run.manifest
    found = run.metrics
    compared = {"baselines": [], "paired": [], **found} if found and run.kind == "compare" else None
    searched = found if run.kind == "search" else None
    figures = {
        "roc": parts.made("ROC", charts.roc_figure, compared, approaches),
        "bits": parts.made("figures of merit by bits", charts.bits_figure, compared, approaches),
        "scores": parts.made("score histograms", charts.scores_figure, run.curves),
        "slices": parts.made("slices", slices_figure, run.curves, approaches),
        "training": parts.made("training", charts.training_figure, run.jobs, approaches),
        "pareto": parts.made("front", search_charts.pareto_figure, searched),
        "volume": parts.made("hypervolume", search_charts.volume_figure, searched),
    }
    drawn = {n: one for n, one in figures.items() if any(c["charts"] for c in one)}
    data: dict[str, Any] = {f"{key}-{n}": one for n, one in drawn.items()}
    if run.curves is not None:
        sensor = ((found or {}).get("detector") or {}).get("sensor", {})
        pitch = [sensor.get("pitch_x_um"), sensor.get("pitch_y_um")]
        data[f"{key}-seen"] = {**run.curves["seen"], "pitch_um": pitch}
    return {
        "key": key,
        "name": run.name,
        "kind": run.kind,
        "manifest": {**_UNKNOWN, **manifest},
        "started": manifest.get("started", "not recorded")
        .replace("T", " ")
        .replace("+00:00", " UTC"),
        "about": parts.made("data and sensor", data_facts, manifest, found),
        "command": tables.command(manifest),
        "firmware_command": firmware_command(run.path, manifest, run.curves),
        "config": tables.config_lines(manifest.get("config", {})),
        "metrics": run.metrics,
        "curves": run.curves,
        "trials": run.trials,
        "figures": {n: f"{key}-{n}" for n in drawn},
        "data": data,
        "summary": parts.made("summary", tables.summary_rows, compared),
        "answers": parts.made("answer", _answers, compared),
        "paired": parts.made("paired tests", tables.paired_rows, compared),
        "collapsed": parts.made("collapsed trainings", collapsed_lines, compared),
        "over_budget": parts.made("budgets", over_budget_lines, compared),
        "coarse": parts.made("coarse logits", coarse_lines, compared),
        "correction": correction_line((compared or {}).get("paired", ())),
        "trees_note": TREES_NOTE,
        "search": parts.made("final table", tables.search_rows, searched),
        "lines": [
            line
            for line in parts.made("result of the search", search_lines, searched, "")[:-1]
            if not line.startswith("'*'")
        ],
        "metric": METRIC_TITLES.get((searched or {}).get("metric", ""), ""),
        "warm_starts": parts.made("warm starts", _warm_starts, run),
        "firmware": parts.made("firmware", tables.firmware_rows, run.firmware),
        "resources": parts.made("resources", tables.resources_rows, run.resources),
        "vendor_reports": run.vendor_reports,
        "robust": parts.made("robustness", tables.robustness_rows, run.robustness),
        "robustness": run.robustness,
        "unreadable": parts.unreadable,
    }


class _Parts:
    """Makes the parts of a page; what an older version wrote otherwise is named, not fatal."""

    def __init__(self) -> None:
        self.unreadable: list[str] = []

    def made(self, what: str, make: Callable[..., list[Any]], source: Any, *more: Any) -> list[Any]:
        """What `make` makes of `source`; nothing where that is None or of another form."""
        if source is None:
            return []
        try:
            return make(source, *more)
        except _OTHER_FORM:
            self.unreadable.append(what)
            return []


def _answers(metrics: Mapping[str, Any]) -> list[tuple[str, list[Answer]]]:
    """Answers by the title of their precision."""
    return [
        (f"At {bits_text(bits)}", list(group))
        for bits, group in groupby(answers(metrics), key=lambda one: one.bits)
    ]


def _warm_starts(run: RunRecord) -> list[dict[str, Any]]:
    if run.metrics is not None and run.kind == "compare":
        return tables.warm_starts(run.metrics)
    rows = [
        {"approach": job["name"], "bits": bits, "warm_start": [job.get("warm_start")]}
        for job in run.jobs.values()
        if run.kind == "train"
        and "name" in job
        and (bits := bits_label(job.get("precision"))) is not None
    ]
    return tables.warm_starts({"rows": rows})


def _joint(runs: Sequence[RunRecord], shown: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The summaries of all comparisons in one table, and whether they are of the same data."""
    hashes = {
        str(run.manifest.get("config", {}).get("data"))
        for run, one in zip(runs, shown, strict=True)
        if one["summary"]
    }
    rows = [
        {"run": run.name, "network": (run.metrics or {}).get("network", ""), **row}
        for run, one in zip(runs, shown, strict=True)
        for row in one["summary"]
    ]
    return {"rows": rows, "same_data": len(hashes) == 1}
