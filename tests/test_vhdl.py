"""VHDL: the files, and where GHDL is on PATH what they answer."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pixelsieve.core.errors import ToolError
from pixelsieve.core.programs import GHDL, Tool
from pixelsieve.hardware.ports import Timing
from pixelsieve.hardware.rtl import design, write_verilog
from pixelsieve.hardware.simulators import simulate_vhdl
from pixelsieve.hardware.testbench import corner_codes, vectors
from pixelsieve.hardware.verify import verify_vhdl
from pixelsieve.integer.network import IntegerNetwork, from_model

from .conftest import needs_tool
from .tiny_networks import mixed_network, tiny_model

pytestmark = pytest.mark.usefixtures("needs_alkaid")


@pytest.fixture
def ghdl() -> Tool:
    return needs_tool(GHDL)


NETWORKS = {
    "2 bits": from_model(tiny_model(2, 2), "tiny"),
    "8 bits": from_model(tiny_model(8, 1), "tiny"),
    "mixed": mixed_network(2067),
}


@pytest.mark.parametrize("stages", [None, 2])
@pytest.mark.parametrize("network", NETWORKS.values(), ids=list(NETWORKS))
def test_vhdl_gives_the_same_answers(
    tmp_path: Path, ghdl: Tool, network: IntegerNetwork, stages: int | None
) -> None:
    codes = corner_codes(network, 200)
    expected = network.run(codes)
    threshold = int(np.sort(expected)[100])
    made = design(network, threshold, timing=Timing(stages), language="vhdl")
    write_verilog(tmp_path, made)
    answers = simulate_vhdl(tmp_path, made, codes, ghdl)
    found = slice(answers.shift, answers.shift + len(expected))
    np.testing.assert_array_equal(answers.logits[found], expected)
    np.testing.assert_array_equal(answers.keep[found], expected >= threshold)
    assert len(np.unique(expected)) > 2
    if stages:  # a clock earlier they are not there
        assert answers.shift == 1
        assert (answers.logits[: len(expected)] != expected).any()


def test_a_broken_weight_in_vhdl_is_seen(tmp_path: Path, ghdl: Tool) -> None:
    network = NETWORKS["8 bits"]
    made = design(network, 0, language="vhdl")
    write_verilog(tmp_path, made)
    path = tmp_path / "tiny_stage0.vhd"
    text = path.read_text()
    broken = re.sub(
        r"(shift_adder .*?SHIFT1=>)(-?\d+)", lambda m: f"{m[1]}{int(m[2]) + 1}", text, count=1
    )
    assert broken != text
    path.write_text(broken)
    codes = corner_codes(network, 200)
    assert (simulate_vhdl(tmp_path, made, codes, ghdl).logits != network.run(codes)).any()
    path.write_text(text.replace("architecture", "architect", 1))
    with pytest.raises(ToolError, match="GHDL failed"):
        simulate_vhdl(tmp_path, made, codes, ghdl)


def test_large_networks_are_simulated_on_fewer_vectors(tmp_path: Path, ghdl: Tool) -> None:
    network = NETWORKS["8 bits"]
    made = design(network, 0, language="vhdl")
    write_verilog(tmp_path, made)
    of = vectors(network, corner_codes(network, 400, seed=1), n_random=100)
    check = verify_vhdl(tmp_path, made, network, of)
    assert (check.tool, check.vectors, check.passed) == (str(ghdl), 506, True)
    large = replace(made, lut_estimate=1e6)
    check = verify_vhdl(tmp_path, large, network, of)
    assert 45 <= check.vectors <= 50
    assert check.passed


def test_both_languages_have_the_same_design() -> None:
    network = NETWORKS["8 bits"]
    verilog, vhdl = (
        design(network, -3, timing=Timing(2), language=one) for one in ("verilog", "vhdl")
    )
    assert vhdl.language == "vhdl"
    assert {Path(name).suffix for name in vhdl.files} == {".vhd"}
    assert {Path(n).stem for n in verilog.files} == {Path(n).stem for n in vhdl.files}
    for field in ("top", "inputs", "logit", "latency", "lut_estimate", "levels", "register_bits"):
        assert getattr(verilog, field) == getattr(vhdl, field)
    text = vhdl.files["tiny.vhd"]
    assert "clk: in std_logic;" in text
    for port in vhdl.inputs:
        assert f"{port.name}: in std_logic_vector({port.width - 1} downto 0)" in text
    code = "1" * (vhdl.logit.bits - 2) + "01"
    assert f'THRESHOLD: signed({vhdl.logit.bits - 1} downto 0) := "{code}"); -- -3' in text


@pytest.mark.parametrize(
    ("name", "top"),
    [("signal", "net_signal"), ("Mux", "net_Mux"), ("2 bits", "net_2_bits"), ("a__b_", "a_b")],
)
def test_an_entity_is_called_no_word_of_vhdl(name: str, top: str) -> None:
    assert design(NETWORKS["2 bits"], 0, top=name, language="vhdl").top == top
