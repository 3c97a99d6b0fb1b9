from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pixelsieve.core.errors import DataError, RunError
from pixelsieve.formats import tracklist
from pixelsieve.formats.tracklist import TrackList

OLD = "-0.95680 0.08760 84.10277 0 -2.62500 28.85000 60.87830 0.13965 -13"
NEW = "0.53663 -0.03129 0.00113 1 1.20000 -16.20000 0.00105 2.11448 11 16"


def listed(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def test_both_versions_come_back_as_they_were(tmp_path: Path) -> None:
    for line in (OLD, NEW):
        path = listed(tmp_path / "in.txt", line, line)
        tracks = tracklist.read(path)
        tracklist.write(tracks, tmp_path / "out.txt")
        assert (tmp_path / "out.txt").read_text() == path.read_text()


def test_columns(tmp_path: Path) -> None:
    tracks = tracklist.read(listed(tmp_path / "t.txt", NEW, "", NEW))
    assert len(tracks) == 2
    expected = (0.53663, -0.03129, 0.00113, 1, 1.2, -16.2, 0.00105, 2.11448, 11, 16)
    assert tuple(column[1] for column in tracks.columns().values()) == expected
    assert tracks.ladder is not None
    assert tracklist.read(listed(tmp_path / "o.txt", OLD)).ladder is None


def test_lists_of_one_version_join(tmp_path: Path) -> None:
    paths = [listed(tmp_path / f"{i}.txt", OLD) for i in range(3)]
    assert len(tracklist.read(paths)) == 3
    paths.append(listed(tmp_path / "new.txt", NEW))
    with pytest.raises(DataError, match=r"new.txt: line 1 has 10 columns; expected 9, as .*0.txt"):
        tracklist.read(paths)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([OLD, NEW], r"line 2 has 10 columns; expected 9, as .*line 1; lists of one version"),
        ([OLD, OLD + " 1 2"], "line 2 has 11 columns; expected 9 or 10"),
        ([OLD, "1 2 3"], "line 2 has 3 columns"),
        ([OLD.replace("60.87830", "pt")], "line 1: column 'pt_gev' is 'pt'; expected a finite"),
        ([OLD.replace("60.87830", "inf")], "line 1: column 'pt_gev' is 'inf'; expected a finite"),
        ([OLD.replace("-13", "-13.5")], "column 'pdg' is -13.5; expected a whole number"),
        ([NEW.replace(" 16", " 17")], "column 'ladder' is 17; expected a whole number, 1 to 16"),
        ([NEW.replace(" 1 ", " 3 ")], "column 'flipped' is 3; expected a whole number, 0 to 1"),
        ([""], "holds no tracks; expected at least one"),
        (["\u00e4"], "not a text file; expected a track list"),
    ],
)
def test_bad_lists_are_one_line(tmp_path: Path, lines: list[str], expected: str) -> None:
    path = listed(tmp_path / "bad.txt", *lines)
    with pytest.raises(DataError, match=expected) as caught:
        tracklist.read(path)
    assert "\n" not in str(caught.value)
    assert "bad.txt" in str(caught.value)


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        tracklist.read(tmp_path / "nothing.txt")
    tracks = tracklist.read(listed(tmp_path / "t.txt", OLD))
    with pytest.raises(RunError, match="cannot be written"):
        tracklist.write(tracks, tmp_path / "nowhere" / "t.txt")


def test_arrays_are_checked() -> None:
    def build(time: list[float], ladder: list[int]) -> TrackList:
        one = np.ones(2)
        return TrackList(
            *(one, one, one, np.zeros(2, np.int8), one, one, one, np.array(time)),
            pdg=np.full(2, 13, np.int32),
            ladder=np.array(ladder, np.int8),
        )

    build([1, 2], [1, 16])
    with pytest.raises(DataError, match="column 'hit_time_ns' has 3 rows; expected 2"):
        build([1, 2, 3], [1, 1])
    with pytest.raises(DataError, match="'hit_time_ns', track 1 is not a finite number"):
        build([1, np.nan], [1, 1])
    with pytest.raises(DataError, match="'ladder', track 0 is 0; expected 1 to 16"):
        build([1, 2], [0, 1])
