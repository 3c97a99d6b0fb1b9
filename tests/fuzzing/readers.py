"""Everything that reads files of strangers or after accidents, and whole files for it."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pixelsieve.studies.search.result import SearchResult

MODELS = Path(__file__).parents[1] / "data" / "models"
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
DOCS = Path(__file__).parents[2] / "docs"


@dataclass(frozen=True, slots=True)
class Reader:
    """`make` writes whole files into an empty folder, `read` reads that folder.

    `share` of the usual number of files are tried where a file takes long; `damage` are the files
    to be damaged.
    """

    make: Callable[[Path], None]
    read: Callable[[Path], object]
    share: float = 1.0
    damage: str = "*"


def _parquet(folder: Path) -> None:
    from pixelsieve.formats import parquet
    from tests.format_files import full_clusters

    parquet.write(full_clusters(6), folder / "clusters.parquet", row_group=4)


def _read_parquet(folder: Path) -> None:
    from pixelsieve.formats import dataset, parquet

    path = folder / "clusters.parquet"
    parquet.read(path, slices=True)
    parquet.read_provenance(path)
    dataset.read_parts([path])


def _root(folder: Path) -> None:
    import uproot

    from tests.format_files import full_clusters

    columns = full_clusters(6, slices=2).columns()
    with uproot.recreate(folder / "clusters.root") as file:
        file.mktree("clusters", columns)
    with uproot.recreate(folder / "tuple.root") as file:
        file.mkrntuple("clusters", columns)


def _read_root(folder: Path) -> None:
    from pixelsieve.formats import dataset, root

    for path in (folder / "clusters.root", folder / "tuple.root"):
        list(root.iterate(path, slices=True))
        dataset.read_parts([path])


def _triples(folder: Path) -> None:
    from pixelsieve.formats import triples
    from tests.format_files import full_clusters

    with triples.TripleWriter(folder) as writer:
        clusters = full_clusters(4, slices=2)
        writer.write(clusters.select(clusters.signal == 1))


def _read_triples(folder: Path) -> None:
    from pixelsieve.formats import triples

    for triple in triples.find([folder]):
        list(triples.iterate(triple, rows=3))


def _tfrecord(folder: Path) -> None:
    from pixelsieve.formats import tfrecord
    from tests.format_files import full_clusters

    clusters = full_clusters(3, slices=2)
    tfrecord.write([clusters, clusters], folder / "batches.tfrecord")
    packed = gzip.compress((folder / "batches.tfrecord").read_bytes(), mtime=0)
    (folder / "packed.tfrecord").write_bytes(packed)


def _read_tfrecord(folder: Path) -> None:
    from pixelsieve.formats import tfrecord

    for path in sorted(folder.iterdir()):
        list(tfrecord.iterate(path, rows=2))


def _pixelav(folder: Path) -> None:
    from tests.format_files import full_clusters, pixelav_text

    clusters = full_clusters(3, slices=3)
    truth = clusters.truth
    (folder / "clusters.out").write_text(pixelav_text(clusters))
    rows = zip(truth["truth_cot_alpha"], truth["truth_cot_beta"], strict=True)
    lines = [f"{a:.6f} {b:.6f} 3.0 0 1.0 -20.0 2.9 0.2 13 4" for a, b in rows]
    (folder / "tracks.txt").write_text("\n".join(lines) + "\n")


def _read_pixelav(folder: Path) -> None:
    from pixelsieve.formats import pixelav, tracklist

    tracks = tracklist.read(folder / "tracks.txt")
    list(pixelav.iterate(folder / "clusters.out"))
    list(pixelav.iterate(folder / "clusters.out", tracks=tracks))


def _tomls(folder: Path) -> None:
    from tests.test_search_run import SPACE

    for source in (
        BENCHMARKS / "recipe_study.toml",
        DOCS / "front_end.toml",
        DOCS / "augmentation.toml",
        DOCS / "model2_codes_counts.toml",
    ):
        shutil.copy(source, folder)
    (folder / "simulate.toml").write_text(_SIMULATE)
    (folder / "space.toml").write_text(SPACE)
    (folder / "variations.toml").write_text(_VARIATIONS)


_SIMULATE = """[detector]
preset = "muon-collider-vxd"
sensor = { thickness_um = 50.0, bias_V = 60.0 }
barrel = { field_T = 4.0 }

[ionization]
mode = "physical"

[transport]
n_slices = 8
"""


_VARIATIONS = """[front_end]
noise_e = [30, 60]
window = ["centroid"]

[simulated]
bias_V = [30.0, 60.0]
field_T = [0]
"""


def _read_tomls(folder: Path) -> None:
    from pixelsieve.core.config import read_toml
    from pixelsieve.front_end.settings import read_front_end
    from pixelsieve.networks.spec import network
    from pixelsieve.simulation.generate import sample_from_mapping
    from pixelsieve.studies.robustness_plan import read_variations
    from pixelsieve.studies.search.space import read_space
    from pixelsieve.training.augmentation import read_augmentation
    from pixelsieve.training.recipe import read_recipes

    front_end = read_front_end(folder / "front_end.toml")
    augmentation = read_augmentation(folder / "augmentation.toml")
    augmentation.chips(replace(front_end, time_resolution_ps=60.0))
    read_variations(folder / "variations.toml")
    read_recipes(folder / "recipe_study.toml")
    network(str(folder / "model2_codes_counts.toml"), "hit_time_30ps")
    read_space(folder / "space.toml")
    path = folder / "simulate.toml"
    sample_from_mapping(read_toml(path), str(path), n_signal=5, n_bib=5, seed=0)


def _integer(folder: Path) -> None:
    from pixelsieve.integer.file import write_integer_network
    from pixelsieve.integer.network import from_model
    from tests.tiny_networks import mixed_network, tiny_model

    write_integer_network(folder / "uniform.json", from_model(tiny_model(4)))
    write_integer_network(folder / "mixed.json", mixed_network(1))


def _read_integer(folder: Path) -> None:
    from pixelsieve.integer.file import read_integer_network

    for path in sorted(folder.glob("*.json")):
        read_integer_network(path)


def _model(folder: Path) -> None:
    from pixelsieve.networks.model_file import save_model
    from tests.tiny_networks import tiny_model

    save_model(folder / "model.keras", tiny_model(4))


def _read_model(folder: Path) -> None:
    from pixelsieve.integer.network import from_model
    from pixelsieve.networks.model_file import load_model

    from_model(load_model(folder / "model.keras"))


def _imported(*names: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        for name in names:
            shutil.copy(MODELS / name, folder)

    return make


def _read_imported(folder: Path) -> None:
    from pixelsieve.importing.convert import ImportOptions, import_model

    for path in sorted(folder.iterdir()):
        import_model(path, ImportOptions(input_bits=8 if path.suffix == ".h5" else None))


_KINDS = (
    "`.keras` of Keras 2.13, which skips numbers",
    "pruning wrappers in `.keras`",
    '`alpha="auto_po2"`, and `QDense` with none',
    "HGQ2's `QDense` in `.h5`",
)


def _kinds(folder: Path) -> None:
    """Files of other kinds than the reference models, and weights beside their architecture."""
    from tests.test_import_kinds import READ

    for i, row in enumerate(_KINDS):
        place = folder / f"{i}"
        place.mkdir()
        made, _ = READ[row].make(place)
        made.rename(folder / f"{i}{made.suffix}")
        place.rmdir()
    READ["`.weights.h5` with `--architecture`"].make(folder)


def _read_kinds(folder: Path) -> None:
    from pixelsieve.importing.convert import ImportOptions, import_model

    for path in sorted(folder.glob("*.*")):
        rounded = 8 if path.suffix == ".h5" and path.name.startswith(("2", "3")) else None
        beside = str(folder / "network.json") if path.name == "m.weights.h5" else None
        if path.suffix != ".json":
            import_model(path, ImportOptions(input_bits=rounded, architecture=beside))


_SETTINGS = (
    "pruning wrappers in `.h5`",
    '`alpha="auto_po2"`, and `QDense` with none',
    "`post_training_scale` of powers of two",
    "softmax of two classes, quantized",
    "`QBatchNormalization`, all scales powers of two",
    "`QConv2DBatchnorm`",
    "HGQ2's `QDense` in `.h5`",
)


def _settings(folder: Path) -> None:
    """The settings of whole models as `--architecture`, each beside its weights alone."""
    import h5py

    from tests.test_import_kinds import READ

    for i, row in enumerate(_SETTINGS):
        made, _ = READ[row].make(folder)
        with h5py.File(made) as whole, h5py.File(folder / f"{i}.weights.h5", "w") as bare:
            (folder / f"{i}.json").write_text(str(whole.attrs["model_config"]))
            for name, value in whole["model_weights"].attrs.items():
                bare.attrs[name] = value
            for name in whole["model_weights"]:
                whole["model_weights"].copy(name, bare)
        made.unlink()


def _read_settings(folder: Path) -> None:
    """Read in this process: the HDF5 files are whole."""
    from unittest import mock

    from pixelsieve.core import archives
    from pixelsieve.importing import stored
    from pixelsieve.importing.convert import ImportOptions, import_model

    with mock.patch.object(stored, "read_isolated", archives.read_hdf5):
        for path in sorted(folder.glob("*.json")):
            weights = path.with_suffix(".weights.h5")
            bits = None if path.stem == "0" else 8
            import_model(weights, ImportOptions(input_bits=bits, architecture=str(path)))


def _vendor_reports(folder: Path) -> None:
    from tests import test_vendor_reports as texts

    for name, text in (
        ("csynth.xml", texts.CSYNTH_XML),
        ("csynth.rpt", texts.CSYNTH_RPT),
        ("utilization.rpt", texts.HEADING + texts.UTILIZATION),
        ("instances.rpt", texts.BY_INSTANCE),
        ("timing.rpt", texts.HEADING + texts.TWO_CLOCKS),
        ("summary.rpt", texts.CSYNTH_SUMMARY),
        ("cosim.rpt", texts.COSIMULATION),
        ("cycle.rpt", texts.CATAPULT_CYCLE),
        ("rtl.rpt", texts.CATAPULT_RTL),
    ):
        (folder / name).write_text(text)


def _read_vendor_reports(folder: Path) -> None:
    from pixelsieve.hardware.vendor_reports import read_report

    for path in sorted(folder.iterdir()):
        read_report(path)


_CONFIG = {"network": "tiny", "bits": [2, 4], "data": {"clusters.parquet": "ab"}}


def _run_state(folder: Path) -> None:
    """What a killed run leaves: manifest, trial, result of a job, checkpoint, kept results."""
    import numpy as np

    from pixelsieve.core.files import write_json
    from pixelsieve.core.runs import RunFolder
    from pixelsieve.hardware.resources import Resources
    from pixelsieve.hardware.vendor_reports import VendorReport
    from pixelsieve.training.engine import Checkpoint

    with RunFolder(folder).claimed(_CONFIG):
        pass
    found = search_of_one_trial()
    write_json(folder / "trial_0003.json", found.trials[0])
    write_json(folder / "metrics.json", found.to_plain())
    costs = Resources("a", 9, 8, 0, 21.0, 3.0, 0, "0.8", "ab")
    write_json(RunFolder(folder).resources, {"schema": 1, "models": {"a": costs}})
    reports = [VendorReport("csynth.xml", "vitis-hls csynth", lut=5, sha256="ab")]
    write_json(RunFolder(folder).vendor_reports, {"schema": 1, "reports": reports})
    state = {"weights": [np.zeros((2, 2), np.float32)], "step": [np.array(3)]}
    Checkpoint(folder / "job.npz", "ab", every_s=0).save_when_due(lambda: state, [{"loss": 0.5}])


def search_of_one_trial() -> SearchResult:
    """What a finished search of one trial says."""
    import numpy as np

    from pixelsieve.metrics.statistics import Mean, score
    from pixelsieve.networks.precision import Precision
    from pixelsieve.studies.search.goal import Measured
    from pixelsieve.studies.search.result import (
        LeftOut,
        SearchResult,
        SearchRow,
        Smaller,
        TrialRecord,
    )
    from pixelsieve.studies.search.space import SearchSpace
    from pixelsieve.studies.search.trial import TrialResult
    from pixelsieve.studies.summary import ClassCounts
    from pixelsieve.training.recipe import RECIPES

    measured = Measured(0.9, 0.95, 0.9, 0.8, 0.7, 0.6, 100.0, 5.0, 80, 0)
    candidate = SearchSpace().choose(lambda _, among: getattr(among, "choices", (0.01,))[0])
    record = TrialRecord(3, candidate, TrialResult("complete", None, measured, (measured,)))
    one = Mean(0.5, 0.1)
    labels = np.arange(20) % 2
    row = SearchRow(
        name="trial_0003",
        kind="front",
        trial=3,
        network="dense_4",
        inputs="scalars",
        parameters=25,
        precision=Precision(4),
        bits="4/8/8",
        recipe=RECIPES["sieve"],
        luts=one,
        feature_luts=None,
        feature_luts_missing="no ADC",
        levels=one,
        ebops=one,
        validation=one,
        validation_auc=one,
        by_seed=(score(np.arange(20.0), labels),),
        test={"auc": one},
    )
    return SearchResult(
        metric="auc",
        cost="luts",
        budget=None,
        split_by="group",
        front_end=None,
        trials=(record,),
        states={"complete": 1},
        front=("trial_0003",),
        hypervolume=(0.4,),
        seeds=(0,),
        clusters={"test": ClassCounts(8, 9)},
        rows=(row,),
        left_out=(LeftOut("a", "b", "c"),),
        smaller=(Smaller("d", None, None),),
    )


def _read_run_state(folder: Path) -> None:
    from pixelsieve.core.runs import RunFolder
    from pixelsieve.hardware.resources import kept_resources
    from pixelsieve.hardware.vendor_reports import vendor_reports
    from pixelsieve.studies.search.result import read_record, read_result
    from pixelsieve.studies.search.space import SearchSpace
    from pixelsieve.training.engine import Checkpoint

    with RunFolder(folder).claimed(_CONFIG):
        pass
    candidate = SearchSpace().choose(lambda _, among: getattr(among, "choices", (0.01,))[0])
    read_record(folder / "trial_0003.json", 3, candidate)
    read_result(folder / "metrics.json")
    Checkpoint(folder / "job.npz", "ab").load()
    kept_resources(folder)
    vendor_reports(folder)


def _read_report(folder: Path) -> None:
    from pixelsieve.reporting.page import write_report
    from pixelsieve.reporting.record import read_run

    write_report([read_run(folder)], folder / ".page" / "report.html")


def _compared(folder: Path) -> None:
    """The JSON files of a small comparison, with reports of tools beside them."""
    import subprocess
    import sys

    from pixelsieve.formats import parquet
    from tests.conftest import make_clusters
    from tests.test_cli import QUICK

    work = folder.parent / "work"
    work.mkdir(exist_ok=True)
    parquet.write(make_clusters(1600), work / "clusters.parquet", row_group=500)
    arguments = ["--data", str(work / "clusters.parquet"), "--out", str(work / "run"), *QUICK]
    subprocess.run(
        [sys.executable, "-m", "pixelsieve", "compare", "--bits", "4", "--seeds", "1", *arguments],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    json_of_run(work / "run", folder)


def json_of_run(run: Path, folder: Path) -> None:
    """Copy what a report reads of a comparison, and add a verified model."""
    for path in (*run.glob("*.json"), *run.glob("jobs/*.json")):
        copy = folder / path.relative_to(run)
        copy.parent.mkdir(exist_ok=True)
        shutil.copy(path, copy)
    verified = {"schema": 1, "model": "a", "vectors": 10, "mismatches": 0}
    (folder / "firmware" / "a").mkdir(parents=True)
    (folder / "firmware" / "a" / "verification.json").write_text(json.dumps(verified))


READERS = MappingProxyType(
    {
        "Parquet": Reader(_parquet, _read_parquet),
        "ROOT": Reader(_root, _read_root, 0.5),
        "triples": Reader(_triples, _read_triples, 0.3),
        "TFRecord": Reader(_tfrecord, _read_tfrecord),
        "PixelAV and track list": Reader(_pixelav, _read_pixelav, 0.5),
        "TOML": Reader(_tomls, _read_tomls),
        "integer network": Reader(_integer, _read_integer),
        "model file": Reader(_model, _read_model, 0.5),
        "Keras HDF5": Reader(_imported("asic_4b.h5"), _read_imported, 0.05),
        "Keras archive": Reader(_imported("float_keras3.keras"), _read_imported, 0.05),
        "Keras weights, wrappers, HGQ2": Reader(_kinds, _read_kinds, 0.05),
        "settings of Keras models": Reader(_settings, _read_settings, damage="*.json"),
        "vendor reports": Reader(_vendor_reports, _read_vendor_reports),
        "state of a run": Reader(_run_state, _read_run_state),
        "report of a run": Reader(_compared, _read_report, 0.3, "**/*.json"),
    }
)
"""Readers by the name that tables show."""
