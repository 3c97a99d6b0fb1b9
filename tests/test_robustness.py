"""A frozen threshold on changed detectors: counts by hand, zero changes, and refusals."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pixelsieve.core.config import to_plain
from pixelsieve.core.errors import ConfigError, DataError
from pixelsieve.core.files import read_json
from pixelsieve.data.clusters import LOWEST_CHARGE_E, Clusters, hash_pixels
from pixelsieve.data.detector import MUON_COLLIDER_VXD
from pixelsieve.features import FeatureSet
from pixelsieve.formats import parquet
from pixelsieve.formats.dataset import read_parts
from pixelsieve.front_end import Chip, FrontEnd
from pixelsieve.integer.network import from_model
from pixelsieve.metrics.threshold import (
    FIGURES,
    Seen,
    Threshold,
    choose_threshold,
    draw_groups,
    error_of,
    figures_at,
    resampled,
)
from pixelsieve.networks.model_file import Card, Model, save_model
from pixelsieve.networks.spec import initial_weights, network
from pixelsieve.simulation.generate import Sample, generate
from pixelsieve.simulation.transport import diffusion_um, lorentz_tangent
from pixelsieve.studies.evaluate import evaluate_model, only
from pixelsieve.studies.models import approaches_of
from pixelsieve.studies.robustness import RobustnessSettings, robustness
from pixelsieve.studies.robustness_plan import (
    Variations,
    default_variations,
    make_plan,
    read_variations,
    recorded,
    varied_detector,
)
from tests.conftest import make_clusters
from tests.test_cli import pixelsieve, refused
from tests.test_docs import blocks
from tests.tiny_networks import tiny_model

ZERO = """
[front_end]
gain = [1]
noise_e = [0]
threshold_shift_e = [0]
threshold_dispersion_e = [0]
gain_dispersion = [0]
dead_pixel_share = [0]
window_jitter_px = [0]
window = ["keep"]
[simulated]
bias_V = [50]
thickness_um = [50]
temperature_K = [253]
field_T = [3.57]
"""
CHANGED = """
[front_end]
threshold_shift_e = [300, 1200]
dead_pixel_share = [0.2]
"""

Plain = dict[str, Any]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with two 4-bit networks and a float one, untrained."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    (folder / "models").mkdir(parents=True)
    for name, bits, seed in (("tiny_4b_seed0", 4, 3), ("tiny_4b_seed1", 4, 7), ("float", None, 1)):
        save_model(folder / "models" / f"{name}.keras", tiny_model(bits, seed))
    return folder


def measured(
    run: Path,
    data: Path,
    settings: str,
    folder: Path,
    models: tuple[str, ...] = (),
    **others: Path,
) -> Plain:
    """What the verb writes, without it."""
    file = folder / "variations.toml"
    file.write_text(settings)
    asked = RobustnessSettings(variations=read_variations(file), where=str(file), simulated=400)
    samples = {label: read_parts([path]) for label, path in others.items()}
    result = robustness(approaches_of(run, models), read_parts([data]), samples, asked)
    plain: Plain = json.loads(json.dumps(to_plain(result)))
    return plain


def test_the_nominal_row_is_what_evaluate_says(
    run: Path, dataset_file: Path, tmp_path: Path
) -> None:
    result = measured(run, dataset_file, CHANGED, tmp_path)
    (approach,) = result["approaches"]
    assert approach["approach"] == "tiny_4b"
    nominal = approach["rows"][0]
    assert (nominal["label"], nominal["difference"]) == ("nominal", None)
    parts = read_parts([dataset_file]).parts
    for i, model in enumerate(approaches_of(run, ["tiny_4b"])["tiny_4b"]):
        figures = evaluate_model(model, only(read_parts([dataset_file]), "test")).figures
        assert nominal["figures"]["auc"]["by_network"][i] == figures["auc"]
        assert nominal["figures"]["rejection_reset"]["by_network"][i] == figures["rejection_98"]
        frozen = approach["frozen"][i]
        kept = {
            n: model.logits(model.features.table(parts[n])) >= frozen["threshold"] for n in parts
        }
        signal = {n: parts[n].signal > 0 for n in parts}
        assert frozen["validation_efficiency"] == kept["validation"][signal["validation"]].mean()
        assert frozen["validation_efficiency"] >= 0.98
        efficiency = nominal["figures"]["signal_efficiency"]["by_network"][i]
        assert efficiency == kept["test"][signal["test"]].mean()
        rejection = nominal["figures"]["rejection"]["by_network"][i]
        assert rejection == 1 - kept["test"][~signal["test"]].mean()


def test_the_threshold_is_the_firmwares_and_only_validations(
    run: Path, dataset_file: Path, tmp_path: Path
) -> None:
    given = read_parts([dataset_file])
    approaches = approaches_of(run, ["tiny_4b", "float"])
    asked = RobustnessSettings(0.9, variations=Variations(), where="here")
    whole = robustness(approaches, given, {}, asked)
    fewer = given.with_parts({**given.parts, "test": given.parts["test"].select(slice(0, 90))})
    part = robustness(approaches, fewer, {}, asked)
    for one, other in zip(whole.approaches, part.approaches, strict=True):
        assert one.frozen == other.frozen
        assert one.rows[0].figures != other.rows[0].figures
    validation = given.parts["validation"]
    for frozen, model in zip(whole.approaches[0].frozen, approaches["tiny_4b"], strict=True):
        network = from_model(model, "tiny")
        logits = network.run(network.input_codes(network.features.table(validation)))
        chosen = choose_threshold(logits, validation.signal, 0.9)
        step = 2.0 ** -network.layers[-1].output_fraction_bits
        assert frozen.threshold == chosen.code * step
        assert frozen.validation_rejection == chosen.validation_rejection


def test_a_change_of_nothing_changes_nothing(run: Path, dataset_file: Path, tmp_path: Path) -> None:
    result = measured(run, dataset_file, ZERO, tmp_path)
    rows = result["approaches"][0]["rows"]
    assert [r["label"] for r in rows if r["field"] is None] == ["nominal", "nominal, simulated"]
    varied = [r for r in rows if r["field"] is not None]
    assert len(varied) == 12
    for row in varied:
        assert row["paired"] is True
        for change in row["difference"].values():
            assert (change["mean"], change["spread"], change["error"]) == (0, 0, 0), row["label"]


def test_changes_do_what_they_say(run: Path, dataset_file: Path, tmp_path: Path) -> None:
    result = measured(run, dataset_file, CHANGED, tmp_path)
    rows = {row["label"]: row for row in result["approaches"][0]["rows"]}
    assert list(rows) == ["nominal", "threshold +300 e", "threshold +1200 e", "dead pixels 20 %"]
    test = read_parts([dataset_file]).parts["test"]
    left = (test.pixels_e >= 1200).any(axis=(1, 2))
    clusters = rows["threshold +1200 e"]["clusters"]
    assert clusters["signal"]["read_out"] == (left & (test.signal > 0)).sum()
    assert clusters["bib"]["read_out"] == (left & (test.signal == 0)).sum()
    assert clusters["bib"]["collected"] == (test.signal == 0).sum()
    change = rows["dead pixels 20 %"]["difference"]["auc"]
    nominal, dead = (rows[n]["figures"]["auc"] for n in ("nominal", "dead pixels 20 %"))
    assert change["mean"] == pytest.approx(dead["mean"] - nominal["mean"])
    assert 0 < change["error"] < np.hypot(nominal["error"], dead["error"])


def test_the_same_numbers_again_and_in_any_order(
    run: Path, dataset_file: Path, tmp_path: Path
) -> None:
    settings = CHANGED + "[simulated]\nbias_V = [30]\n"
    first = measured(run, dataset_file, settings, tmp_path)
    result = pixelsieve(
        *("robustness", run, "--data", dataset_file, "--simulated", 400, "--json"),
        *("--variations", tmp_path / "variations.toml", "--out", tmp_path / "out"),
    )
    assert json.loads(result.stdout) == first
    assert "variations: 6 of 6  bias 30 V" in result.stderr
    assert read_json(tmp_path / "out" / "robustness.json") == first
    clusters = parquet.read(dataset_file)
    mixed = tmp_path / "mixed.parquet"
    order = np.random.default_rng(0).permutation(len(clusters))
    parquet.write(clusters.select(order), mixed)
    other = measured(run, mixed, settings, tmp_path)
    assert other["approaches"] == first["approaches"]
    assert other["data"] != first["data"]


def test_the_page_shows_it(run: Path, dataset_file: Path, tmp_path: Path) -> None:
    result = measured(run, dataset_file, CHANGED, tmp_path)
    (tmp_path / "robustness").mkdir()
    (tmp_path / "robustness" / "robustness.json").write_text(json.dumps(result))
    (tmp_path / "manifest.json").write_text("{}")
    assert pixelsieve("report", tmp_path).exit_code == 0
    page = (tmp_path / "report.html").read_text()
    for row in result["approaches"][0]["rows"]:
        for figure in row["figures"].values():
            assert f'data-value="{figure["mean"]}"' in page
    change = result["approaches"][0]["rows"][1]["difference"]["rejection"]
    assert f"{change['mean']:+.4f} ±{change['error']:.4f}".replace("±0.", "±.") in page
    del result["approaches"][0]["rows"][0]["figures"]
    (tmp_path / "robustness" / "robustness.json").write_text(json.dumps(result))
    assert pixelsieve("report", tmp_path).exit_code == 0
    assert "in another form or not at all: robustness." in (tmp_path / "report.html").read_text()


def test_nothing_read_out_is_a_row_without_figures(
    run: Path, dataset_file: Path, tmp_path: Path
) -> None:
    settings = "[front_end]\nthreshold_shift_e = [1e9]\n"
    result = measured(run, dataset_file, settings, tmp_path)
    _, row = result["approaches"][0]["rows"]
    assert [c["read_out"] for c in row["clusters"].values()] == [0, 0]
    assert {f["mean"] for f in row["figures"].values()} == {None}
    assert {f["error"] for f in row["difference"].values()} == {None}
    shown = pixelsieve(
        *("robustness", run, "--data", dataset_file, "--out", tmp_path / "again"),
        *("--variations", tmp_path / "variations.toml"),
    )
    assert "100.00 %" in shown.output
    assert (tmp_path / "again" / "robustness.pdf").stat().st_size > 1000


def test_other_samples_and_several_approaches(
    run: Path, dataset_file: Path, tmp_path: Path
) -> None:
    new = tmp_path / "new_test.parquet"
    parquet.write(make_clusters(300, seed=9), new)
    models = ("float", "tiny_4b_seed1.keras")
    result = measured(run, dataset_file, CHANGED, tmp_path, models, same=dataset_file, new=new)
    assert [one["approach"] for one in result["approaches"]] == ["float", "tiny_4b_seed1"]
    nominal, *_, same, other = result["approaches"][1]["rows"]
    assert (same["label"], same["paired"], same["against"]) == ("same", True, "nominal")
    assert same["difference"]["rejection"]["error"] == 0
    assert other["paired"] is False
    errors = (row["figures"]["rejection"]["error"] for row in (nominal, other))
    assert other["difference"]["rejection"]["error"] == pytest.approx(np.hypot(*errors))


def test_a_models_own_front_end_is_the_nominal_one(dataset_file: Path, tmp_path: Path) -> None:
    card = Card(front_end=FrontEnd(threshold_e=700.0, noise_e=50.0))
    (tmp_path / "models").mkdir()
    model = replace(tiny_model(4), card=card)
    save_model(tmp_path / "models" / "chip.keras", model)
    settings = "[front_end]\nthreshold_shift_e = [0, -200, 100]\nnoise_e = [50]\n"
    result = measured(tmp_path, dataset_file, settings, tmp_path)
    assert result["front_end"]["threshold_e"] == 700
    nominal, noise, same, lower, higher = (r["clusters"] for r in result["approaches"][0]["rows"])
    assert nominal == same == noise
    read = [sum(c["read_out"] for c in row.values()) for row in (lower, nominal, higher)]
    assert read[0] > read[1] > read[2]
    save_model(tmp_path / "models" / "bare.keras", tiny_model(4))
    line = refused(
        pixelsieve(
            *("robustness", tmp_path, "--data", dataset_file),
            *("--model", "chip", "--model", "bare"),
        )
    )
    assert "bare.keras: trained with another front end than" in line


def test_errors_are_those_of_counts() -> None:
    rng = np.random.default_rng(0)
    signal = rng.random(4000) < 0.5
    logits = rng.normal(size=4000) + signal
    frozen = Threshold(0.3, 0.9, 0.9, 0.5)
    draws = draw_groups(4000, 400)
    one = Seen((logits,), signal, np.arange(4000))
    error = error_of(resampled(one, [frozen], draws))
    figures = figures_at(logits, signal, frozen)
    for name, kind in (("signal_efficiency", signal), ("rejection", ~signal)):
        share = figures[name]
        assert share is not None
        expected = np.sqrt(share * (1 - share) / kind.sum())
        assert error[name] == pytest.approx(expected, rel=0.15)
    # Every cluster twice in its group: errors are those of half as many clusters.
    twice = Seen((logits,), signal, np.arange(4000) // 2)
    grouped = resampled(twice, [frozen], draw_groups(2000, 400))
    assert set(grouped) == set(FIGURES)
    doubled = Seen((np.repeat(logits, 2),), np.repeat(signal, 2), np.arange(8000) // 2)
    again = error_of(resampled(doubled, [frozen], draws))
    assert again == pytest.approx(error)


def test_figures_need_the_classes_they_are_of() -> None:
    frozen = Threshold(0.0, 0.9, 0.9, 0.5)
    only = figures_at(np.array([-1.0, 1.0, 2.0, 0.0]), np.zeros(4, np.bool_), frozen)
    assert only == {
        "signal_efficiency": None,
        "rejection": 0.25,
        "rejection_reset": None,
        "auc": None,
    }


def test_sensors_change_as_the_formulas_do() -> None:
    nominal = MUON_COLLIDER_VXD
    bare = replace(nominal, sensor=replace(nominal.sensor, lorentz_tangent=None, diffusion_um=None))
    for name, value in (("bias_V", 30.0), ("thickness_um", 60.0), ("temperature_K", 230.0)):
        ours, formula = varied_detector(nominal, name, value), varied_detector(bare, name, value)
        assert getattr(ours.sensor, name) == value
        assert lorentz_tangent(ours) / lorentz_tangent(nominal) == pytest.approx(
            lorentz_tangent(formula) / lorentz_tangent(bare)
        )
        assert diffusion_um(ours.sensor) / diffusion_um(nominal.sensor) == pytest.approx(
            diffusion_um(formula.sensor) / diffusion_um(bare.sensor)
        )
    off = varied_detector(nominal, "field_T", 0.0)
    assert lorentz_tangent(off) == 0
    assert diffusion_um(off.sensor) == diffusion_um(nominal.sensor)
    assert lorentz_tangent(varied_detector(nominal, "lorentz_tangent", -0.2)) == -0.2


def test_a_slower_clock_keeps_each_clusters_draw(clusters: Clusters) -> None:
    true = np.zeros(len(clusters), np.float32)
    clusters = clusters.replace(truth={"hit_time_ns": true})
    times = clusters.columns()["hit_time_30ps_ns"]
    for resolution, scale in ((None, 1.0), (30.0, 1.0), (60.0, 2.0), (15.0, 0.5)):
        changed = recorded(clusters, resolution).columns()["hit_time_30ps_ns"]
        np.testing.assert_allclose(changed, scale * times.astype(np.float64), rtol=1e-6)


def test_a_gain_is_a_lower_threshold(dataset_file: Path, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    chip = FrontEnd(threshold_e=800.0, noise_e=40.0)
    model = replace(tiny_model(4), card=Card(front_end=chip))
    save_model(tmp_path / "models" / "chip.keras", model)
    bare = read_parts([dataset_file]).parts["test"].replace(group_id=None)
    doubled = Chip(None, 2.0).read_out(bare).clusters
    np.testing.assert_array_equal(doubled.pixels_e, 2 * bare.pixels_e)
    np.testing.assert_array_equal(doubled.groups(), bare.groups())
    settings = "[front_end]\ngain = [0.5, 2]\nthreshold_shift_e = [-400, 800]\n"
    result = measured(tmp_path, dataset_file, settings, tmp_path)
    rows = {r["label"]: r for r in result["approaches"][0]["rows"]}
    assert list(rows)[1:3] == ["gain 0.5", "gain 2"]
    read = {n: sum(c["read_out"] for c in r["clusters"].values()) for n, r in rows.items()}
    # Sizes know pixels alone, and noise grows with the gain and keeps its draws.
    for gain, threshold in (("gain 0.5", "threshold +800 e"), ("gain 2", "threshold -400 e")):
        assert read[gain] == read[threshold]
        ours, theirs = (rows[n]["figures"]["auc"]["mean"] for n in (gain, threshold))
        assert ours == pytest.approx(theirs, abs=0.02)
    assert read["gain 0.5"] < read["nominal"] <= read["gain 2"]


def test_the_best_on_validation_is_the_default(run: Path, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "jobs").mkdir()
    names = ("good_4b_seed10", "good_4b_seed2", "bad_4b_seed0", "float_seed0")
    for name, auc in zip(names, (0.8, 0.9, 0.7, 0.99), strict=True):
        bits = None if name.startswith("float") else 4
        save_model(tmp_path / "models" / f"{name}.keras", tiny_model(bits))
        job = {"best_epoch": 0, "history": [{"validation_auc": auc}]}
        (tmp_path / "jobs" / f"{name}.json").write_text(json.dumps(job))
    ((approach, models),) = approaches_of(tmp_path, []).items()
    assert approach == "good_4b"
    assert [Path(m.origin).stem for m in models] == ["good_4b_seed2", "good_4b_seed10"]
    (tmp_path / "jobs" / "bad_4b_seed0.json").unlink()
    with pytest.raises(ConfigError, match="several models; choose with --model: bad_4b, "):
        approaches_of(tmp_path, [])


def test_defaults_fit_the_model_and_leave_out_the_rest(run: Path, dataset_file: Path) -> None:
    given, approaches = read_parts([dataset_file]), approaches_of(run, ["float"])
    result = robustness(approaches, given, {}, RobustnessSettings(simulated=200))
    rows = result.approaches[0].rows
    wanted = default_variations(MUON_COLLIDER_VXD)
    n_asked = len(wanted.of("front_end")) + len(wanted.of("simulated"))
    assert len(rows) == 2 + n_asked - len(result.left_out)
    assert {text.split(" = ")[0] for text in result.left_out} == {
        "front_end.threshold_shift_e",  # below 0
        "front_end.time_resolution_ps",
    }
    simulated = [row for row in rows if row.kind == "simulated"]
    assert {row.against for row in simulated[1:]} == {"nominal, simulated"}
    assert all(row.paired for row in simulated[1:])
    assert not simulated[0].paired


def test_the_documented_file_names_every_field(tmp_path: Path) -> None:
    file = tmp_path / "variations.toml"
    file.write_text(blocks("robustness.md", "toml")["variations.toml"])
    found = read_variations(file)
    for kind in (found.front_end, found.simulated):
        assert all(getattr(kind, field.name) for field in fields(kind))


def test_bad_input_is_one_line_and_nothing_is_written(
    run: Path, dataset_file: Path, tmp_path: Path
) -> None:
    file = tmp_path / "variations.toml"

    def line(*arguments: object, folder: Path = run, data: Path = dataset_file) -> str:
        given = ("robustness", folder, "--data", data, "--out", tmp_path / "out", *arguments)
        return refused(pixelsieve(*given))

    for text, expected in (
        ("[front_end]\nnoise = [3]\n", "unknown key 'noise' (did you mean 'noise_e'?)"),
        ("[frontend]\n", "unknown key 'frontend' (did you mean 'front_end'?)"),
        ("[front_end]\nnoise_e = 3\n", "'noise_e' is 3; expected a list"),
        ("", "varies nothing"),
        (
            "[front_end]\ndead_pixel_share = [1]\n",
            "front_end.dead_pixel_share = 1.0: 'dead_pixel_share' is 1.0; expected from 0, below 1",
        ),
        ("[front_end]\ntime_resolution_ps = [60]\n", "the network takes no arrival time"),
        ("[front_end]\ngain = [0]\n", "front_end.gain = 0.0: 'gain' is 0; expected 0.1 to 10"),
        ("[simulated]\nbias_V = [30]\n", "simulated: varied on 0 clusters; raise --simulated"),
        ("[simulated]\nbias_V = [-5]\n", "simulated.bias_V = -5.0: 'bias_V' is -5; expected 0.1"),
        ("[simulated]\nbias_V = [0.1]\n", "charge diffuses by"),
    ):
        file.write_text(text)
        none = ("--simulated", 0) if "on 0 clusters" in expected else ()
        found = line("--variations", file, *none)
        assert str(file) in found
        assert expected in found
    assert "no models in it" in line(folder=tmp_path)
    assert "--model tiny_4 (did you mean 'tiny_4b'?)" in line("--model", "tiny_4")
    assert "--other: 'simB'; expected LABEL=FILES" in line("--other", "simB")
    assert "--efficiency is 1.5; expected" in line("--efficiency", 1.5, "--simulated", 0)
    assert "(did you mean 0.98?)" in line("--efficiency", 98)
    assert "no such Parquet or ROOT file" in line(data=tmp_path / "absent.parquet")
    lone = tmp_path / "lone_test.parquet"
    parquet.write(make_clusters(50), lone)
    assert "no validation split (by file name: test); the threshold" in line(data=lone)
    assert f"({lone} takes no files)" in line("--out", lone / "inside")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_variations(tmp_path / "absent.toml")
    assert not (tmp_path / "out").exists()


def test_simulated_clusters_are_not_those_of_simulate() -> None:
    detector = MUON_COLLIDER_VXD
    plan = make_plan(default_variations(detector), None, None, (), detector, 200, 5)
    samples = [one.sample for one in plan.variations if one.sample is not None]
    assert len({one.seed for one in samples}) == 1
    again = make_plan(default_variations(detector), None, None, (), detector, 200, 5)
    assert again == plan
    same_seed = hash_pixels(generate(Sample(100, 100, 5, detector), 0, 200).pixels_e)
    ours = hash_pixels(generate(samples[0], 0, 200).pixels_e)
    assert len(np.intersect1d(ours, same_seed)) == 0


def test_a_gain_keeps_all_draws() -> None:
    chip = FrontEnd(noise_e=60.0, threshold_e=400.0, dead_pixel_share=0.05, window="jitter",
                    window_jitter_px=1, threshold_dispersion_e=90.0)  # fmt: skip
    clusters = make_clusters(300)
    one, other = (Chip(chip, gain).read_out(clusters) for gain in (1.0, 1.0 + 1e-6))
    np.testing.assert_array_equal(one.rows, other.rows)
    np.testing.assert_allclose(one.clusters.pixels_e, other.clusters.pixels_e, rtol=1e-5)
    np.testing.assert_array_equal(one.clusters.z_global_mm, other.clusters.z_global_mm)


def test_a_gain_takes_all_charges_that_data_have() -> None:
    clusters = make_clusters(20)
    pixels = clusters.pixels_e.copy()
    pixels[:, 0, 0] = LOWEST_CHARGE_E
    louder = Chip(None, 1.5).read_out(clusters.replace(pixels_e=pixels)).clusters
    assert (louder.pixels_e[:, 0, 0] == LOWEST_CHARGE_E).all()
    np.testing.assert_array_equal(louder.pixels_e[:, 1:], 1.5 * pixels[:, 1:])


def test_what_cannot_be_measured_is_known_before_anything_is(
    run: Path, dataset_file: Path, tmp_path: Path
) -> None:
    spec = network("model1", "hit_time_30ps")
    (tmp_path / "models").mkdir()
    model = Model(spec, None, initial_weights(spec, 0), FeatureSet(spec.features))
    save_model(tmp_path / "models" / "timed.keras", model)
    given = read_parts([dataset_file])
    bare = given.with_parts({n: c.replace(truth={}) for n, c in given.parts.items()})
    result = robustness(approaches_of(tmp_path, []), bare, {}, RobustnessSettings(simulated=0))
    reasons = [line for line in result.left_out if "hit_time_ns" in line]
    assert [line.partition(":")[0] for line in reasons] == [
        f"front_end.time_resolution_ps = {value}" for value in (20.0, 45.0, 60.0, 90.0)
    ]
    assert result.approaches[0].rows

    rows: list[str] = []
    clusters = given.parts["test"]
    other = given.with_parts({"test": clusters.replace(hit_time_30ps_ns=None)})
    with pytest.raises(DataError, match="column 'hit_time_30ps_ns' is missing"):
        robustness(
            approaches_of(tmp_path, []), given, {"other": other}, RobustnessSettings(),
            lambda label, _row, _rows: rows.append(label),
        )  # fmt: skip
    assert not rows


def test_times_that_the_data_lack(dataset_file: Path, tmp_path: Path) -> None:
    spec = network("model1", "hit_time_60ps")
    (tmp_path / "models").mkdir()
    model = Model(spec, None, initial_weights(spec, 0), FeatureSet(spec.features))
    save_model(tmp_path / "models" / "timed.keras", model)
    found = refused(pixelsieve("robustness", tmp_path, "--data", dataset_file))
    assert "column 'hit_time_60ps_ns' is missing" in found
    assert not (tmp_path / "robustness").exists()


def test_any_workers_give_the_same_rows(run: Path, dataset_file: Path, tmp_path: Path) -> None:
    from distributed import LocalCluster

    out, file = tmp_path / "here", tmp_path / "variations.toml"
    file.write_text(CHANGED + "[simulated]\nbias_V = [40]\n")
    command: list[Any] = ["robustness", run, "--data", dataset_file, "--simulated", 200]
    command += ["--variations", file, "--other", f"again={dataset_file}"]
    command += ["--model", "tiny_4b", "--model", "float", "--out"]
    result = pixelsieve(*command, out, "--workers", 1)
    assert result.exit_code == 0, result.output
    first = read_json(out / "robustness.json")
    labels = [row["label"] for row in first["approaches"][0]["rows"]]
    assert labels[0] == "nominal"
    assert labels[-1] == "again"
    assert pixelsieve(*command, tmp_path / "two", "--workers", 2).exit_code == 0
    assert read_json(tmp_path / "two" / "robustness.json") == first
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster:
        address = cluster.scheduler_address
        assert pixelsieve(*command, tmp_path / "far", "--scheduler", address).exit_code == 0
    assert read_json(tmp_path / "far" / "robustness.json") == first
    both = ["--scheduler", "tcp://127.0.0.1:9", "--workers", 2]
    line = refused(pixelsieve(*command, tmp_path / "both", *both))
    assert "--workers: counts those of this machine" in line
