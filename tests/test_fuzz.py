"""Damaged files for every reader, a few each; `benchmarks/fuzz.py` tries many."""

from __future__ import annotations

from pathlib import Path

import pytest

from pixelsieve.core.errors import DataError
from tests.fuzzing import campaign
from tests.fuzzing.campaign import damaged_file, make_material, outcome, run
from tests.fuzzing.readers import READERS, Reader, json_of_run

FILES = 40
SEED = 1


@pytest.mark.parametrize("name", [name for name in READERS if name != "report of a run"])
def test_damaged_files_are_read_or_refused_in_one_line(name: str, tmp_path: Path) -> None:
    make_material(tmp_path, [name])
    found = run(tmp_path, name, SEED, 0, max(3, round(FILES * READERS[name].share)))
    assert not [(one.number, one.file, one.what) for one in found.findings]
    assert found.refused


def test_a_report_of_damaged_files_is_written_or_refused(compared: Path, tmp_path: Path) -> None:
    folder = tmp_path / "report of a run"
    folder.mkdir()
    json_of_run(compared, folder)
    found = run(tmp_path, folder.name, SEED, 0, 20)
    assert not [(one.number, one.file, one.what) for one in found.findings]
    assert found.refused
    assert found.accepted


def test_the_same_numbers_give_the_same_files(tmp_path: Path) -> None:
    make_material(tmp_path, ["PixelAV and track list"])
    files = [damaged_file(tmp_path, "PixelAV and track list", 3, i) for i in range(20)]
    again = [damaged_file(tmp_path, "PixelAV and track list", 3, i) for i in range(20)]
    assert files == again
    assert len({data for _, data in files}) > 15
    assert {name for name, _ in files} == {"clusters.out", "tracks.txt"}


def raising(error: BaseException) -> Reader:
    def read(_: Path) -> None:
        raise error

    return Reader(lambda _: None, read)


def test_what_counts_as_a_finding(tmp_path: Path) -> None:
    assert outcome(Reader(lambda _: None, lambda _: None), tmp_path) == "accepted"
    assert outcome(raising(DataError(f"{tmp_path}/x: damaged")), tmp_path) == "refused"
    assert "names no file" in outcome(raising(DataError("damaged")), tmp_path)
    assert outcome(raising(KeyError("x")), tmp_path).startswith("KeyError at test_fuzz.py:")
    assert outcome(raising(MemoryError()), tmp_path).startswith("MemoryError")
    broken = DataError("")
    broken.args = (f"{tmp_path}/x: two\nlines",)
    assert "not one plain line" in outcome(raising(broken), tmp_path)
    broken.args = (f"{tmp_path}/x: {'9' * 5000}",)
    assert "letters" in outcome(raising(broken), tmp_path)


CHILD = """
import sys, time
from pathlib import Path
from types import MappingProxyType
from tests.fuzzing import campaign
from tests.fuzzing.readers import Reader
calls = []
def read(folder):
    calls.append((folder / "x").read_bytes())
    if len(calls) == 3:
        {action}
campaign.READERS = MappingProxyType({{"r": Reader(lambda _: None, read)}})
campaign.SECONDS = 1
campaign._main(*sys.argv[1:])
"""


def test_hangs_crashes_and_greed_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "x").write_bytes(b"whole" * 9)
    monkeypatch.setattr(campaign, "READERS", {"r": Reader(lambda _: None, lambda _: None)})
    for action, says in (
        ("time.sleep(60)", "no end in"),
        ("__import__('os').abort()", "signal 6"),
        ("bytearray(1 << 33)", "MemoryError"),
    ):
        monkeypatch.setattr(campaign, "CHILD", ("-c", CHILD.format(action=action)))
        found = run(tmp_path, "r", 0, 0, 4)
        assert says in found.findings[0].what
        assert found.files == 4
    assert (tmp_path / "r" / "x").read_bytes() == b"whole" * 9
