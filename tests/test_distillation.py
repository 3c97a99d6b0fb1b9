from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import expit
from typer.testing import CliRunner

from pixelsieve.cli import app
from pixelsieve.core.errors import ConfigError, RunError
from pixelsieve.core.files import file_hash, read_json
from pixelsieve.core.runs import RunFolder
from pixelsieve.data.clusters import Clusters
from pixelsieve.features import FeatureSet
from pixelsieve.formats.dataset import load
from pixelsieve.networks.layers import Dense
from pixelsieve.networks.model_file import model_hash
from pixelsieve.networks.precision import Precision
from pixelsieve.networks.spec import NetworkSpec, initial_weights
from pixelsieve.studies.train import TrainConfig, train_one
from pixelsieve.training.engine import Rows, Session
from pixelsieve.training.job import Job
from pixelsieve.training.recipe import FLOAT, Recipe, read_recipes
from pixelsieve.training.teachers import (
    TREE_FEATURES,
    Softening,
    TreesTeacher,
    fit_trees,
    grow,
    soft_labels,
    teacher_network,
    trees_teacher,
)
from pixelsieve.training.uniform import StepLimits, train_uniform, uniform_program
from tests.conftest import make_clusters

STUDENT = NetworkSpec(
    "student",
    (
        Dense("hidden", 3, ("z_global", "x_size")),
        Dense("output", 1, ("hidden",), relu=False),
    ),
    time_layer="hidden",
)
RECIPE = Recipe("taught", epochs=3, batch_size=128, distillation=0.5)
"""By the student's own float network, until changed."""


def test_mixed_labels_are_the_loss_of_both() -> None:
    labels = np.array([0, 1, 1], np.float32)
    logits = np.array([-3.0, 0.5, 40.0])
    got = soft_labels(replace(RECIPE, distillation=0.25), labels, logits)
    np.testing.assert_allclose(got, 0.75 * labels + 0.25 * expit(logits), rtol=1e-6)
    hot = soft_labels(replace(RECIPE, temperature=4.0), labels, logits)
    np.testing.assert_array_equal(hot[:, 0], labels)
    np.testing.assert_allclose(hot[:, 1], expit(logits / 4), rtol=1e-6)


@pytest.mark.parametrize(("share", "temperature"), [(0.3, 1.0), (0.5, 3.0), (1.0, 2.0)])
def test_a_temperature_follows_the_formula(share: float, temperature: float) -> None:
    """The first step of plain gradients is that of the loss written out."""
    import jax
    import jax.numpy as jnp

    rng = np.random.default_rng(1)
    x = {n: rng.uniform(-1, 1, (64, 1)).astype(np.float32) for n in STUDENT.features}
    hard = rng.integers(0, 2, 64).astype(np.float32)
    teacher = rng.normal(0, 2, 64)
    told = np.stack([hard, expit(teacher / temperature)], axis=1).astype(np.float32)
    start = initial_weights(STUDENT, 3)
    softened = uniform_program(STUDENT, quantized=False, softening=Softening(share, temperature))
    weights = [jnp.array(v) for layer in start.values() for v in layer.values()]

    def loss(weights: Any) -> Any:
        z = softened.logits(weights, [], x)

        def entropy(p: Any, z: Any) -> Any:
            return -p * jax.nn.log_sigmoid(z) - (1 - p) * jax.nn.log_sigmoid(-z)

        own = (1 - share) * entropy(hard, z)
        return (own + share * temperature**2 * entropy(told[:, 1], z / temperature)).mean()

    value, gradient = jax.value_and_grad(loss)(weights)

    limits = StepLimits(np.inf, [-np.inf] * 4, [np.inf] * 4)
    order, rates = np.arange(64, dtype=np.int32)[None], np.zeros(1, np.float32)
    copies = [jnp.array(w) for w in weights]
    _, _, (got, norm, _) = softened.epoch(
        copies, softened.start(copies), [], x, told, order, rates, limits
    )
    assert float(got) == pytest.approx(float(value), rel=1e-5)
    expected = np.sqrt(sum(float((g**2).sum()) for g in gradient))
    assert float(norm) == pytest.approx(expected, rel=1e-4)


def test_teachers_see_the_time_where_their_student_does() -> None:
    taught = replace(RECIPE, teacher="model3")
    plain = teacher_network(taught, STUDENT.with_window((9, 9)))
    assert plain is not None
    assert plain.name == "model3"
    assert plain.window == (9, 9)
    timed = teacher_network(taught, STUDENT.with_time("hit_time_60ps"))
    assert timed is not None
    assert timed.features[-1] == "hit_time_60ps"
    trees = trees_teacher(replace(RECIPE, teacher="boosted_trees"), STUDENT, 2)
    assert trees is not None
    assert set(trees.features) == {*TREE_FEATURES, "z_global", "x_size"}
    assert teacher_network(RECIPE, STUDENT) is None
    assert trees_teacher(RECIPE, STUDENT, 0) is None
    with pytest.raises(ConfigError, match=r"unknown network 'modl3' \(did you mean 'model3'"):
        teacher_network(replace(RECIPE, teacher="modl3"), STUDENT)
    with pytest.raises(ConfigError, match="teacher 'model3' is not trained here"):
        Job(STUDENT, Precision(4), taught, 0, "float_seed0")


def test_trees_teach_what_they_have_not_seen(tmp_path: Path) -> None:
    """Labels that nothing explains are learned by heart, but not taught."""
    rng = np.random.default_rng(99)
    clusters = make_clusters(600, signal=rng.integers(0, 2, 600).astype(np.int8))
    features = FeatureSet(("z_global", "y_local", "x_profile"))
    training = features.table(clusters)
    validation = features.table(make_clusters(300, seed=1))
    by_heart = fit_trees(training, validation, 0).predict_proba(
        np.concatenate([training.inputs[n] for n in features.names], axis=1)
    )[:, 1]
    teacher = TreesTeacher(features.names, 0)
    about = grow(teacher, tmp_path, training, validation, clusters.groups(), "data")
    with np.load(RunFolder(tmp_path).teacher(teacher.name)) as file:
        taught = file["logits"]
    agree = [np.mean((p > 0) == (training.labels > 0)) for p in (by_heart - 0.5, taught)]
    assert agree[0] > 0.6
    assert agree[1] < 0.55
    assert about.sha256 == file_hash(RunFolder(tmp_path).teacher(teacher.name))

    # Again: nothing is done. Other data, or a damaged file: all is done again.
    before = RunFolder(tmp_path).teacher(teacher.name).stat().st_mtime_ns
    again = grow(teacher, tmp_path, training, validation, clusters.groups(), "data")
    assert again == about
    assert RunFolder(tmp_path).teacher(teacher.name).stat().st_mtime_ns == before
    RunFolder(tmp_path).teacher(teacher.name).write_bytes(b"x")
    grow(teacher, tmp_path, training, validation, clusters.groups(), "data")
    with np.load(RunFolder(tmp_path).teacher(teacher.name)) as file:
        np.testing.assert_array_equal(file["logits"], taught)


TOML = """
[recipes.by_network]
base = "sieve"
epochs = 2
batch_size = 128
teacher = "{teacher}"
temperature = 2.0

[recipes.by_trees]
base = "sieve"
epochs = 2
batch_size = 128
teacher = "boosted_trees"
"""

TEACHER = """
[[layers]]
name = "wide"
units = 4
inputs = ["x_profile", "z_global"]

[[layers]]
name = "output"
units = 1
relu = false
inputs = ["wide"]
"""


def test_compare_trains_teachers_first_and_says_who_taught(
    tmp_path: Path, dataset_file: Path
) -> None:
    (tmp_path / "wide.toml").write_text(TEACHER)
    (tmp_path / "student.toml").write_text(
        TEACHER.replace("wide", "small").replace("units = 4", "units = 2")
    )
    recipes = tmp_path / "recipes.toml"
    recipes.write_text(TOML.format(teacher=tmp_path / "wide.toml"))
    out = tmp_path / "run"
    arguments = ["compare", "--data", dataset_file, "--out", out, "--seeds", "1", "--workers", "1",
                 "--network", tmp_path / "student.toml", "--recipes-file", recipes,
                 "--recipe", "by_network", "--recipe", "by_trees", "--float-epochs", "2",
                 "--batch-size", "128", "--no-baselines"]  # fmt: skip
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exit_code == 0, result.output
    assert "teacher_wide_seed0: validation AUC 0." in result.output
    metrics = read_json(out / "metrics.json")
    assert [t["name"] for t in metrics["teachers"]] == [
        "teacher_wide_seed0",
        "teacher_boosted_trees_seed0",
    ]
    assert [r["approach"] for r in metrics["rows"]] == ["float", "by_network", "by_trees"]
    for name, sha256 in (
        ("by_network", model_hash(out / "models" / "teacher_wide_seed0.keras")),
        ("by_trees", file_hash(out / "teachers" / "teacher_boosted_trees_seed0.npz")),
    ):
        job = json.loads((out / "jobs" / f"{name}_4b_seed0.json").read_text())
        assert job["teacher"]["sha256"] == sha256


def test_a_run_goes_on_with_its_teacher_and_no_other(tmp_path: Path, dataset_file: Path) -> None:
    path = tmp_path / "wide.toml"
    path.write_text(TEACHER)
    recipe = replace(RECIPE, teacher=str(path), epochs=1)
    config = TrainConfig(STUDENT, 4, recipe, 0, replace(FLOAT, epochs=1, batch_size=128))
    dataset = load([str(dataset_file)])
    result = train_one(config, dataset, tmp_path / "run")[-1]
    assert result.teacher is not None
    assert result.teacher.name == "teacher_wide_seed0"

    # A run that lost its student goes on from the same teacher to the same numbers.
    (tmp_path / "run" / "models" / f"{result.name}.keras").unlink()
    assert train_one(config, dataset, tmp_path / "run")[-1] == result

    path.write_text(TEACHER.replace("units = 4", "units = 5"))
    with pytest.raises(RunError, match=r"other settings \(teachers"):
        train_one(config, dataset, tmp_path / "run")


def test_a_good_teacher_beats_wrong_labels(clusters: Clusters) -> None:
    """Half of the labels at random, but the teacher knows the truth."""
    features = FeatureSet(STUDENT.features)
    table = features.table(make_clusters(2048))
    rng = np.random.default_rng(0)
    noisy = np.where(rng.random(2048) < 0.45, 1 - table.labels, table.labels).astype(np.float32)
    logits = 4.0 * (2 * table.labels - 1)
    recipe = Recipe("r", epochs=30, batch_size=256, initial_rate=1e-2, distillation=0.9)
    losses = []
    for told in (None, soft_labels(recipe, noisy, logits)):
        shown = replace(table, labels=noisy)
        rows = Rows(shown, table, soft_labels=None if told is None else [told])
        start = initial_weights(STUDENT, 0)
        _, history = train_uniform(STUDENT, None, recipe, start, rows, Session(0))
        losses.append(min(r["validation_loss"] for r in history))
    assert losses[1] < losses[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("temperature = 0.0", "temperature is 0.0; expected above 0, at most 100"),
        ('distillation = 0.0\nteacher = "model3"', "teacher is 'model3'; expected 'float', at"),
        ("distillation = 0.0\ntemperature = 2.0", "expected 'float', at temperature 1"),
    ],
)
def test_bad_recipes_are_named(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "r.toml"
    path.write_text(f'[recipes.a]\nbase = "sieve"\n{text}\n')
    with pytest.raises(ConfigError, match=expected):
        read_recipes(path)
