from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from pixelsieve.core.errors import DataError, GuaranteeError
from pixelsieve.features import FeatureSet, FeatureTable
from pixelsieve.metrics.metrics import roc_auc
from pixelsieve.networks.layers import Dense
from pixelsieve.networks.precision import Precision
from pixelsieve.networks.spec import NetworkSpec, Weights, initial_weights
from pixelsieve.training.engine import Checkpoint, EpochRecord, Rows, Session, roughness
from pixelsieve.training.job import TrainingData
from pixelsieve.training.recipe import Recipe, learning_rates
from pixelsieve.training.uniform import train_uniform
from tests.conftest import make_clusters

SPEC = NetworkSpec(
    "small",
    (
        Dense("hidden", 8, ("x_profile", "z_global", "y_profile")),
        Dense("output", 1, ("hidden",), relu=False),
    ),
)
RECIPE = Recipe("test", epochs=6, batch_size=64, initial_rate=1e-2, end_rate=1e-3, warm_start=False)


def tables() -> tuple[FeatureTable, FeatureTable]:
    features = FeatureSet(SPEC.features, mirror_x=True)
    return features.table(make_clusters(600)), features.table(make_clusters(300, seed=1))


class Outcome(NamedTuple):
    weights: Weights
    best_epoch: int
    history: tuple[EpochRecord, ...]


def run(precision: Precision | None = None, recipe: Recipe = RECIPE, **more: Any) -> Outcome:
    training, validation = tables()
    start = initial_weights(SPEC, 3)
    arguments: dict[str, Any] = {"seed": 5, "monitors": {"auc": roc_auc}, **more}
    rows = Rows(training, validation, soft_labels=arguments.pop("soft_labels", None))
    session = Session(**arguments)
    best, history = train_uniform(SPEC, precision, recipe, start, rows, session)
    return Outcome(best.weights, best.epoch, history)


def same(one: Weights, other: Weights) -> bool:
    return all(np.array_equal(v, other[k][n]) for k, vs in one.items() for n, v in vs.items())


@pytest.mark.parametrize("precision", [None, Precision(4)])
def test_training_learns_and_repeats_to_the_bit(precision: Precision | None) -> None:
    recipe = replace(RECIPE, epochs=40)
    one, other = run(precision, recipe), run(precision, recipe)
    assert one.history[-1]["validation_auc"] > 0.85
    assert one.history == other.history
    assert same(one.weights, other.weights)
    assert not same(one.weights, run(precision, recipe, seed=6).weights)


def test_one_step_is_one_step_of_adam() -> None:
    training, validation = tables()
    start = initial_weights(SPEC, 3)
    recipe = replace(RECIPE, epochs=1, batch_size=600, decay="constant", end_rate=1e-2)
    rows = Rows(training, validation)
    best, _ = train_uniform(SPEC, None, recipe, start, rows, Session(0))
    got = best.weights
    x = np.concatenate([training.inputs[n] for n in SPEC.features], axis=1).astype(np.float64)
    kernel = start["hidden"]["kernel"].astype(np.float64)
    hidden = np.maximum(x @ kernel, 0)
    logits = hidden @ start["output"]["kernel"].astype(np.float64)
    error = (1 / (1 + np.exp(-logits[:, 0])) - training.labels) / 600
    gradient = hidden.T @ error[:, None]
    # The first step of Adam is rate * gradient / (|gradient| + epsilon).
    expected = start["output"]["kernel"] - 1e-2 * gradient / (np.abs(gradient) + 1e-8)
    np.testing.assert_allclose(got["output"]["kernel"], expected, atol=2e-5)


def test_the_history_tells_what_happened() -> None:
    result = run(Precision(4))
    assert [r["epoch"] for r in result.history] == list(range(6))
    rates = learning_rates(RECIPE, 9).reshape(6, 9)[:, -1]
    np.testing.assert_allclose([r["learning_rate"] for r in result.history], rates)
    for record in result.history:
        assert 0 < record["gradient_norm"] <= record["gradient_norm_largest"]
        assert 0 < record["flip_share"] < 1
    losses = [r["validation_loss"] for r in result.history]
    assert result.best_epoch == int(np.argmin(losses))
    assert result.history[-1]["roughness"] == pytest.approx(np.sqrt(np.mean(np.diff(losses) ** 2)))
    assert roughness([1.0]) == 0


def test_no_rate_no_flips() -> None:
    recipe = replace(RECIPE, initial_rate=1e-12, end_rate=1e-12, decay="constant")
    assert {r["flip_share"] for r in run(Precision(4), recipe).history} == {0.0}


def test_the_best_epoch_is_returned_and_not_the_last() -> None:
    recipe = replace(RECIPE, epochs=30, initial_rate=0.5, end_rate=0.5, decay="constant")
    result = run(None, recipe)
    shorter = run(None, replace(recipe, epochs=result.best_epoch + 1))
    assert result.best_epoch < 29
    assert same(result.weights, shorter.weights)


def test_patience_stops_early() -> None:
    recipe = replace(RECIPE, epochs=60, initial_rate=0.5, end_rate=0.5, decay="constant")
    result = run(None, replace(recipe, patience=3))
    assert len(result.history) == result.best_epoch + 4 < 60


def test_weights_stay_on_the_range_of_their_grid_when_asked() -> None:
    hot = replace(RECIPE, epochs=4, initial_rate=0.3, end_rate=0.3, decay="constant")
    grid = Precision(4).weights("hidden")["kernel"]
    free = run(Precision(4), hot).weights["hidden"]["kernel"]
    kept = run(Precision(4), replace(hot, keep_in_range=True)).weights["hidden"]["kernel"]
    assert free.max() > grid.maximum
    assert grid.minimum <= kept.min()
    assert kept.max() <= grid.maximum


def test_clipping_changes_training_and_reports_the_norm_before() -> None:
    plain, clipped = run(), run(recipe=replace(RECIPE, clip_norm=1e-4))
    assert clipped.history[0]["gradient_norm"] > 1e-3
    assert not same(plain.weights, clipped.weights)
    assert same(plain.weights, run(recipe=replace(RECIPE, clip_norm=1e9)).weights)


def test_soft_labels_replace_the_labels() -> None:
    training, _ = tables()
    assert same(run(soft_labels=[training.labels]).weights, run().weights)
    flipped = run(soft_labels=[1 - training.labels], recipe=replace(RECIPE, epochs=20))
    assert flipped.history[-1]["validation_auc"] < 0.3


def test_divergence_is_named() -> None:
    recipe = replace(RECIPE, epochs=5, initial_rate=1e30, end_rate=1e30, decay="constant")
    with pytest.raises(DataError, match=r"recipe 'test', seed 5: training diverged in epoch \d"):
        run(None, recipe)


class StoppedError(Exception):
    pass


@pytest.mark.parametrize("precision", [None, Precision(2)])
@pytest.mark.parametrize("stop_after", [0, 3])
def test_a_stopped_run_goes_on_to_the_same_numbers(
    tmp_path: Path, precision: Precision | None, stop_after: int
) -> None:
    def stop(record: dict[str, float]) -> None:
        if record["epoch"] == stop_after + 1:
            raise StoppedError

    path = tmp_path / "job.npz"
    with pytest.raises(StoppedError):
        run(precision, checkpoint=Checkpoint(path, "mark", every_s=0), report=stop)
    seen: list[float] = []
    resumed = run(
        precision,
        checkpoint=Checkpoint(path, "mark", every_s=0),
        report=lambda r: seen.append(r["epoch"]),
    )
    undisturbed = run(precision)
    assert seen[0] == stop_after + 1
    assert resumed.history == undisturbed.history
    assert same(resumed.weights, undisturbed.weights)


def test_checkpoints_of_other_jobs_and_damaged_ones_are_ignored(tmp_path: Path) -> None:
    path = tmp_path / "job.npz"
    run(checkpoint=Checkpoint(path, "mark", every_s=0))
    assert Checkpoint(path, "mark").load() is not None
    assert Checkpoint(path, "another").load() is None
    path.write_bytes(path.read_bytes()[:-100])
    assert Checkpoint(path, "mark").load() is None
    assert Checkpoint(tmp_path / "none.npz", "mark").load() is None
    for head in ("[]", "{}", '{"job": "mark"}', '{"job": "mark", "counts": {"a": 1}}', "NaN"):
        np.savez(path, head=np.array(head))
        assert Checkpoint(path, "mark").load() is None


def test_features_that_no_table_shows_are_an_error() -> None:
    training, validation = tables()
    data = TrainingData(training, validation, "")
    assert data.tables(SPEC.features)[1] is validation
    with pytest.raises(GuaranteeError, match="no table of y_profile; there are those of x_profile"):
        data.tables(("y_profile",))
