"""Runs and scores go to MLflow; a stand-in with its signatures keeps what it is given."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import pixelsieve as ps
from pixelsieve.core.errors import ConfigError, RunError
from tests.fuzzing.readers import search_of_one_trial


@dataclass
class Metric:
    """In the order of the real one."""

    key: str
    value: float
    timestamp: int
    step: int


@dataclass
class Param:
    """In the order of the real one."""

    key: str
    value: str


@dataclass
class Run:
    """A run that was logged."""

    number: str
    name: str
    experiment: str
    parent: str | None
    tags: dict[str, Any]
    params: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)


class Server:
    """The functions of MLflow 2 and 3 that are used, with their limits."""

    def __init__(self) -> None:
        self.runs: dict[str, Run] = {}
        self.experiments = {"Default": "0"}
        self._active: list[Run] = []

    def active_run(self) -> Run | None:
        return self._active[-1] if self._active else None

    def get_experiment_by_name(self, name: str) -> Any:
        number = self.experiments.get(name)
        return None if number is None else SimpleNamespace(experiment_id=number)

    def create_experiment(self, name: str) -> str:
        assert name not in self.experiments
        return self.experiments.setdefault(name, str(len(self.experiments)))

    @contextmanager
    def start_run(
        self,
        *,
        experiment_id: str | None = None,
        run_name: str | None = None,
        nested: bool = False,
        tags: dict[str, Any] | None = None,
    ) -> Iterator[Any]:
        active = self.active_run()
        assert nested or active is None
        assert run_name is not None
        parent = active.number if active else None
        one = Run(f"run{len(self.runs)}", run_name, experiment_id or "0", parent, dict(tags or {}))
        self.runs[one.number] = one
        self._active.append(one)
        info = SimpleNamespace(run_id=one.number, experiment_id=one.experiment)
        try:
            yield SimpleNamespace(info=info)
        finally:
            self._active.pop()

    def MlflowClient(self) -> Server:  # noqa: N802 (its name)
        return self

    def log_batch(self, run_id: str, metrics: Any = (), params: Any = ()) -> None:
        assert len(metrics) <= 1000
        assert len(params) <= 100
        allowed = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-. :/")
        for one in (*metrics, *params):
            assert set(one.key) <= allowed
            assert not one.key.startswith("/")
        for one in params:
            assert len(one.value) <= 500
            self.runs[run_id].params[one.key] = one.value
        for one in metrics:
            assert isinstance(one.value, float)
            self.runs[run_id].metrics.setdefault(one.key, []).append((one.step, one.value))

    def log_artifact(self, run_id: str, local_path: str) -> None:
        path = Path(local_path)
        self.runs[run_id].files[path.name] = path.read_text()

    def log_dict(self, run_id: str, dictionary: dict[str, Any], artifact_file: str) -> None:
        self.runs[run_id].files[artifact_file] = json.dumps(dictionary)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    made = Server()
    entities: Any = ModuleType("mlflow.entities")
    entities.Metric, entities.Param = Metric, Param
    monkeypatch.setitem(sys.modules, "mlflow", made)
    monkeypatch.setitem(sys.modules, "mlflow.entities", entities)
    return made


def test_a_comparison_is_a_run_with_one_nested_per_training(
    values: dict[str, Any], server: Server
) -> None:
    study = values["study"]
    number = ps.to_mlflow(study, experiment="filters")
    whole, *trainings = server.runs.values()
    assert (whole.number, whole.name, whole.parent) == (number, "study", None)
    assert {one.experiment for one in server.runs.values()} == {server.experiments["filters"]}
    assert {one.parent for one in trainings} == {number}
    assert {one.name for one in trainings} == {
        f"{name}_seed{seed}" for name in ("float", "sieve_4b") for seed in (0, 1)
    }
    assert whole.params["network"] == "small"
    assert whole.params["split_by"] == "hash of group_id"
    assert whole.tags["pixelsieve"] == ps.__version__
    assert whole.files["metrics.json"] == (study.folder / "metrics.json").read_text()
    row = next(one for one in study.comparison.rows if one.approach == "sieve")
    auc = row.summary["auc"]
    assert whole.metrics["sieve_4b/auc"] == [(0, auc.mean)]
    assert whole.metrics["sieve_4b/auc_spread"] == [(0, auc.spread)]
    cut = study.comparison.baselines[-1]
    assert cut.approach == "cut on |t| (30 ps) alone"
    assert whole.metrics["cut on _t_ _30 ps_ alone/auc"] == [(0, cut.summary["auc"].mean)]
    one = next(run for run in trainings if run.name == "sieve_4b_seed1")
    assert one.params["recipe.name"] == "sieve"
    assert (one.params["bits"], one.params["seed"]) == ("4 bits", "1")
    assert one.metrics["auc"] == [(0, row.by_seed[1].auc)]
    assert [step for step, _ in one.metrics["validation_loss"]] == [0, 1, 2]


def test_a_folder_is_logged_twice_into_the_same_experiment(
    values: dict[str, Any], server: Server
) -> None:
    for _ in range(2):
        ps.to_mlflow(values["front"].folder, experiment="again")
    assert list(server.experiments) == ["Default", "again"]
    one = next(run for run in server.runs.values() if run.name == "learned_40ebops_seed0")
    assert one.params["bits"] == "learned:40"
    assert len(one.metrics["ebops"]) == 60


def test_scores_and_a_model_are_logged_in_the_run_that_is_active(
    values: dict[str, Any], server: Server
) -> None:
    scores = values["scores"]
    with server.start_run(run_name="mine"):
        number = ps.to_mlflow(scores)
        trained = ps.to_mlflow(values["trained model"])
    mine = next(iter(server.runs))
    one = server.runs[number]
    assert one.parent == server.runs[trained].parent == mine
    assert one.params["split"] == "test"
    assert one.metrics["auc"] == [(0, scores.auc)]
    assert one.metrics["auc_low"] == [(0, scores.intervals["auc"].low)]
    assert json.loads(one.files["scores.json"])["figures"]["auc"] == scores.auc
    assert server.runs[trained].params["seed"] == "1"


def test_a_search_has_the_costs_of_its_front(
    tmp_path: Path, values: dict[str, Any], server: Server
) -> None:
    config: dict[str, Any] = {"space": {}, "data": {}}
    (tmp_path / "manifest.json").write_text(json.dumps({"config": config, "pixelsieve": "0"}))
    found = search_of_one_trial()
    (tmp_path / "metrics.json").write_text(json.dumps(found.to_plain()))
    whole = server.runs[ps.to_mlflow(ps.Search(tmp_path, found))]
    assert whole.metrics["trial_0003/luts"] == [(0, 0.5)]
    nested = next(run for run in server.runs.values() if run.parent == whole.number)
    assert nested.metrics["auc"] == [(0, found.rows[0].by_seed[0].auc)]


def test_what_is_no_run_is_one_line(tmp_path: Path, server: Server) -> None:
    with pytest.raises(RunError, match="no run"):
        ps.to_mlflow(tmp_path)
    assert server.runs == {}


def test_without_mlflow_one_line_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(ConfigError, match="pip install mlflow-skinny"):
        ps.to_mlflow(tmp_path)


def test_the_real_mlflow_takes_it_all(values: dict[str, Any], tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'mlflow.db'}")
    try:
        experiment = mlflow.create_experiment("real", str(tmp_path / "artifacts"))
        number = ps.to_mlflow(values["study"], experiment="real")
        ps.to_mlflow(values["scores"], experiment="real")
        client = mlflow.MlflowClient()
        runs = client.search_runs([experiment])
        nested = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == number]
        assert (len(runs), len(nested)) == (6, 4)
        assert {run.info.status for run in runs} == {"FINISHED"}
        history = client.get_metric_history(nested[0].info.run_id, "validation_loss")
        assert sorted(one.step for one in history) == [0, 1, 2]
        files = {one.path for one in client.list_artifacts(number)}
        assert {"metrics.json", "manifest.json"} <= files
    finally:
        mlflow.set_tracking_uri(before)
