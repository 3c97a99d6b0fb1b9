"""Track lists, which PixelAV reads, and the clusters that were made from them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelsieve.core.errors import DataError
from pixelsieve.core.files import replacing

_LADDERS = 16
_WHOLE = ("flipped", "pdg", "ladder")


@dataclass(frozen=True, slots=True)
class TrackList:
    """Tracks at the sensor, every array (n,), in the order of the columns.

    `cot_alpha` is the slope along x (the beam), `cot_beta` along y; `flipped` is 1 where the
    front end faces out. `ladder` (1 to 16) is the tenth column, which older lists lack. Raise
    `DataError` for arrays of unequal length, numbers that are not finite and unknown ladders.
    """

    cot_alpha: NDArray[np.float64]
    cot_beta: NDArray[np.float64]
    momentum_gev: NDArray[np.float64]
    flipped: NDArray[np.int8]
    y_local_mm: NDArray[np.float64]
    z_global_mm: NDArray[np.float64]
    pt_gev: NDArray[np.float64]
    hit_time_ns: NDArray[np.float64]
    pdg: NDArray[np.int32]
    ladder: NDArray[np.int8] | None = None
    origin: str = "tracks"

    def __post_init__(self) -> None:
        n = len(self.cot_alpha)
        for name, column in self.columns().items():
            if len(column) != n:
                msg = f"{self.origin}: column '{name}' has {len(column)} rows; expected {n}"
                raise DataError(msg)
            if not np.isfinite(column).all():
                row = int(np.argmin(np.isfinite(column)))
                msg = f"{self.origin}: column '{name}', track {row} is not a finite number"
                raise DataError(msg)
        if self.ladder is not None:
            wrong = (self.ladder < 1) | (self.ladder > _LADDERS)
            if wrong.any():
                row = int(wrong.argmax())
                msg = f"{self.origin}: column 'ladder', track {row} is {self.ladder[row]}"
                msg += f"; expected 1 to {_LADDERS}"
                raise DataError(msg)

    def __len__(self) -> int:
        return len(self.cot_alpha)

    def columns(self) -> dict[str, NDArray[Any]]:
        """The arrays by name, in the order of the file's columns, without an absent ladder."""
        named = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: value for name, value in named.items() if isinstance(value, np.ndarray)}


_NAMES = tuple(f.name for f in fields(TrackList) if f.name != "origin")
_COUNTS = (len(_NAMES) - 1, len(_NAMES))


def read(paths: Path | Sequence[Path]) -> TrackList:
    """Read one list, or several as one.

    Raise `DataError` naming file and line if the number of columns is neither 9 nor 10 or
    changes (also from file to file), and for words that are no numbers, bad whole numbers,
    non-finite values and empty lists.
    """
    several = [paths] if isinstance(paths, Path) else list(paths)
    rows: list[list[float]] = []
    width, width_of = 0, ""
    for path in several:
        before = len(rows)
        for number, line in enumerate(_lines(path), start=1):
            words = line.split()
            if not words:
                continue
            where = f"{path}: line {number}"
            if len(words) not in _COUNTS:
                msg = f"{where} has {len(words)} columns; expected {_COUNTS[0]} or {_COUNTS[1]}"
                raise DataError(msg)
            if width and len(words) != width:
                msg = f"{where} has {len(words)} columns; expected {width}, as {width_of}"
                msg += "; lists of one version belong together"
                raise DataError(msg)
            if not width:
                width, width_of = len(words), where
            rows.append(_numbers(words, where))
        if len(rows) == before:
            msg = f"{path}: holds no tracks; expected at least one"
            raise DataError(msg)
    table = np.array(rows, dtype=np.float64).T
    kinds = {"flipped": np.int8, "pdg": np.int32, "ladder": np.int8}
    columns: dict[str, Any] = {
        name: column.astype(kinds.get(name, np.float64))
        for name, column in zip(_NAMES, table, strict=False)
    }
    return TrackList(**columns, origin=str(several[0]))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").splitlines()
    except OSError as error:
        msg = f"{path}: cannot be read ({error.strerror or error})"
        raise DataError(msg) from error
    except UnicodeDecodeError as error:
        msg = f"{path}: not a text file; expected a track list"
        raise DataError(msg) from error


_LIMITS = {"flipped": (0, 1), "pdg": (-(2**31), 2**31 - 1), "ladder": (1, _LADDERS)}


def _numbers(words: list[str], where: str) -> list[float]:
    values = []
    for name, word in zip(_NAMES, words, strict=False):
        try:
            value = float(word)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            msg = f"{where}: column '{name}' is {word!r}; expected a finite number"
            raise DataError(msg)
        if name in _WHOLE:
            low, high = _LIMITS[name]
            if not (low <= value <= high and value == int(value)):
                msg = f"{where}: column '{name}' is {word}; expected a whole number"
                msg += f", {low} to {high}"
                raise DataError(msg)
        values.append(value)
    return values


def write(tracks: TrackList, path: Path) -> None:
    """Write a list with 5 decimals; it appears whole or not at all."""
    columns = tracks.columns()
    formats = ["%d" if name in _WHOLE else "%.5f" for name in columns]
    with replacing(path) as temporary:
        np.savetxt(temporary, np.column_stack(list(columns.values())), fmt=formats)


_SLOPE_DIGITS = 1e-5


class TrackJoin:
    """Walks a track list beside the clusters that PixelAV made of it.

    PixelAV leaves out tracks (slopes above 10, too much charge), so counting lines would shift
    all that follow; tracks whose slopes are not the cluster's are passed over instead.
    """

    def __init__(self, tracks: TrackList) -> None:
        self._tracks = tracks
        self._next = 0

    def labels(
        self, labels: dict[str, NDArray[Any]], path: Path, first_row: int
    ) -> tuple[dict[str, NDArray[Any]], NDArray[Any] | None]:
        """Label columns of the tracks of these clusters, and their ladders."""
        tracks = self._tracks
        found = []
        for i, (n_x, n_y, n_z) in enumerate(
            zip(labels["n_x"], labels["n_y"], labels["n_z"], strict=True)
        ):
            at = self._next
            while at < len(tracks) and not (
                _same(tracks.cot_alpha[at], n_x, n_z) and _same(tracks.cot_beta[at], n_y, n_z)
            ):
                at += 1
            if at == len(tracks):
                msg = f"{path}: cluster {first_row + i} is of no track of {tracks.origin} after"
                msg += f" track {self._next - 1}; the files do not belong together"
                raise DataError(msg)
            found.append(at)
            self._next = at + 1
        rows = np.array(found)
        named: dict[str, NDArray[Any]] = {
            "y-local": tracks.y_local_mm,
            "z-global": tracks.z_global_mm,
            "pt": tracks.pt_gev,
            "hit_time": tracks.hit_time_ns,
            "PID": tracks.pdg,
        }
        ladders = None if tracks.ladder is None else tracks.ladder[rows]
        return {name: values[rows] for name, values in named.items()}, ladders


def _same(slope: float, part: float, n_z: float) -> bool:
    """Whether part / n_z is the slope, to the digits that the two files have."""
    return bool(abs(part - slope * n_z) <= _SLOPE_DIGITS * abs(n_z) + 1e-6 * (1 + abs(slope)))
