from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixelsieve.core.errors import ConfigError, RunError
from pixelsieve.core.files import claimed_folder, replacing_folder
from pixelsieve.core.programs import Tool
from pixelsieve.features import FeatureSet
from pixelsieve.hardware.job import make_firmware
from pixelsieve.hardware.ports import Design, Port, Timing
from pixelsieve.hardware.rtl import design, write_verilog
from pixelsieve.hardware.simulators import Answers, pack, simulate_verilog
from pixelsieve.hardware.testbench import corner_codes, vectors
from pixelsieve.hardware.verify import Verification, verify
from pixelsieve.integer import logic
from pixelsieve.integer.file import read_integer_network, write_integer_network
from pixelsieve.integer.network import IntegerNetwork, from_model
from pixelsieve.networks.model_file import Model

from .conftest import make_clusters
from .tiny_networks import (
    TINY,
    heterogeneous_network,
    mixed_network,
    one_bit_network,
    tiny_model,
)


def program_differs(network: IntegerNetwork) -> int:
    """On how many random vectors alkaid's program, before Verilog, is another than ours."""
    codes = corner_codes(network, 300)
    values = np.concatenate([codes[i.name] * i.grid.step for i in network.inputs], axis=1)
    got = logic.traced(network).predict(values, n_threads=1).ravel()
    return int((got * 2.0**network.logit_fraction_bits != network.run(codes)).sum())


# ---- the integer program


@settings(deadline=None, max_examples=10)
@given(
    bits=st.integers(2, 8),
    activation_bits=st.integers(2, 8),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_integer_program_equals_keras(bits: int, activation_bits: int, seed: int) -> None:
    model = tiny_model(bits, seed, activation_bits)
    network = from_model(model)
    codes = corner_codes(network, 200, seed)
    run = network.trace(codes)
    keras = model.logits(network.input_values(codes)).astype(np.float64)
    np.testing.assert_array_equal(keras * 2.0**network.logit_fraction_bits, run.logits)
    ranges = network.sum_ranges()["output"]
    assert ranges[0] <= run.logits.min() <= run.logits.max() <= ranges[1]
    half = 1 << (network.logit_bits - 1)
    assert -half <= ranges[0] <= ranges[1] < half


def test_counters_tell_saturated_and_negative_sums() -> None:
    network = from_model(tiny_model(4, 2))
    codes = corner_codes(network, 100)
    run = network.trace(codes)
    by_layer = {c.layer: c for c in run.counters}
    activation = network.weighted_layers[0].activation
    assert activation is not None
    assert by_layer["a"].values == 103 * 3
    assert 0 < by_layer["a"].saturated <= (run.layers["a"] == activation.highest_codes).sum()
    assert 0 < by_layer["a"].below <= (run.layers["a"] == 0).sum()
    assert by_layer["output"].saturated == by_layer["output"].below == 0


def test_features_become_codes() -> None:
    model = tiny_model(4)
    network = from_model(model)
    table = model.features.table(make_clusters(50))
    codes = network.input_codes(table)
    assert codes["z_global"].shape == (50, 1)
    np.testing.assert_array_equal(
        network.run(codes) / 2.0**network.logit_fraction_bits, model.logits(table)
    )
    other = FeatureSet(TINY.features, mirror_x=True).table(make_clusters(50))
    with pytest.raises(ConfigError, match="scaled differently: mirror_x"):
        network.input_codes(other)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match="a float network; firmware needs a quantized one"):
        from_model(tiny_model(None))
    network = from_model(tiny_model(4))
    codes = corner_codes(network, 4)
    with pytest.raises(ConfigError, match=r"input 'y_local': nothing; expected codes \(n, 1\)"):
        network.run({k: v for k, v in codes.items() if k != "y_local"})
    with pytest.raises(ConfigError, match="input 'y_size': codes outside -128 to 127"):
        network.run({**codes, "y_size": codes["y_size"] + 100})


def test_json_round_trip(tmp_path: Path) -> None:
    network = from_model(tiny_model(4), "tiny_4b")
    path = tmp_path / "tiny_4b.json"
    digest = write_integer_network(path, network)
    again = read_integer_network(path)
    codes = corner_codes(network, 100)
    np.testing.assert_array_equal(network.run(codes), again.run(codes))
    assert write_integer_network(path, again) == digest
    mixed = heterogeneous_network(3)
    write_integer_network(tmp_path / "mixed.json", mixed)
    again = read_integer_network(tmp_path / "mixed.json")
    codes = corner_codes(mixed, 100)
    np.testing.assert_array_equal(mixed.run(codes), again.run(codes))
    assert (
        json.loads(path.read_text())["layers"][0]["kernel"]
        == network.weighted_layers[0].kernel.tolist()
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 1}, "written by another version of pixelsieve; expected schema 2"),
        ({"kind": "x"}, "no integer network"),
        ({"logit_bits": 3}, "its contents are not those of its sha256"),
    ],
)
def test_other_json_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = tmp_path / "n.json"
    write_integer_network(path, from_model(tiny_model(4)))
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(RunError, match=message):
        read_integer_network(path)


# ---- alkaid's program, before Verilog


@pytest.mark.usefixtures("needs_alkaid")
@pytest.mark.parametrize("seed", [929, 2067])
def test_alkaid_loses_a_shift_unless_its_pass_is_off(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = mixed_network(seed)
    assert program_differs(network) == 0
    monkeypatch.setattr(logic, "without_lost_shifts", contextlib.nullcontext)
    # Where this fails alkaid has been mended, and `without_lost_shifts` can go.
    assert program_differs(network) > 0


@pytest.mark.usefixtures("needs_alkaid")
def test_signed_inputs_of_one_bit_are_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(20):
        assert program_differs(one_bit_network(seed)) == 0, seed
    monkeypatch.setattr(logic, "_with_unsigned_bits", lambda source, kernel: (source, kernel))
    # Where this fails alkaid has been mended, and `_with_unsigned_bits` can go.
    with pytest.raises(ConfigError, match=r"one_bit: alkaid .* fails on this .*AssertionError"):
        logic.traced(one_bit_network(0))


def test_verilog_of_signed_inputs_of_one_bit_is_exact(tmp_path: Path, verilator: Tool) -> None:
    network = one_bit_network(1)
    codes = corner_codes(network, 300)
    made = design(network, 0)
    write_verilog(tmp_path, made)
    logits = network.run(codes)
    np.testing.assert_array_equal(simulate_verilog(tmp_path, made, codes, verilator).logits, logits)
    assert len(np.unique(logits)) > 50


@pytest.mark.usefixtures("needs_alkaid")
@pytest.mark.parametrize("make", [mixed_network, heterogeneous_network])
def test_alkaid_programs_of_mixed_networks_are_exact(
    make: Callable[[int], IntegerNetwork],
) -> None:
    built = 0
    for seed in range(60):
        network = make(seed)
        try:
            assert program_differs(network) == 0, seed
        except ConfigError:
            continue
        built += 1
    assert built > 20


@pytest.mark.usefixtures("needs_alkaid")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stages": 0}, "--stages is 0; expected 1 to 256"),
        ({"stages": 200}, "--stages 200: the longest path has only"),
        ({"stages": 2, "clock_ns": 2.0}, "--stages and --clock-ns: give one of them"),
        ({"clock_ns": 0.1}, "--clock-ns is 0.1; expected at least 1"),
        ({"threshold": 10**9}, "does not fit the logit"),
    ],
)
def test_settings_that_cannot_be_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        design(from_model(tiny_model(4)), options.pop("threshold", 0), timing=Timing(**options))


@pytest.mark.usefixtures("needs_alkaid")
def test_a_shorter_clock_makes_more_stages() -> None:
    network = from_model(tiny_model(4))
    levels = design(network, 0).levels
    assert [
        design(network, 0, timing=Timing(clock_ns=levels / n + 1e-6)).latency for n in (1, 2, 3)
    ] == [1, 2, 3]


@pytest.mark.usefixtures("needs_alkaid")
@pytest.mark.parametrize(
    ("name", "top"), [("small", "small_"), ("mux", "mux_"), ("2 bits", "_2_bits"), ("a__b", "a_b")]
)
def test_a_module_is_called_no_word_of_verilog(name: str, top: str) -> None:
    made = design(from_model(tiny_model(4)), 0, top=name)
    assert made.top == top
    assert f"module {top} #(" in made.files[f"{top}.v"]


def test_ports_are_packed_lowest_element_first() -> None:
    port = Port("p", 5, 9, True, 8)  # noqa: FBT003
    codes = np.array([[-1, 3, -256, 255, 7]])
    whole = sum(int(w) << (32 * i) for i, w in enumerate(pack(codes, port)[0]))
    assert [(whole >> (9 * i)) & 0x1FF for i in range(5)] == [c & 0x1FF for c in codes[0].tolist()]


# ---- the gate


class Gate:
    """A tiny network as Verilog on disk, and the gate on it."""

    def __init__(self, folder: Path, verilator: Tool, model: Model, **options: Any) -> None:
        self.model, self.folder, self.verilator = model, folder, verilator
        self.network = from_model(model, "tiny")
        table = model.features.table(make_clusters(200))
        self.codes = self.network.input_codes(table)
        self.threshold = int(np.sort(self.network.run(self.codes))[100])
        self.made: Design = design(self.network, self.threshold, timing=Timing(**options))
        folder.mkdir(exist_ok=True)
        write_verilog(folder, self.made)

    def change(self, name: str, edit: Callable[[str], str]) -> None:
        path = self.folder / name
        text = path.read_text()
        assert edit(text) != text
        path.write_text(edit(text))

    def check(self) -> Verification:
        return verify(
            self.model,
            self.network,
            self.folder,
            replace(self.made, threshold=self.threshold),
            vectors(self.network, self.codes, n_random=300),
            self.verilator,
        )


@pytest.mark.parametrize(("bits", "seed", "stages"), [(2, 2, None), (8, 1, 3)])
def test_the_gate_holds(
    tmp_path: Path,
    verilator: Tool,
    monkeypatch: pytest.MonkeyPatch,
    bits: int,
    seed: int,
    stages: int | None,
) -> None:
    from pixelsieve.hardware import verify as module

    gate = Gate(tmp_path, verilator, tiny_model(bits, seed), stages=stages)
    answers: list[Answers] = []

    def remember(*arguments: Any) -> Answers:
        answers.append(simulate_verilog(*arguments))
        return answers[0]

    monkeypatch.setattr(module, "simulate_verilog", remember)
    result = gate.check()
    assert result.passed, result.first
    assert result.mismatches == {"keras": 0, "verilog_logit": 0, "verilog_keep": 0}
    assert (result.clusters, result.corners) == (200, 303)
    assert result.latency == gate.made.latency == (stages or 0)
    assert len(np.unique(gate.network.run(gate.codes))) > 2

    # The same answers, but another threshold (some cluster is on it) or another latency.
    monkeypatch.setattr(module, "simulate_verilog", lambda *_: answers[0])
    gate.threshold += 1
    result = gate.check()
    assert not result.passed
    assert result.mismatches["verilog_logit"] == 0
    assert result.mismatches["verilog_keep"] > 0
    gate.threshold -= 1
    if stages:
        monkeypatch.setattr(
            module, "simulate_verilog", lambda *_: replace(answers[0], shift=stages)
        )
        gate.made = replace(gate.made, latency=stages + 1)
        result = gate.check()
        assert (result.latency, result.passed) == (stages, False)


def test_a_broken_weight_and_a_wrong_threshold_are_seen(tmp_path: Path, verilator: Tool) -> None:
    gate = Gate(tmp_path, verilator, tiny_model(4, 1), stages=2)
    # One adder takes its second operand a bit further up: a weight has another value.
    adder = r"(shift_adder #\((?:-?\d+,){6})(-?\d+)"

    def break_weight(text: str) -> str:
        return re.sub(adder, lambda m: f"{m.group(1)}{int(m.group(2)) + 1}", text, count=1)

    gate.change("tiny_stage0.v", break_weight)
    gate.change("tiny.v", lambda text: re.sub(r"(THRESHOLD = \d+'sh)\w+", r"\g<1>1", text))
    result = gate.check()
    assert not result.passed
    assert result.mismatches["keras"] == 0
    assert result.mismatches["verilog_logit"] > 0
    assert result.mismatches["verilog_keep"] > 0
    first = result.first
    assert first is not None
    assert first.of == "clusters"
    assert first.keras["a"] == first.layers["a"]


def test_the_gate_sees_what_alkaid_does_wrong(
    tmp_path: Path, verilator: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = mixed_network(2067)
    codes = corner_codes(network, 300)
    monkeypatch.setattr(logic, "without_lost_shifts", contextlib.nullcontext)
    made = design(network, 0)
    write_verilog(tmp_path, made)
    answers = simulate_verilog(tmp_path, made, codes, verilator)
    assert (answers.logits != network.run(codes)).any()


def test_a_model_made_in_memory_writes_nothing_but_what_was_asked_for(
    tmp_path: Path, verilator: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    clusters = make_clusters(300)
    result = make_firmware(tiny_model(4, 1), clusters, clusters, tmp_path / "out")
    assert result.passed
    assert (result.model, result.design.top) == ("tiny", "tiny")
    assert list(here.iterdir()) == []
    assert sorted(p.name for p in tmp_path.iterdir()) == ["here", "out"]


# ---- folders


def test_a_folder_is_whole_or_not_there(tmp_path: Path) -> None:
    out = tmp_path / "out"

    def fail() -> None:
        with replacing_folder(out) as fresh:
            (fresh / "half").write_text("x")
            raise OSError(28, "No space left on device")

    with pytest.raises(RunError, match="No space left on device"):
        fail()
    assert list(tmp_path.iterdir()) == []
    with replacing_folder(out) as fresh:
        (fresh / "verification.json").write_text("1")
    with pytest.raises(RunError, match="No space left"):
        fail()
    assert (out / "verification.json").read_text() == "1"
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="takes no files"), replacing_folder(tmp_path / "file" / "x"):
        pass
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("")
    with pytest.raises(RunError, match="holds other files"), replacing_folder(tmp_path / "mine"):
        pass


def test_a_folder_is_written_by_one_process_and_mended_after_a_kill(tmp_path: Path) -> None:
    out = tmp_path / "firmware" / "out"

    def claim() -> None:
        with claimed_folder(out):
            pass

    with (
        claimed_folder(out),
        pytest.raises(RunError, match="another process works in this folder"),
    ):
        claim()
    assert list(tmp_path.iterdir()) == []
    with claimed_folder(out), replacing_folder(out) as fresh:
        (fresh / "verification.json").write_text("1")
    digest = hashlib.sha256(b"1").hexdigest()
    assert (out / "SHA256SUMS").read_text() == f"{digest}  verification.json\n"
    # Killed between the two renames: the old folder is back, the half-written one is gone.
    out.rename(out.with_name(".out.old"))
    out.with_name(".out.new").mkdir()
    claim()
    assert [p.name for p in out.parent.iterdir()] == ["out"]
    assert (out / "verification.json").read_text() == "1"
