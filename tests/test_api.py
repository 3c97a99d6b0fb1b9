"""Python's functions give what the verbs give, take what they take, and say what is wrong."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pixelsieve as ps
from pixelsieve.cli import app
from pixelsieve.core.config import to_plain
from pixelsieve.core.errors import ConfigError
from pixelsieve.core.files import read_json
from pixelsieve.core.programs import VERILATOR
from pixelsieve.core.runs import RunFolder
from pixelsieve.metrics.statistics import bootstrap, score
from pixelsieve.networks.model_file import model_hash
from pixelsieve.networks.spec import ZOO
from tests.conftest import needs_tool
from tests.test_cli import QUICK, SMALL_NETWORK, pixelsieve
from tests.test_docs import DOCS
from tests.test_search_run import SPACE

SHORT: dict[str, Any] = {"epochs": 3, "float_epochs": 3, "batch_size": 128, "progress": False}
LEARNED: dict[str, Any] = {"epochs": 60, "batch_size": 64, "initial_rate": 2e-2, "progress": False}


@dataclass(frozen=True)
class Files:
    """Inputs on disk: clusters, a network, a search space, a run of one model, a foreign model."""

    clusters: Path
    network: Path
    space: Path
    run: Path
    foreign: Path


@pytest.fixture(scope="module")
def files(dataset_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("files")
    (folder / "small.toml").write_text(SMALL_NETWORK)
    (folder / "space.toml").write_text(SPACE)
    foreign = Path(__file__).parent / "data" / "models" / "model1_mixed.h5"
    found = Files(
        dataset_file, folder / "small.toml", folder / "space.toml", folder / "run", foreign
    )
    ps.train(ps.load(dataset_file), found.network, bits=4, out=found.run, **SHORT)
    return found


@pytest.fixture(scope="module")
def data(dataset_file: Path) -> ps.Dataset:
    return ps.load(dataset_file)


@pytest.fixture(scope="module")
def model(files: Files) -> ps.Model:
    return ps.load_model(files.run, "sieve_4b_seed0")


@pytest.fixture(scope="module")
def front(data: ps.Dataset, files: Files) -> ps.Front:
    found: ps.Front
    with pytest.warns(
        ps.PixelsieveWarning,
        match="of 40; give more epochs or a smaller batch_size",
    ):
        found = ps.train(data, files.network, bits=ps.Learned(40), **LEARNED)
    return found


@pytest.fixture(scope="module")
def study(data: ps.Dataset, files: Files) -> ps.Study:
    return ps.compare(
        data,
        files.network,
        bits=[3, 4],
        recipes="sieve",
        seeds=2,
        baselines=False,
        workers=2,
        **SHORT,
    )


Call = Callable[[Files, Path], Any]


@dataclass(frozen=True)
class Case:
    """A command, and the call that must print the same JSON."""

    words: Callable[[Files, Path], list[object]]
    call: Call


def _converted(model: ps.ImportedModel) -> Any:
    return {"model": str(model.path), **to_plain(model.report)}


CASES = {
    "convert": Case(
        lambda f, out: [
            "convert",
            f.clusters,
            "--out",
            out / "c.parquet",
            "--recenter",
            "--smear",
            3,
        ],
        lambda f, out: ps.convert(f.clusters, out / "c.parquet", recenter=True, smear=3),
    ),
    "convert a model": Case(
        lambda f, out: [
            "convert",
            f.foreign,
            "--out",
            out / "m.keras",
            "--input-bits",
            8,
            "--scaling",
            "field",
        ],
        lambda f, out: _converted(
            ps.convert_model(f.foreign, out / "m.keras", input_bits=8, scaling="field")
        ),
    ),
    "inspect": Case(
        lambda f, _: ["inspect", f.clusters, "--events", 2],
        lambda f, _: ps.inspect(f.clusters, events=2).inspection,
    ),
    "train": Case(
        lambda f, out: [
            *("train", "--data", f.clusters, "--network", f.network, "--out", out / "run"),
            *("--bits", 4, "--seeds", 2, "--mirror-x", *QUICK),
        ],
        lambda f, out: [
            result.to_plain()
            for one in ps.train(
                ps.load(f.clusters), f.network, 4, mirror_x=True, seeds=2, out=out / "run", **SHORT
            )
            for result in one.training.results
        ],
    ),
    "train with learned bits": Case(
        lambda f, out: [
            *("train", "--data", f.clusters, "--network", f.network, "--out", out / "run"),
            *("--bits", "learned:40", "--epochs", 60, "--batch-size", 64, "--initial-rate", 0.02),
        ],
        lambda f, out: [
            ps.train(
                ps.load(f.clusters), f.network, bits=ps.Learned(40), out=out / "run", **LEARNED
            ).result.to_plain()
        ],
    ),
    "compare": Case(
        lambda f, out: [
            *("compare", "--data", f.clusters, "--network", f.network, "--out", out / "run"),
            *("--bits", "3,4", "--recipe", "sieve", "--seeds", 2, *QUICK),
        ],
        lambda f, out: ps.compare(
            ps.load(f.clusters), f.network, "3,4", "sieve", seeds=2, out=out / "run", **SHORT
        ).comparison.to_plain(),
    ),
    "search": Case(
        lambda f, out: [
            *("search", "--data", f.clusters, "--out", out / "run", "--space", f.space),
            *("--trials", 4, "--seeds", 1, "--generation", 2, "--reference", "none"),
        ],
        lambda f, out: ps.search(
            ps.load(f.clusters),
            space=f.space,
            trials=4,
            seeds=1,
            generation=2,
            reference="none",
            out=out / "run",
            progress=False,
        ).result.to_plain(),
    ),
    "evaluate": Case(
        lambda f, _: [
            *("evaluate", f.run, "--model", "sieve_4b_seed0", "--data", f.clusters),
            *("--split", "validation", "--hit-density", 900),
        ],
        lambda f, _: ps.evaluate(
            ps.load_model(f.run, "sieve_4b_seed0"),
            ps.load(f.clusters),
            "validation",
            hit_density=900,
        ).to_plain(),
    ),
    "firmware": Case(
        lambda f, out: [
            *("firmware", f.run, "--data", f.clusters, "--out", out / "chip"),
            *("--efficiency", 0.95, "--stages", 2),
        ],
        lambda f, out: ps.firmware(
            ps.load_model(f.run, "sieve_4b_seed0"),
            ps.load(f.clusters),
            0.95,
            stages=2,
            out=out / "chip",
        ).result.plain(),
    ),
    "costs": Case(
        lambda f, _: ["firmware", f.run, "--resources-only", "--stages", 1],
        lambda f, _: ps.resources(f.run, stages=1).to_plain(),
    ),
    "robustness": Case(
        lambda f, out: [
            *("robustness", f.run, "--data", f.clusters, "--out", out / "robustness"),
            *("--simulated", 0, "--efficiency", 0.9),
        ],
        lambda f, _: (
            ps.robustness(
                f.run, ps.load(f.clusters), simulated=0, efficiency=0.9, progress=False
            ).result
        ),
    ),
}
_TAKES_TOOLS = {"firmware": VERILATOR}
_DIFFERS = {"seconds", "time_s", "verilator_s", "started"}
"""Wall-clock times."""


def _timeless(plain: Any) -> Any:
    if isinstance(plain, dict):
        return {k: _timeless(v) for k, v in plain.items() if not _DIFFERS.intersection({k})}
    return [_timeless(one) for one in plain] if isinstance(plain, list) else plain


@pytest.mark.filterwarnings("ignore::pixelsieve.core.errors.PixelsieveWarning")
@pytest.mark.parametrize("name", CASES)
def test_a_function_gives_the_numbers_of_its_verb(name: str, files: Files, tmp_path: Path) -> None:
    if name in _TAKES_TOOLS:
        needs_tool(_TAKES_TOOLS[name])
    if name in {"firmware", "costs", "search"}:
        pytest.importorskip("alkaid", reason="alkaid is not installed")
    case, out = CASES[name], tmp_path / "out"
    found = []
    for way in ("verb", "function"):
        out.mkdir()
        if way == "verb":
            result = pixelsieve(*case.words(files, out), "--json")
            assert result.exit_code == 0, result.output
            found.append(json.loads(result.stdout))
        else:
            found.append(json.loads(json.dumps(to_plain(case.call(files, out)))))
        out.rename(tmp_path / way)
    assert _timeless(found[0]) == _timeless(found[1])
    written = [{p.name for p in (tmp_path / way).iterdir()} for way in ("verb", "function")]
    assert written[0] - {"robustness"} == written[1]


FUNCTIONS: dict[str, list[Callable[..., Any]]] = {
    "simulate": [ps.simulate],
    "compare": [ps.compare, ps.load],
    "train": [ps.train, ps.load],
    "search": [ps.search, ps.load],
    "evaluate": [ps.evaluate, ps.load_model, ps.load],
    "firmware": [ps.firmware, ps.hand_over, ps.resources, ps.import_report, ps.load],
    "robustness": [ps.robustness, ps.load],
    "report": [ps.report],
    "inspect": [ps.inspect],
    "convert": [ps.convert, ps.convert_model],
    "doctor": [ps.doctor],
}
VERBS = {c.callback.__name__: c.callback for c in app.registered_commands if c.callback}
SHAPE = {"json", "resources_only", "import_report"}
"""Options that say how to answer, or which function is meant."""
NAMES = {
    "format": "source_format",
    "from_": "pixels",
    "hls": "backend",
    "recipe": "recipes",
    "paths": "data",
    "column": "columns",
    "run": "models",
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_takes_what_its_verb_takes(name: str) -> None:
    verb = VERBS[name]
    taken = {p for function in FUNCTIONS[name] for p in inspect.signature(function).parameters}
    options = set(inspect.signature(verb).parameters) - SHAPE
    assert {o for o in options if o not in taken and NAMES.get(o) not in taken} == set()


def test_every_verb_has_a_function() -> None:
    assert set(VERBS) == set(FUNCTIONS)


def test_import_is_light_until_a_name_is_used() -> None:
    code = (
        "import sys; before = set(sys.modules); import pixelsieve as ps; "
        "new = set(sys.modules) - before; "
        "assert not new & {'jax', 'keras', 'numpy', 'typing'}, sorted(new); "
        "assert {m for m in new if m.startswith('pixelsieve')} == {'pixelsieve'}; "
        "assert set(ps.__all__) == set(dir(ps)); "
        "ps.load, ps.Clusters; assert not {'jax', 'keras'} & set(sys.modules); "
        "[getattr(ps, name) for name in ps.__all__]"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_the_public_names_are_in_one_table() -> None:
    assert set(ps.__all__) == {*ps._PUBLIC, "__version__"}
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = ps.trian  # type: ignore[attr-defined]


def test_errors_name_arguments_and_options(data: ps.Dataset, files: Files, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^recipe, epochs: for quantized training; give bits"):
        ps.train(data, files.network, recipe="sieve", epochs=3)
    words = ("train", "--data", files.clusters, "--out", tmp_path / "r", "--epochs", 3)
    told = pixelsieve(*words).output
    assert "pixelsieve: --epochs: for quantized training; give --bits" in told
    assert "--float-epochs" in told
    with pytest.raises(ConfigError, match=r"workers: counts those of this machine; leave it out"):
        ps.simulate(1, 1, workers=1, scheduler="tcp://nowhere:1")
    with pytest.raises(ConfigError, match="time is '31ps'"):
        ps.train(data, time="31ps")
    with pytest.raises(ConfigError, match="power: no recipe of sieve decays"):
        ps.train(data, bits=4, power=2)
    with pytest.raises(ConfigError, match="did you mean 'sieve'"):
        ps.train(data, bits=4, recipe="seive")
    with pytest.raises(ConfigError, match="bits is 1; expected 2 to 16"):
        ps.compare(data, bits=1)
    wrong: Any = None
    with pytest.raises(ConfigError, match=r"bits is 4\.5; expected bits such as 4"):
        ps.train(data, bits=4.5)  # type: ignore[call-overload]
    with pytest.raises(ConfigError, match="data is a NoneType; expected a Dataset"):
        ps.train(wrong)
    with pytest.raises(ConfigError, match="model is a NoneType; expected a model"):
        ps.evaluate(wrong, data)
    with pytest.raises(ConfigError, match="models: none; expected one or several"):
        ps.robustness([], data)
    with pytest.raises(ConfigError, match="paths: empty"):
        ps.load([])
    with pytest.raises(ConfigError, match="bits: 4 bits twice"):
        ps.compare(data, bits=[4, ps.Uniform(4, activation_bits=6)], recipes="sieve")


def test_train_starts_from_a_model_and_resumes(
    data: ps.Dataset, files: Files, tmp_path: Path
) -> None:
    changed: dict[str, Any] = {"epochs": 2, "batch_size": 128, "progress": False}
    found = []
    for _ in range(2):  # as when the script is run again
        wide = ps.train(data, files.network, float_epochs=2, batch_size=128, progress=False)
        four = ps.train(data, bits=4, start=wide, out=tmp_path / "run", **changed)
        assert four.path is not None
        found.append(four.path.stat().st_mtime_ns)
    assert found[0] == found[1]
    assert four.spec == wide.spec
    assert len(four.training.result.history) == len(four.history.table.rows) == 2
    assert four.plot_history(figure="learning_rate").get_ylabel() == "learning rate"
    with pytest.raises(ConfigError, match=r"network: the network of start .* is taken as it is"):
        ps.train(data, "model1", bits=4, start=wide)
    with pytest.raises(ConfigError, match="did you mean 'train_loss'"):
        four.plot_history(figure="trian_loss")


def test_nothing_is_left_where_no_folder_is_named(
    data: ps.Dataset, files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = ps.train(data, files.network, bits=3, **SHORT)
    ps.evaluate(made, data)
    ps.robustness(made, data, simulated=0, progress=False)
    assert list(tmp_path.iterdir()) == []


def test_progress_is_shown_heard_or_silent(
    data: ps.Dataset, files: Files, capfd: pytest.CaptureFixture[str]
) -> None:
    heard: list[tuple[str, int]] = []
    short: dict[str, Any] = {"float_epochs": 2, "batch_size": 128}
    ps.train(
        data,
        files.network,
        **short,
        progress=lambda name, record: heard.append((name, record["epoch"])),
    )
    assert heard == [("float_seed0", 0), ("float_seed0", 1)]
    ps.train(data, files.network, **short, progress=False)
    assert capfd.readouterr().err == ""
    ps.train(data, files.network, **short)
    assert "float_seed0 trained; in all 1 of 1 trainings, 2 of 2 epochs" in capfd.readouterr().err


def test_all_bits_can_be_chosen(data: ps.Dataset, files: Files) -> None:
    bits = ps.Uniform(4, activation_bits=6)
    made = ps.train(data, files.network, bits, **SHORT)
    assert made.precision is not None
    assert made.precision.activation_bits == 6
    same = ps.train(data, files.network, ps.Uniform(4), **SHORT)
    assert same.training.result.precision == ps.Uniform(4, scales=same.precision.scales)


def test_a_front_has_the_smallest_and_the_best(front: ps.Front) -> None:
    assert len(front) == len(front.figures) > 2
    sizes = [one.ebops or 0 for one in front.figures]
    aucs = [one.merits["auc"] for one in front.figures]
    smallest = front.smallest(auc=sorted(aucs)[1])
    place = next(i for i, one in enumerate(front.figures) if one.model == smallest.name)
    able = [size for size, auc in zip(sizes, aucs, strict=True) if auc >= sorted(aucs)[1]]
    assert sizes[place] == min(able)
    assert front.best("auc").name == front.figures[aucs.index(max(aucs))].model
    assert [one.name for one in front] == [one.model for one in front.figures]
    assert front[-1].name == front[1:][-1].name == front.figures[-1].model
    assert front.at_budget.name == "learned_40ebops_seed0"
    assert front.plot().get_xlabel() == "EBOPs"
    with pytest.raises(ConfigError, match=r"no network reaches auc 1\.5"):
        front.smallest(auc=1.5)
    with pytest.raises(ConfigError, match="unknown figure 'rejection_95'"):
        front.smallest(rejection_95=0.5)


def test_data_may_be_a_path_or_clusters(files: Files, data: ps.Dataset) -> None:
    scores = ps.evaluate(files.run / "models" / "sieve_4b_seed0.keras", files.clusters)
    assert scores.figures == ps.evaluate(ps.load_model(files.run, "sieve_4b_seed0"), data).figures
    found = ps.inspect(data.test).inspection
    assert {name: one.clusters for name, one in found.splits.items()} == {"all": len(data.test)}


def test_scores_are_of_any_clusters(model: ps.Model, data: ps.Dataset) -> None:
    scores = ps.evaluate(model, data)
    assert scores.rejection(0.98) == scores.figures.rejection_98
    assert model.path is not None
    of_clusters = ps.evaluate(model.path, data.test)
    assert of_clusters.figures == scores.figures
    assert scores.intervals["auc"].low <= scores.auc <= scores.intervals["auc"].high
    roc = scores.roc()
    assert roc.signal_efficiency[-1] == roc.bib_kept[-1] == 1
    ax = scores.plot_roc()
    assert of_clusters.plot_roc(ax) is ax
    assert len(ax.lines) == 2
    value = scores.table().to_arrow().column("value")[1].as_py()
    assert f"{value:.4f}" == f"{scores.auc:.4f}"
    with pytest.raises(ConfigError, match=r"efficiency is 98.*did you mean 0\.98"):
        scores.rejection(98)


def test_two_models_are_compared_on_the_same_clusters(
    model: ps.Model, front: ps.Front, data: ps.Dataset
) -> None:
    ours, theirs = ps.evaluate(model, data), ps.evaluate(front[0], data)
    paired = ours.paired(theirs)
    assert paired["auc"].difference == ours.auc - theirs.auc
    assert paired["auc"].low <= paired["auc"].high
    back = theirs.paired(ours)["rejection_98"]
    assert back.difference == -paired["rejection_98"].difference
    assert back.low == pytest.approx(-paired["rejection_98"].high)
    none = ours.paired(ours)
    assert {(d.difference, d.low, d.high) for d in none.differences.values()} == {(0, 0, 0)}
    with pytest.raises(ConfigError, match="scored on other clusters"):
        ours.paired(ps.evaluate(model, data, "validation"))


def test_the_bootstrap_of_a_mean_is_that_of_its_members() -> None:
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 2, 300)
    scores = [labels + rng.normal(0, 1, 300) for _ in range(3)]
    groups = rng.integers(0, 100, 300)
    one = bootstrap([scores[0]] * 3, labels, groups)
    assert one["auc"].low == pytest.approx(bootstrap(scores[:1], labels, groups)["auc"].low)
    every = bootstrap(scores, labels, groups)
    assert every["auc"].low < np.mean([score(s, labels).auc for s in scores]) < every["auc"].high


def test_a_study_shows_what_it_found(study: ps.Study, tmp_path: Path) -> None:
    assert "sieve" in str(study.table())
    assert set(study.table().to_arrow().column("approach").to_pylist()) == {"float", "sieve"}
    assert study.paired() is None
    assert all(isinstance(line, str) for line in study.warnings())
    assert study.plot(metric="auc").get_ylabel() == "AUC"
    assert study.plot("roc").get_xlabel() == "signal efficiency"
    assert [m.name for m in study.models("sieve", 3)] == ["sieve_3b_seed0", "sieve_3b_seed1"]
    assert not (study.folder / "figures" / "roc.png").exists()
    with pytest.raises(ConfigError, match="did you mean 'sieve'"):
        study.models("seive", 3)
    with pytest.raises(ConfigError, match="trained with 3 bits, 4 bits; choose bits"):
        study.models("sieve")
    page = ps.report(study, tmp_path / "page.html")
    assert page.read_text().startswith("<!doctype html>")
    with pytest.raises(ConfigError, match=r"^out: missing"):
        ps.report([study, study.folder])


def test_clusters_by_index_by_mask_and_as_a_table(data: ps.Dataset) -> None:
    test = data.test
    one, near = test[3], test[np.abs(test.z_global_mm) < 20]
    assert len(one) == 1
    assert (one.pixels_e[0] == test.pixels_e[3]).all()
    assert (test[-1].pixels_e == test[len(test) - 1 :].pixels_e).all()
    assert len(near) == np.count_nonzero(np.abs(test.z_global_mm) < 20)
    with pytest.raises(IndexError):
        test[len(test)]
    table = test.to_arrow()
    assert table.column_names == list(test.columns())
    assert (np.array(table["z_global_mm"]) == test.z_global_mm).all()
    ax = test.plot(3)
    drawn = ax.get_images()[0].get_array()
    assert drawn is not None
    assert (np.ma.filled(drawn, 0) == np.maximum(test.pixels_e[3], 0)).all()
    assert test.plot(4, ax) is ax


def test_objects_show_themselves_in_one_line(
    dataset_file: Path, model: ps.Model, front: ps.Front, study: ps.Study
) -> None:
    data = ps.load([dataset_file])
    assert repr(data).startswith("Dataset(1 file, not read yet; split by hash of group_id)")
    scores = ps.evaluate(model, data.hold())
    assert repr(data).startswith("Dataset(1600 clusters: train ")
    for shown in (data, data.train, model, front, scores, study, front.at_budget):
        text = repr(shown)
        assert text.startswith(f"{type(shown).__name__}("), text
        assert len(text) <= 100
        assert text.isprintable()
    assert "4 bits" in repr(model)
    assert "learned:40" in repr(front.at_budget)
    sensor = replace(data.train.detector, name="long" * 50)
    long = repr(data.train.replace(detector=sensor))
    assert (len(long), long[-4:]) == (100, "...)")


def test_simulated_clusters_need_no_file(tmp_path: Path) -> None:
    short: dict[str, Any] = {"seed": 3, "workers": 1, "progress": False}
    data = ps.simulate(300, 300, **short)
    kept = ps.simulate(300, 300, out=tmp_path / "made.parquet", **short)
    words = ("simulate", "--signal", 300, "--bib", 300, "--seed", 3, "--workers", 1)
    assert pixelsieve(*words, "--out", tmp_path / "verb.parquet").exit_code == 0
    verb = ps.load(tmp_path / "verb.parquet")
    for other in (kept, verb):
        assert (data.train.pixels_e == other.train.pixels_e).all()
        assert (data.test.z_global_mm == other.test.z_global_mm).all()
    with pytest.raises(ConfigError, match="'seed' is not for config; take it out and give seed"):
        ps.simulate(1, 1, config={"seed": 3})


def test_networks_and_recipes_are_names_files_or_values(data: ps.Dataset) -> None:
    recipe = ps.Recipe("mine", epochs=2, warm_start=False)
    changed: dict[str, Any] = {"float_epochs": 2, "batch_size": 128, "progress": False}
    found = ps.train(data, ZOO["model1"], 3, recipe, time="30ps", **changed)
    assert found.name == "mine_3b_seed0"
    assert "hit_time_30ps" in found.spec.features


def test_a_model_on_another_detector_is_told_of(model: ps.Model, data: ps.Dataset) -> None:
    detector = replace(data.detector, sensor=replace(data.detector.sensor, bias_V=1.0))
    other = data.test.replace(detector=detector)
    with pytest.raises(ps.PixelsieveWarning, match=r"another detector than the data's: .*bias_V"):
        ps.evaluate(model, other)


def test_a_front_end_is_a_value_or_a_file(dataset_file: Path, files: Files) -> None:
    chip = DOCS / "front_end.toml"
    data = ps.load([dataset_file], front_end=chip)
    changed: dict[str, Any] = {"float_epochs": 2, "batch_size": 128, "progress": False}
    found = ps.train(data, files.network, **changed)
    assert found.card.front_end == data.front_end
    scores = ps.evaluate(found, ps.load(dataset_file))  # goes through the model's own
    assert scores.figures == ps.evaluate(found, data.test).figures
    with pytest.raises(ps.PixelsieveWarning, match="another front end"):
        ps.evaluate(found, data, front_end=None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ps.PixelsieveWarning)
        collected = ps.evaluate(found, data, front_end=None)
    assert collected.figures != scores.figures
    assert "behind a front end" in repr(data)


def test_firmware_is_kept_only_if_it_is_written(
    model: ps.Model, data: ps.Dataset, tmp_path: Path
) -> None:
    needs_tool(VERILATOR)
    chip = ps.firmware(model, data, progress=False)
    assert chip.passed
    assert chip.luts is None
    assert chip.clusters == len(data.test)
    assert any(name.endswith(".v") for name in chip.verilog)
    written = chip.write(tmp_path / "chip")
    assert {p.name for p in written.iterdir()} == {p.name for p in chip.folder.iterdir()}
    assert read_json(written / "verification.json")["passed"]
    with pytest.raises(ps.PixelsieveError, match="chip"):
        chip.write(tmp_path / "chip")
    with pytest.raises(ConfigError, match="a float network; firmware needs a quantized one"):
        ps.firmware(ps.train(data, float_epochs=1, progress=False), data)


def test_a_model_of_a_run_is_the_same_file(files: Files, data: ps.Dataset) -> None:
    again = ps.train(data, files.network, bits=4, out=files.run, **SHORT)
    assert again.path == RunFolder(files.run).model("sieve_4b_seed0")
    in_memory = ps.train(data, files.network, bits=4, **SHORT)
    assert in_memory.path is not None
    assert again.path is not None
    assert model_hash(in_memory.path) == model_hash(again.path)
    with pytest.raises(ConfigError, match="choose one of its models"):
        ps.load_model(files.run)
