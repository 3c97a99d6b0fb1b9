"""The page "In Python": its scripts run wherever Python runs, without a main guard."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pixelsieve.core.files import read_json
from pixelsieve.core.programs import Tool
from tests.test_docs import DOCS, blocks

QUICK_START = blocks("python.md", "python")["quick_start.py"]

WAYS = {
    "file": ["script.py"],
    "command": ["-c", QUICK_START],
    "repl": ["-i"],
}


def run(words: list[str], folder: Path, typed: str = "") -> str:
    """What Python prints; it must say nothing else but progress, and leave no error."""
    command = [sys.executable, *words]
    done = subprocess.run(
        command, cwd=folder, input=typed, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr  # a REPL goes on after an error
    return done.stdout


def check(printed: str, folder: Path, *more: str) -> None:
    """The filter is scored and verified, and nothing but its folder is left."""
    scores, chip = printed.strip().splitlines()
    assert scores.startswith("Scores(AUC ")
    assert chip.startswith("Firmware(passed; ")
    assert read_json(folder / "chip" / "verification.json")["passed"]
    assert list((folder / "chip").rglob("*.v"))
    assert {one.name for one in folder.iterdir()} == {"chip", "clusters.parquet", *more}


@pytest.fixture
def folder(dataset_file: Path, tmp_path: Path) -> Path:
    (tmp_path / "clusters.parquet").symlink_to(dataset_file)
    return tmp_path


def test_the_quick_start_is_short() -> None:
    assert len([line for line in QUICK_START.splitlines() if line]) <= 8
    assert "__main__" not in QUICK_START


@pytest.mark.parametrize("way", WAYS)
def test_the_quick_start_runs(way: str, folder: Path, verilator: Tool) -> None:
    if way == "file":
        (folder / "script.py").write_text(QUICK_START)
    printed = run(WAYS[way], folder, typed=QUICK_START if way == "repl" else "")
    check(printed, folder, *(["script.py"] if way == "file" else []))


def in_a_kernel(
    source: str, folder: Path, settings: Path, monkeypatch: pytest.MonkeyPatch
) -> list[Any]:
    """The outputs of a notebook's cell that holds the source."""
    nbformat = pytest.importorskip("nbformat")
    from nbclient import NotebookClient

    monkeypatch.setenv("IPYTHONDIR", str(settings))
    monkeypatch.delenv("MPLBACKEND", raising=False)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    where = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources=where).execute()
    return list(notebook.cells[0].outputs)


def test_the_quick_start_runs_in_a_notebook(
    folder: Path,
    verilator: Tool,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    settings = tmp_path_factory.mktemp("ipython")
    outputs = in_a_kernel(QUICK_START, folder, settings, monkeypatch)
    streams = dict.fromkeys(("stdout", "stderr"), "")
    for one in outputs:
        if one.output_type == "stream":
            streams[one.name] += one.text
    check(streams["stdout"], folder)
    assert streams["stderr"] == ""
    shown = [one.data["text/html"] for one in outputs if one.output_type == "display_data"]
    assert all(one.startswith('<pre class="pixelsieve-progress">') for one in shown)
    float_network, four_bits, firmware = (re.sub("<.*?>", "", one) for one in shown)
    for trained in (float_network, four_bits):
        assert re.fullmatch(r"\s*epochs .* 50/50 .*\s*", trained), trained
    assert "verification ..." in firmware


def test_the_examples_of_the_page_run(tmp_path: Path, verilator: Tool) -> None:
    every = blocks("python.md", "python")
    del every["quick_start.py"]
    assert len(every) == (DOCS / "python.md").read_text().count("```python") - 1
    script = "import matplotlib; matplotlib.use('Agg')\n" + "\n".join(every.values())
    (tmp_path / "script.py").write_text(script)  # the processes of compare need no main guard
    run(["script.py"], tmp_path)
    left = {"script.py", "roc.png", "runs", "four", "study.html"}
    assert {one.name for one in tmp_path.iterdir()} == left
