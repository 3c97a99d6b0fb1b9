from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pixelsieve.core.errors import ConfigError, PixelsieveError, RunError, ToolError
from pixelsieve.features import FeatureSet
from pixelsieve.hardware import hls, hls_project
from pixelsieve.hardware.hls import HandOver, hand_over
from pixelsieve.hardware.hls_project import HlsProject, HlsSettings, write_project
from pixelsieve.hardware.testbench import Vectors, corner_codes, vectors
from pixelsieve.integer.file import read_integer_network
from pixelsieve.integer.layers import IntegerLayer
from pixelsieve.integer.network import IntegerNetwork, from_model
from pixelsieve.networks.layers import Dense
from pixelsieve.networks.model_file import Model
from pixelsieve.networks.precision import LayerScale, Precision
from pixelsieve.networks.spec import NetworkSpec, initial_weights

from .test_firmware_images import GATE, image_model
from .test_mixed_precision import mixed_model

needs_gpp = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")

# Two branches, a scalar that goes into two layers, and a layer with three inputs.
SPEC = NetworkSpec(
    "branches",
    (
        Dense("a", 3, ("x_size", "z_global")),
        Dense("b", 2, ("y_size", "y_local")),
        Dense("c", 3, ("a", "b", "x_size")),
        Dense("output", 1, ("c",), relu=False),
    ),
)
SCALES = (
    LayerScale("a", 2, -1),
    LayerScale("b", -1, 1),
    LayerScale("c", 0, 0),
    LayerScale("output", -2, 1),
)


def branches(bits: int, dead_layer: str | None = None) -> tuple[Model, IntegerNetwork]:
    rng = np.random.default_rng(bits)
    weights = {
        layer: {
            n: rng.normal(0.1, 0.6, v.shape).astype(np.float32) * (layer != dead_layer)
            for n, v in vs.items()
        }
        for layer, vs in initial_weights(SPEC, 0).items()
    }
    precision = Precision(bits, activation_bits=bits, input_bits=bits, scales=SCALES)
    model = Model(SPEC, precision, weights, FeatureSet(SPEC.features))
    return model, from_model(model, f"branches {bits}b")


@pytest.fixture(autouse=True)
def _needs_hls4ml() -> None:
    pytest.importorskip("hls4ml", reason="hls4ml is not installed")


def few(network: IntegerNetwork) -> Vectors:
    return vectors(network, corner_codes(network, 4), n_random=4)


def nothing_in(folder: Path) -> bool:
    return not any(folder.iterdir())


# ---- the C simulation against the integer program


@needs_gpp
@pytest.mark.parametrize(
    ("backend", "bits", "dead"), [("Vitis", 2, None), ("Vitis", 8, "b"), ("Catapult", 4, None)]
)
def test_c_simulation_equals_the_integer_program(
    tmp_path: Path, backend: Any, bits: int, dead: str | None
) -> None:
    model, network = branches(bits, dead)
    clusters = corner_codes(network, 300, seed=5)
    steps: list[str] = []
    result = hand_over(
        model,
        network,
        vectors(network, clusters),
        tmp_path / "out",
        HlsSettings(backend, clock_ns=3.5, reuse_factor=2),
        threshold=-3,
        on_step=steps.append,
    )
    assert (result.passed, result.mismatches, result.first) == (True, 0, None)
    assert (result.clusters, result.corners, result.vectors) == (303, 2003, 2306)
    assert len(set(network.run(clusters).tolist())) > 3  # the networks do say something
    assert len(steps) == 3
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    _check_folder(tmp_path / "out", result, network)


def _check_folder(out: Path, result: HandOver, network: IntegerNetwork) -> None:
    assert {p.name for p in out.iterdir()} == {
        "project",
        "README.md",
        "SHA256SUMS",
        "network.json",
        "verification.json",
    }
    assert read_integer_network(out / "network.json").run(corner_codes(network, 5)).shape == (8,)
    plain = json.loads((out / "verification.json").read_text())
    assert plain["passed"] is True
    assert plain["settings"]["clock_ns"] == 3.5
    assert plain["settings"]["part"] == result.project.settings.target
    assert plain["versions"]["hls4ml"]
    readme = (out / "README.md").read_text()
    for word in ("0 mismatches", "3.5 ns", "reuse factor 2", "--import-report", "above -3 "):
        assert word in readme
    for layer in network.layers:
        assert f"| `{layer.name}` |" in readme
        assert re.search(rf"// {layer.name}$", _top(out).read_text(), re.MULTILINE)
    bits = network.sum_bits()
    for one, layer in zip(result.project.layers, network.layers, strict=True):
        assert isinstance(layer, IntegerLayer)
        found = re.search(r"fixed<(\d+),(-?\d+)", one.sum_type)
        assert found
        width, integer = int(found[1]), int(found[2])
        assert width - integer == layer.sum_fraction_bits
        assert width >= bits[layer.name]
    assert result.project.logit.bits == network.logit_bits
    assert result.project.logit.fraction_bits == network.logit_fraction_bits


def _top(out: Path) -> Path:
    return next(p for p in (out / "project" / "firmware").glob("hls_branches*.cpp"))


@needs_gpp
def test_a_broken_weight_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, network = branches(4)

    def breaking(folder: Path, *args: Any) -> HlsProject:
        project = write_project(folder, *args)
        layer = next(one for one in project.layers if one.name == "c")
        header = folder / "firmware" / "weights" / f"{layer.weights['weight']}.h"
        text = header.read_text()
        first = re.search(r"= \{(-?[0-9.]+)", text)
        assert first
        other = f"= {{{-0.5 if float(first[1]) >= 0 else 0.5}"
        header.write_text(text.replace(first[0], other))
        return project

    monkeypatch.setattr(hls, "write_project", breaking)
    of = vectors(network, corner_codes(network, 100, seed=1))
    result = hand_over(model, network, of, tmp_path / "out", HlsSettings("Catapult"))
    assert not result.passed
    assert result.mismatches > 0
    assert result.folder == tmp_path / "out.failed"
    assert [p.name for p in tmp_path.iterdir()] == ["out.failed"]
    assert "MISMATCHES" in (result.folder / "README.md").read_text()
    first = result.first
    assert first is not None
    assert first.got != first.expected
    assert list(first.layers) == [layer.name for layer in network.layers]
    assert first.of == ("clusters" if first.vector < of.clusters else "corners")
    assert first.expected == network.run(of.codes)[first.vector]
    assert json.loads((result.folder / "verification.json").read_text())["passed"] is False


@needs_gpp
def test_bits_that_differ_within_a_layer(tmp_path: Path) -> None:
    model = mixed_model(2, "RND", "WRAP")
    network = from_model(model, "mixed")
    with pytest.raises(ToolError, match=r"work with Vitis only$"):
        hand_over(model, network, few(network), tmp_path / "out", HlsSettings("Catapult"))
    assert nothing_in(tmp_path)
    of = vectors(network, corner_codes(network, 300, seed=5))
    assert len(set(network.run(of.codes).tolist())) > 5
    result = hand_over(model, network, of, tmp_path / "out")
    assert result.mismatches == 0
    # the inputs take fewer bits than their codes have: said in the README
    readme = (tmp_path / "out" / "README.md").read_text()
    assert "port 'y_size' is ap_ufixed<5,-1,AP_RND,AP_WRAP,0>, the codes are fixed<8,1>" in readme


@needs_gpp
def test_images(tmp_path: Path) -> None:
    model = image_model(4, 4, GATE)
    network = from_model(model, "4b images")
    of = vectors(network, corner_codes(network, 300, seed=5))
    assert len(set(network.run(of.codes).tolist())) > 10
    result = hand_over(model, network, of, tmp_path / "out")
    assert (result.mismatches, result.project.top) == (0, "hls_4b_images")


# ---- the project


def test_the_project_is_the_same_wherever_it_is_written(tmp_path: Path) -> None:
    model, network = branches(4)
    texts = []
    for name in ("one", "two"):
        folder = tmp_path / name
        write_project(folder, model, network, HlsSettings(), "0badcafe")
        files = [p for p in sorted(folder.rglob("*")) if p.is_file() and p.suffix != ".keras"]
        texts.append({str(p.relative_to(folder)): p.read_bytes() for p in files})
    assert texts[0] == texts[1]
    assert not any(str(tmp_path).encode() in text for text in texts[0].values())


def test_ports_carry_the_grids_of_the_inputs(tmp_path: Path) -> None:
    model, network = branches(8)
    project = write_project(tmp_path / "p", model, network, HlsSettings(), "0badcafe")
    assert {p.name: p.type for p in project.ports} == {i.name: str(i.grid) for i in network.inputs}
    assert project.warnings == ()
    corners = corner_codes(network, 200)
    of = vectors(network, corner_codes(network, 9, seed=3), n_random=200)
    hls_project.write_test_bench(tmp_path / "p", project, network, of)
    data = tmp_path / "p" / "tb_data"
    logits = np.loadtxt(data / "tb_output_predictions.dat")
    assert len(logits) == 100
    expected = network.run(corners)[:100] * 2.0**-network.logit_fraction_bits
    np.testing.assert_array_equal(logits, expected)
    columns = np.loadtxt(data / "tb_input_features.dat").T
    for port, column in zip(project.ports, columns, strict=True):
        np.testing.assert_array_equal(column * 128, corners[port.name][:100, 0])


# ---- what is missing or wrong


def test_without_hls4ml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, network = branches(4)
    monkeypatch.setitem(sys.modules, "hls4ml", None)
    with pytest.raises(ToolError, match=r"^hls4ml is not installed.*pip install hls4ml$"):
        hand_over(model, network, few(network), tmp_path / "out")
    assert nothing_in(tmp_path)


def test_without_gpp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, network = branches(4)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match=r"^g\+\+ is missing; .*apt install g\+\+\)$"):
        hand_over(model, network, few(network), tmp_path / "out")
    assert nothing_in(tmp_path)


@needs_gpp
def test_what_hls4ml_cannot_convert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, network = branches(4)

    def refusing(*args: Any) -> None:
        raise AssertionError("backend not tested\nand more")

    monkeypatch.setattr(hls_project, "_set_sums", refusing)
    with pytest.raises(ToolError) as caught:
        hand_over(model, network, few(network), tmp_path / "out")
    assert str(caught.value).endswith("cannot make a Vitis project (backend not tested)")
    assert nothing_in(tmp_path)


@needs_gpp
def test_a_project_that_does_not_compile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, network = branches(4)

    def breaking(folder: Path, *args: Any) -> HlsProject:
        project = write_project(folder, *args)
        (folder / "firmware" / "hls_branches_4b.h").write_text("#error nothing here\n")
        return project

    monkeypatch.setattr(hls, "write_project", breaking)
    with pytest.raises(ToolError, match=r"^g\+\+ failed: .*error"):
        hand_over(model, network, few(network), tmp_path / "out")
    assert nothing_in(tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"backend": "Vitus"}, "did you mean 'Vitis'"),
        ({"clock_ns": 0}, "clock_ns"),
        ({"reuse_factor": 0}, "reuse_factor"),
    ],
)
def test_bad_settings(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    model, network = branches(4)
    with pytest.raises(ConfigError, match=message):
        hand_over(model, network, few(network), tmp_path / "out", HlsSettings(**settings))
    assert nothing_in(tmp_path)


@needs_gpp
def test_other_files_are_not_replaced(tmp_path: Path) -> None:
    model, network = branches(4)
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(RunError, match="holds other files") as caught:
        hand_over(model, network, few(network), tmp_path)
    assert isinstance(caught.value, PixelsieveError)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]
