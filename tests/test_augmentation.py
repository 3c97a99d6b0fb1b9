from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from pixelsieve.api.arguments import RecipeChanges
from pixelsieve.core.errors import ConfigError
from pixelsieve.core.files import read_json
from pixelsieve.data.clusters import Clusters
from pixelsieve.data.windows import shift_window
from pixelsieve.features import FeatureSet
from pixelsieve.formats.dataset import Dataset, load
from pixelsieve.front_end import FrontEnd, read_out
from pixelsieve.metrics.metrics import roc_auc
from pixelsieve.networks.layers import Dense
from pixelsieve.networks.model_file import load_model
from pixelsieve.networks.precision import Precision
from pixelsieve.networks.spec import NetworkSpec, initial_weights
from pixelsieve.studies.compare import CompareConfig, jobs_of
from pixelsieve.studies.jobs import teachers_of, training_data
from pixelsieve.studies.search.space import RecipeChoices, SearchSpace
from pixelsieve.studies.train import TrainConfig
from pixelsieve.training.augmentation import Augmentation, augmented, varied
from pixelsieve.training.engine import Checkpoint, Rows, Session
from pixelsieve.training.job import Job
from pixelsieve.training.recipe import FLOAT, RECIPES, Recipe, read_recipes
from pixelsieve.training.run import run_job
from pixelsieve.training.uniform import train_uniform
from tests.conftest import make_clusters
from tests.test_cli import QUICK, pixelsieve, refused

SPEC = NetworkSpec(
    "small",
    (
        Dense("hidden", 4, ("x_profile", "abs_z_global", "y_profile")),
        Dense("output", 1, ("hidden",), relu=False),
    ),
)
FEATURES = FeatureSet(SPEC.features)
JITTER = Augmentation(copies=3, window_x_px=(-1, 2), window_y_px=(0, 1))
NOTHING = Augmentation(
    copies=3,
    window_x_px=(0, 0),
    window_y_px=(0, 0),
    gain=(1.0, 1.0),
    noise_e=(0.0, 0.0),
    threshold_shift_e=(0.0, 0.0),
    dead_pixel_share=(0.0, 0.0),
)
SHORT = replace(FLOAT, epochs=4, batch_size=128)
TAUGHT = replace(RECIPES["sieve"], epochs=4, batch_size=128)
CHIP = FrontEnd(noise_e=60, threshold_e=2300)


@pytest.fixture(scope="module")
def dataset(dataset_file: Path) -> Dataset:
    return load([dataset_file])


def trained(augmentation: Augmentation | None, dataset: Dataset, folder: Path) -> Any:
    """Histories of the float and the quantized network, and the latter's weights."""
    recipe, floats = (replace(r, augmentation=augmentation) for r in (TAUGHT, SHORT))
    jobs = TrainConfig(SPEC, 4, recipe, 0, floats).jobs()
    assert [j.name for j in jobs] == ["float_seed0", "sieve_4b_seed0"]
    data = training_data(dataset, FEATURES, [recipe, floats])
    for name in ("jobs", "models"):
        (folder / name).mkdir(parents=True)
    histories = [run_job(job, folder, data, {}).history for job in jobs]
    model = load_model(folder / "models" / "sieve_4b_seed0.keras")
    return histories, [v.tolist() for layer in model.weights.values() for v in layer.values()]


def test_what_does_not_vary_trains_to_the_same_numbers(dataset: Dataset, tmp_path: Path) -> None:
    plain = trained(None, dataset, tmp_path / "plain")
    assert trained(NOTHING, dataset, tmp_path / "nothing") == plain
    once = trained(JITTER, dataset, tmp_path / "once")
    assert once[0][0] != plain[0][0]  # the float network
    assert once[1] != plain[1]
    assert trained(JITTER, dataset, tmp_path / "again") == once


def test_windows_move_by_whole_pixels_within_their_range() -> None:
    clusters = make_clusters(2000)
    copies = list(varied(JITTER, clusters, None))
    assert len(copies) == 3
    seen = []
    for copy in copies:
        columns = np.rint((copy.z_global_mm - clusters.z_global_mm) / 0.025).astype(int)
        rows = np.rint((copy.y_local_mm - clusters.y_local_mm) / 0.025).astype(int)
        expected = shift_window(clusters, rows, columns)
        for name, column in copy.columns().items():
            np.testing.assert_array_equal(column, expected.columns()[name], err_msg=name)
        shares = np.bincount(columns + 1, minlength=4) / len(clusters)
        assert shares == pytest.approx([0.25] * 4, abs=0.05)
        assert np.bincount(rows) / len(clusters) == pytest.approx([0.5] * 2, abs=0.06)
        seen.append((columns, rows))
    assert abs(np.corrcoef(seen[0][0], seen[1][0])[0, 1]) < 0.1
    assert abs(np.corrcoef(seen[0][0], seen[0][1])[0, 1]) < 0.1


def test_a_cluster_varies_alike_in_any_order() -> None:
    clusters, order = make_clusters(300), np.random.default_rng(0).permutation(300)
    varying = replace(JITTER, noise_e=(20.0, 90.0), gain=(0.9, 1.1), dead_pixel_share=(0.0, 0.1))
    for one, other in zip(
        varied(varying, clusters, CHIP), varied(varying, clusters.select(order), CHIP), strict=True
    ):
        first, second = (t.select(np.argsort(t.columns()["event_id"])) for t in (one, other))
        np.testing.assert_array_equal(first.pixels_e, second.pixels_e)
        np.testing.assert_array_equal(first.z_global_mm, second.z_global_mm)


def test_chips_fill_their_ranges_evenly() -> None:
    many = Augmentation(copies=10, gain=(0.5, 1.5), threshold_shift_e=(-100.0, 300.0))
    chips = many.chips(CHIP)
    gains = np.array([chip.gain for chip in chips])
    front_ends = [chip.front_end for chip in chips if chip.front_end]
    assert sorted(np.floor((gains - 0.5) * 10).astype(int)) == list(range(10))
    thresholds = np.array([one.threshold_e for one in front_ends])
    assert sorted(np.floor((thresholds - 2200) / 40).astype(int)) == list(range(10))
    noise = np.array([one.noise_e for one in front_ends])
    np.testing.assert_allclose(noise, 60 * gains)  # the amplifier's noise has its gain too
    assert len({one.seed for one in front_ends}) == 10
    assert [c.gain for c in replace(many, noise_e=(1.0, 2.0)).chips(CHIP)] == gains.tolist()
    assert replace(many, seed=1).chips(CHIP) != chips


def test_every_cluster_meets_every_chip() -> None:
    clusters = make_clusters(50)
    varying = Augmentation(copies=3, gain=(0.3, 0.9))
    tables = augmented(varying, FeatureSet(("total_charge",)), clusters, None)
    charge = clusters.pixels_e.sum(axis=(1, 2)) / 65_536
    seen = np.stack([t.inputs["total_charge"][:, 0] / charge for t in tables])
    gains = [chip.gain for chip in varying.chips(None)]
    np.testing.assert_allclose(np.sort(seen, axis=0), np.sort(gains)[:, None].repeat(50, 1), 1e-5)
    # One epoch does not belong to one chip.
    assert len(np.unique(seen[0].round(4))) == 3


def test_what_a_copy_loses_is_shown_as_the_front_end_reads_it() -> None:
    clusters = make_clusters(600)
    plain = read_out(FrontEnd(threshold_e=2300), clusters)
    assert len(plain.rows) < 600
    higher = Augmentation(copies=2, threshold_shift_e=(400.0, 400.0))
    strict = read_out(FrontEnd(threshold_e=2700), clusters)
    left = np.isin(plain.rows, strict.rows)
    assert 0 < left.sum() < len(left)
    for copy in varied(higher, clusters, FrontEnd(threshold_e=2300)):
        np.testing.assert_array_equal(copy.event_id, plain.clusters.event_id)
        np.testing.assert_array_equal(copy.pixels_e[left], strict.clusters.pixels_e)
        np.testing.assert_array_equal(copy.pixels_e[~left], plain.clusters.pixels_e[~left])
    # A lower threshold adds pixels, but no cluster.
    lower = Augmentation(copies=1, threshold_shift_e=(-400.0, -400.0))
    (copy,) = varied(lower, clusters, FrontEnd(threshold_e=2300))
    np.testing.assert_array_equal(copy.event_id, plain.clusters.event_id)
    assert (copy.pixels_e > 0).sum() > (plain.clusters.pixels_e > 0).sum()


def test_a_window_off_the_charge_is_not_shown() -> None:
    clusters = make_clusters(20)
    (copy,) = varied(Augmentation(copies=1, window_x_px=(30, 30)), clusters, None)
    np.testing.assert_array_equal(copy.pixels_e, clusters.pixels_e)
    np.testing.assert_array_equal(copy.z_global_mm, clusters.z_global_mm)


def test_copies_are_of_the_collected_charge_of_the_training_clusters(dataset: Dataset) -> None:
    """Read out once, not twice, and with noise of their own."""
    varying = Augmentation(copies=2, gain=(0.8, 0.8))
    seen = dataset.through(CHIP)
    data = training_data(seen, FEATURES, [replace(SHORT, augmentation=varying)])
    first, second = data.copies(replace(SHORT, augmentation=varying))
    assert not np.array_equal(first.inputs["x_profile"], second.inputs["x_profile"])
    expected = augmented(varying, FEATURES, dataset.train, CHIP)
    np.testing.assert_array_equal(first.inputs["x_profile"], expected[0].inputs["x_profile"])
    np.testing.assert_array_equal(first.labels, data.training.labels)
    assert len(data.training) == len(seen.train) < len(dataset.train)
    assert data.copies(SHORT) == ()
    plain = training_data(seen, FEATURES, [SHORT])
    np.testing.assert_array_equal(
        data.validation.inputs["x_profile"], plain.validation.inputs["x_profile"]
    )


class StoppedError(Exception):
    pass


@pytest.mark.parametrize("stop_after", [0, 3])
def test_a_stopped_training_goes_on_with_the_copy_it_was_at(
    tmp_path: Path, stop_after: int
) -> None:
    clusters = make_clusters(600)
    table, recipe = FEATURES.table(clusters), Recipe("r", epochs=6, batch_size=64)
    copies = augmented(JITTER, FEATURES, clusters, None)

    def run(**more: Any) -> Any:
        start = initial_weights(SPEC, 3)
        rows = Rows(table, table, copies)
        return train_uniform(SPEC, Precision(4), recipe, start, rows, Session(5, **more))[1]

    def stop(record: dict[str, float]) -> None:
        if record["epoch"] == stop_after + 1:
            raise StoppedError

    path = tmp_path / "job.npz"
    with pytest.raises(StoppedError):
        run(checkpoint=Checkpoint(path, "mark", every_s=0), report=stop)
    seen: list[float] = []
    resumed = run(
        checkpoint=Checkpoint(path, "mark", every_s=0), report=lambda r: seen.append(r["epoch"])
    )
    assert seen[0] == stop_after + 1
    assert resumed == run()


def jittered(clusters: Clusters) -> Clusters:
    rng = np.random.default_rng(7)
    return shift_window(clusters, *rng.integers(-3, 4, (2, len(clusters))))


def test_a_network_learns_what_varies() -> None:
    clusters, unseen = make_clusters(3000), jittered(make_clusters(2000, seed=1))
    recipe = replace(FLOAT, epochs=60, batch_size=250)
    moving = Augmentation(copies=12, window_x_px=(-3, 3), window_y_px=(-3, 3))
    table, shown = FEATURES.table(clusters), FEATURES.table(unseen)
    aucs = []
    for copies in ((), augmented(moving, FEATURES, clusters, None)):
        rows, start = Rows(table, shown, copies), initial_weights(SPEC, 0)
        session = Session(0, {"auc": roc_auc})
        best, history = train_uniform(SPEC, None, recipe, start, rows, session)
        aucs.append(history[best.epoch]["validation_auc"])
    assert aucs[1] > aucs[0] + 0.02


SMALL = """
[[layers]]
name = "hidden"
units = 3
inputs = ["x_profile", "abs_z_global"]

[[layers]]
name = "output"
units = 1
relu = false
inputs = ["hidden"]
"""

TOML = """
[recipes.robust]
base = "sieve"

[recipes.robust.augmentation]
copies = 2
window_x_px = [-1, 1]

[recipes.as_robust]
base = "robust"
initial_rate = 3e-3
"""


def test_compare_trains_a_float_network_for_each_augmentation(
    tmp_path: Path, dataset_file: Path
) -> None:
    (tmp_path / "r.toml").write_text(TOML)
    (tmp_path / "small.toml").write_text(SMALL)
    out = tmp_path / "run"
    result = pixelsieve(
        *("compare", "--data", dataset_file, "--out", out, *QUICK[:-1], 1, "--seeds", 1),
        "--no-baselines",
        *("--recipes-file", tmp_path / "r.toml", "--network", tmp_path / "small.toml"),
        *("--recipe", "sieve", "--recipe", "robust"),
    )
    assert result.exit_code == 0, result.output
    rows = read_json(out / "metrics.json")["rows"]
    assert [r["approach"] for r in rows] == ["float", "float_robust", "sieve", "robust"]
    varies = [r["recipe"]["augmentation"] for r in rows]
    assert varies[0] is varies[2] is None
    assert varies[1] == varies[3]
    assert varies[1]["window_x_px"] == [-1, 1]
    # Validation and test clusters are as they came.
    scores = pq.read_table(out / "predictions.parquet")
    model = load_model(out / "models" / "robust_4b_seed0.keras")
    held = load([dataset_file])
    logits = model.logits(model.features.table(held.validation))
    expected = rows[3]["validation_auc"][0]
    assert roc_auc(logits, held.validation.signal) == pytest.approx(expected, abs=1e-9)
    on_test = model.logits(model.features.table(held.test))
    np.testing.assert_array_equal(scores["robust_4b_seed0"].to_numpy(), on_test)
    assert model.card.recipe is not None
    assert model.card.recipe["augmentation"]["copies"] == 2


def test_recipes_that_vary_alike_start_from_one_float_network(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text(TOML)
    robust, as_robust = read_recipes(tmp_path / "r.toml").values()
    config = CompareConfig(SPEC, (RECIPES["sieve"], robust, as_robust), (2, 4), 2)
    starts = {(j.recipe.name, j.seed): j.source for j in jobs_of(config) if j.precision}
    assert {name for (name, _), _ in starts.items()} == {"sieve", "robust", "as_robust"}
    assert starts["sieve", 1] == "float_seed1"
    assert starts["robust", 1] == starts["as_robust", 1] == "float_robust_seed1"
    floats = [j.name for j in jobs_of(config) if not j.precision]
    assert floats == ["float_seed0", "float_robust_seed0", "float_seed1", "float_robust_seed1"]
    # A teacher other than its own float network knows no variation.
    taught = replace(robust, teacher="model3")
    (teacher,) = teachers_of([taught], SPEC, replace(FLOAT, augmentation=JITTER), 0).values()
    assert isinstance(teacher, Job)
    assert teacher.recipe.augmentation is None


def test_augment_holds_for_float_and_quantized(tmp_path: Path, dataset_file: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("copies = 2\nwindow_y_px = [-2, 1]\n")
    changes = RecipeChanges(augment=path)
    expected = Augmentation(copies=2, window_y_px=(-2, 1))
    assert [r.augmentation for r in changes.recipes(["sieve", "original"])] == [expected] * 2
    assert changes.chosen_float_recipe().augmentation == expected
    path.write_text("copies = 2\nwindow_yy_px = [-2, 1]\n")
    line = refused(
        pixelsieve("train", "--data", dataset_file, "--out", tmp_path / "run", "--augment", path)
    )
    assert "unknown key 'window_yy_px' (did you mean 'window_y_px'?)" in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("windw_x_px = [-1, 1]", r"unknown key 'windw_x_px' \(did you mean 'window_x_px'"),
        (
            "window_x_px = [1, -1]",
            r"'window_x_px' is \[1, -1\]; expected \[lowest, highest\], from",
        ),
        ("window_x_px = [1]", r"'window_x_px' is \[1\]; expected \[lowest"),
        ("window_x_px = [-0.5, 0.5]", "'window_x_px'.* is -0.5; expected "),
        ("noise_e = [-1, 10]", r"'noise_e' is \[-1.0, 10.0\]; expected .* from 0 to inf"),
        ("noise_e = [0, inf]", "'noise_e' is"),
        ("gain = [0, 1]", "'gain' is .* from 0.1 to 10"),
        ("copies = 0", "'copies' is 0; expected 1 to 1024"),
    ],
)
def test_bad_variations_are_named(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "r.toml"
    path.write_text(f'[recipes.a]\nbase = "sieve"\n[recipes.a.augmentation]\n{text}\n')
    with pytest.raises(ConfigError, match=rf"\[recipes.a\]: 'augmentation'.*{expected}"):
        read_recipes(path)


def test_variations_that_the_front_end_cannot_have_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"augmentation: .*'threshold_e' is -50"):
        Augmentation(threshold_shift_e=(-50.0, 0.0)).chips(None)
    with pytest.raises(ConfigError, match="'time_resolution_ps' varies a clock; give one"):
        Augmentation(time_resolution_ps=(20.0, 40.0)).chips(CHIP)
    coded = replace(CHIP, adc="codes", adc_codes_e=(2300.0,))
    with pytest.raises(ConfigError, match="edge of code 1"):
        Augmentation(threshold_shift_e=(-50.0, 50.0)).chips(coded)
    robust = replace(RECIPES["sieve"], name="robust", augmentation=JITTER)
    with pytest.raises(ConfigError, match="'robust' has an augmentation, which a search"):
        SearchSpace(recipe=RecipeChoices(names=("robust",)), recipes=(robust,))
