"""Runs and scores as runs of MLflow, which need not be installed for anything else."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pixelsieve import __version__
from pixelsieve.api.arguments import Place, public
from pixelsieve.api.pages import HasFolder
from pixelsieve.api.scoring import Scores
from pixelsieve.api.training import TrainedModel
from pixelsieve.core.config import Document, fingerprint, to_plain
from pixelsieve.core.errors import ConfigError
from pixelsieve.core.runs import RunFolder
from pixelsieve.metrics.statistics import Mean, Metrics
from pixelsieve.networks.precision import bits_text
from pixelsieve.reporting.record import JobRecord, RunRecord, read_run

_LONGEST = 500
"""Letters of a parameter that every MLflow takes."""

_MOST = 1000
"""Metrics that it takes at once."""

_REFUSED = re.compile(r"[^\w\-. :/]", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Logged:
    """A run as MLflow keeps it: metrics are name, value and step (epoch), files are artifacts."""

    name: str
    params: Document
    metrics: list[tuple[str, float, int]]
    tags: dict[str, str] = field(default_factory=dict)
    files: tuple[Path, ...] = ()
    document: Document | None = None
    children: tuple[_Logged, ...] = ()


@public
def to_mlflow(
    results: Scores | TrainedModel | HasFolder | Place, experiment: str | None = None
) -> str:
    """Log a run folder, or what a function returned, to MLflow; return the id of its run.

    Server and experiment are those that MLflow is set to, or the experiment of that name, made if
    it is not there; inside an active run it is nested. A run folder gives one run with its
    settings, figures over seeds, metrics.json and report, and nested in it a run per training with
    recipe, seed, figures of every epoch, and those on the test split. `Scores` give one run.
    Raise `ConfigError` if MLflow is not installed, `RunError` if a folder is no run.

    Examples
    --------
    >>> ps.to_mlflow(study, experiment="filters")  # doctest: +SKIP
    """
    try:
        import mlflow
    except ModuleNotFoundError as error:
        msg = "to_mlflow: MLflow is not installed; pip install mlflow-skinny"
        raise ConfigError(msg) from error
    if isinstance(results, Scores):
        logged = _of_scores(results)
    else:
        source = results.training if isinstance(results, TrainedModel) else results
        folder = Path(source) if isinstance(source, str | Path) else source.folder
        logged = _of_run(read_run(folder))
    chosen = None
    if experiment is not None:
        found = mlflow.get_experiment_by_name(experiment)
        chosen = found.experiment_id if found else mlflow.create_experiment(experiment)
    return _write(mlflow, logged, chosen)


def _write(mlflow: Any, one: _Logged, experiment: str | None) -> str:
    from mlflow.entities import Metric, Param

    nested = mlflow.active_run() is not None
    with mlflow.start_run(
        experiment_id=experiment, run_name=one.name, nested=nested, tags=one.tags
    ) as run:
        client, number, now = mlflow.MlflowClient(), run.info.run_id, int(time.time() * 1000)
        params = [Param(_key(n), _text(value)) for n, value in one.params.items()]
        client.log_batch(number, params=params)
        metrics = [Metric(_key(n), value, now, step) for n, value, step in one.metrics]
        for start in range(0, len(metrics), _MOST):
            client.log_batch(number, metrics=metrics[start : start + _MOST])
        for file in one.files:
            client.log_artifact(number, str(file))
        if one.document is not None:
            client.log_dict(number, one.document, "scores.json")
        for child in one.children:
            _write(mlflow, child, run.info.experiment_id)
    return str(number)


def _of_scores(scores: Scores) -> _Logged:
    one = scores.evaluation
    params = {"model": scores.name, "split": one.split, "split_by": one.split_by}
    intervals = [
        (f"{name}_{end}", getattr(interval, end), 0)
        for name, interval in scores.intervals.items()
        for end in ("low", "high")
    ]
    metrics = [*_figures(scores.figures), *intervals, ("clusters", float(len(scores.labels)), 0)]
    tags = {"pixelsieve": __version__}
    return _Logged(scores.name, params, metrics, tags, document=scores.to_plain())


def _of_run(run: RunRecord) -> _Logged:
    manifest, folder = run.manifest, RunFolder(run.path)
    config = {n: v for n, v in manifest.config.items() if not isinstance(v, dict | list)}
    bits = manifest.config.get("bits")
    spec = manifest.config.get("spec")
    network = {"network": spec["name"]} if isinstance(spec, dict) and "name" in spec else {}
    identity = {"data": fingerprint(manifest.config.get("data")), "config": manifest.config_hash}
    tags = {"pixelsieve": manifest.pixelsieve, "pixelsieve.kind": run.kind}
    if manifest.git is not None:
        tags |= {
            "mlflow.source.git.commit": manifest.git.commit,
            "pixelsieve.git.dirty": str(manifest.git.dirty).lower(),
        }
    files = (folder.manifest, folder.metrics, folder.page)
    figures, means = _of_tables(run)
    every = dict.fromkeys([*run.jobs, *figures])
    return _Logged(
        run.name,
        {**network, **config, "bits": bits, **identity},
        [
            (f"{approach}/{name}{end}", value, 0)
            for approach, summary in means.items()
            for name, mean in summary.items()
            for end, value in (("", mean.mean), ("_spread", mean.spread))
        ],
        tags,
        tuple(file for file in files if file.is_file()),
        children=tuple(
            _of_job(name, network, run.jobs.get(name), figures.get(name)) for name in every
        ),
    )


def _of_tables(run: RunRecord) -> tuple[dict[str, Metrics], dict[str, Mapping[str, Mean]]]:
    """Return figures on the test split by model, and over seeds by approach."""
    figures: dict[str, Metrics] = {}
    means: dict[str, Mapping[str, Mean]] = {}
    if run.comparison is not None:
        for row in run.comparison.rows:
            figures |= dict(zip(row.models, row.by_seed, strict=True))
            means[row.models[0].removesuffix(f"_seed{row.seeds[0]}")] = row.summary
        means |= {one.approach: one.summary for one in run.comparison.baselines}
    if run.search is not None:
        for found in run.search.rows:
            figures |= {f"{found.name}_seed{i}": one for i, one in enumerate(found.by_seed)}
            costs = {name: getattr(found, name) for name in ("luts", "ebops", "levels")}
            means[found.name] = {**found.test, **costs}
    return figures, means


def _of_job(
    name: str, network: Mapping[str, object], job: JobRecord | None, figures: Metrics | None
) -> _Logged:
    metrics = [] if figures is None else [*_figures(figures)]
    if job is None:
        return _Logged(name, {"model": name}, metrics)
    recipe = {f"recipe.{n}": value for n, value in to_plain(job.recipe).items()}
    metrics += [
        (figure, value, int(epoch.get("epoch") or 0))
        for epoch in job.history
        for figure, value in epoch.items()
        if figure != "epoch" and value is not None and math.isfinite(value)
    ]
    params = {**network, "bits": bits_text(job.bits), "seed": job.seed, **recipe}
    return _Logged(name, params, metrics)


def _figures(figures: Metrics) -> Iterator[tuple[str, float, int]]:
    return ((name, float(value), 0) for name, value in to_plain(figures).items())


def _key(name: str) -> str:
    return _REFUSED.sub("_", name)


def _text(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text[:_LONGEST]
