"""PixelAV's text output: clusters as they leave the charge simulation, 20 time slices each.

    free text
    25.000000  25.000000  50.000000  200.000000      pitch x, y, thickness [um], time step [ps]
    <cluster>
    12 numbers of truth                              order as in `labels.LABELS`
    <time slice 200.000000 ps>
    13 lines of 21 charges [e]                       and so on, 20 slices

(ppixelav2_custom.c in github.com/elizahoward/Muon_Collider_Smart_Pixels.) Older versions give
9 numbers of truth: they end with y-local and pt.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelsieve.core.errors import ConfigError, DataError
from pixelsieve.data.clusters import Clusters
from pixelsieve.data.detector import DETECTORS, MUON_COLLIDER_VXD, Barrel, Detector, Sensor
from pixelsieve.formats.labels import LABELS, columns_of_labels
from pixelsieve.formats.tracklist import TrackJoin, TrackList

_MARK = b"<cluster>"
_SLICE = b"<time slice"
_TRUTH = tuple(LABELS)[:12]
_OLD_TRUTH = (*_TRUTH[:8], "pt")
_CHUNK = 1 << 22
_LONGEST = 1 << 25  # bytes of a cluster: far above 64 x 64 pixels in 20 slices of wide numbers
_MOST_PIXELS = 64


@dataclass(frozen=True, slots=True)
class _Header:
    """The two lines before the first cluster: what was simulated, and the sensor's sizes."""

    text: str
    pitch_x_um: float
    pitch_y_um: float
    thickness_um: float
    slice_ps: float


@dataclass(frozen=True, slots=True)
class _Cluster:
    truth: list[float]
    slices: NDArray[np.float32]


def iterate(
    path: Path,
    *,
    detector: Detector | None = None,
    signal: bool | None = None,
    tracks: TrackList | None = None,
    z_global_mm: float | None = None,
    slices: bool = True,
    rows: int = 1_000,
) -> Iterator[Clusters]:
    """Read a file `rows` clusters at a time, in bounded memory.

    The header decides the detector (a preset of those sizes, else a new one); a `detector` that
    the user named must agree with it. `tracks` is the list PixelAV was given: its rows are joined
    in order by the slopes, skipping tracks that PixelAV left out, and bring position, pt, time,
    PDG code and ladder. Raise `DataError` naming file, line and cluster for anything else than
    the format.
    """
    blocks = _chunks(path)
    header = _header(path, next(blocks)[1])
    join = TrackJoin(tracks) if tracks is not None else None
    kept: list[_Cluster] = []
    blank: dict[bytes, int] = {}
    done = 0
    fitting: Detector | None = None
    for line, text in blocks:
        cluster = _parse(path, line, text, len(kept) + done, blank)
        if fitting is None:
            fitting = _detector(path, header, detector, cluster.slices.shape[1:])
            expected = (len(cluster.truth), cluster.slices.shape)
        if (found := (len(cluster.truth), cluster.slices.shape)) != expected:
            msg = f"{path}: line {line}: cluster {len(kept) + done} has {_sizes(*found)}; expected"
            msg += f" {_sizes(*expected)}, as those before"
            raise DataError(msg)
        kept.append(cluster)
        if len(kept) == rows:
            yield _clusters(kept, path, fitting, signal, join, z_global_mm, done, slices=slices)
            done += len(kept)
            kept = []
    if kept and fitting is not None:
        yield _clusters(kept, path, fitting, signal, join, z_global_mm, done, slices=slices)
    if not done and not kept:
        msg = f"{path}: holds no clusters; expected at least one"
        raise DataError(msg)


def _sizes(truth: int, shape: tuple[int, ...]) -> str:
    return f"{truth} truth numbers and {shape[0]} slices of {shape[1]} x {shape[2]}"


def _chunks(path: Path) -> Iterator[tuple[int, bytes]]:
    """The text before the first mark and that after each, with the line where it begins."""
    line = 1
    rest = b""
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                *whole, rest = (rest + chunk).split(_MARK)
                for text in whole:
                    yield line, text
                    line += text.count(b"\n")
                if len(rest) > _LONGEST:
                    msg = f"{path}: line {line}: no <cluster> in {_LONGEST >> 20} MiB; not PixelAV"
                    raise DataError(msg)
    except OSError as error:
        msg = f"{path}: cannot be read ({error.strerror or error})"
        raise DataError(msg) from error
    yield line, rest


def _header(path: Path, text: bytes) -> _Header:
    lines = text.decode("latin-1").splitlines()
    four = 4
    sizes = [_number(word) for word in lines[1].split()[:four]] if len(lines) > 1 else []
    if len(sizes) != four or not all(0 < s < math.inf for s in sizes):
        msg = f"{path}: line 2: expected pitch x, y and thickness [um] and time step [ps]"
        msg += ", as PixelAV writes at the head of its output"
        raise DataError(msg)
    if any(line.strip() for line in lines[2:]):
        msg = f"{path}: line 3: {lines[2][:40]!r}; expected <cluster> after the two header lines"
        raise DataError(msg)
    return _Header(lines[0].strip(), *sizes)


def _number(word: str | bytes) -> float:
    try:
        return float(word)
    except ValueError:
        return math.nan


def _detector(
    path: Path, header: _Header, told: Detector | None, window: tuple[int, ...]
) -> Detector:
    sizes = ("pitch_x_um", "pitch_y_um", "thickness_um")
    try:
        for known in [told] if told else DETECTORS.values():
            if all(math.isclose(getattr(known.sensor, s), getattr(header, s)) for s in sizes):
                sensor = replace(known.sensor, slice_ps=header.slice_ps)
                return replace(known, sensor=sensor).with_window(window[0], window[1])
        if told is None:
            return _new_detector(header, window)
    except ConfigError as error:
        msg = f"{path}: line 2: {error}"
        raise DataError(msg) from error
    found = " x ".join(f"{getattr(header, s):g}" for s in sizes)
    msg = f"{path}: line 2: a sensor of {found} um, which is not '{told.name}'; "
    raise DataError(msg + "leave --detector out")


def _new_detector(header: _Header, window: tuple[int, ...]) -> Detector:
    """A detector of the header's sizes; bias, field and temperature where its text has them."""

    def said(pattern: str, otherwise: float) -> float:
        found = re.search(pattern, header.text)
        return float(found.group(1)) if found else otherwise

    base = MUON_COLLIDER_VXD
    sensor = Sensor(
        rows=window[0],
        columns=window[1],
        pitch_x_um=header.pitch_x_um,
        pitch_y_um=header.pitch_y_um,
        thickness_um=header.thickness_um,
        bias_V=said(r"@-?(\d+(?:\.\d+)?)V", base.sensor.bias_V),
        temperature_K=said(r"(\d+(?:\.\d+)?)K", base.sensor.temperature_K),
        slice_ps=header.slice_ps,
    )
    return Detector("pixelav", sensor, Barrel(field_T=said(r"(\d+(?:\.\d+)?)T", 0.0)))


def _parse(path: Path, line: int, text: bytes, number: int, blank: dict[bytes, int]) -> _Cluster:
    head, *slices = text.split(_SLICE)
    where = f"{path}: line {line}: cluster {number}"
    truth = [_number(word) for word in head.split()]
    if len(truth) not in (len(_TRUTH), len(_OLD_TRUTH)) or not all(map(math.isfinite, truth)):
        msg = f"{where}: its truth is not {len(_TRUTH)} numbers (or {len(_OLD_TRUTH)}, as of old)"
        raise DataError(msg)
    if not slices:
        msg = f"{where} has no time slices; the file ends in it or is damaged"
        raise DataError(msg)
    # The charge stands still once it is collected, so most slices repeat the one before.
    known: dict[bytes, NDArray[np.float32]] = {}
    images = []
    below = line + head.count(b"\n")
    for one in slices:
        _, _, block = one.partition(b"\n")
        if block not in known:
            known[block] = _image(f"{path}: line ", below + 1, block, number, blank)
        images.append(known[block])
        below += one.count(b"\n")
        if images[-1].shape != images[0].shape:
            msg = f"{where}: slice {len(images)} of {len(slices)} is cut; the file is damaged"
            raise DataError(msg)
    return _Cluster(truth, np.stack(images))


def _image(
    where: str, line: int, block: bytes, number: int, blank: dict[bytes, int]
) -> NDArray[np.float32]:
    """The charges of a slice; `blank` remembers lines without charge, and how wide they are."""
    lines = block.splitlines()
    if not lines or not block.endswith(b"\n") or len(lines) > _MOST_PIXELS:
        msg = f"{where}{line + len(lines)}: a slice of cluster {number} ends too early or late"
        msg += "; the file is damaged or was cut"
        raise DataError(msg)
    width = 0
    hit: list[tuple[int, list[float]]] = []
    for i, text in enumerate(lines):
        size = blank.get(text)
        if size is None:
            row = _row(f"{where}{line + i}", text, number)
            size = len(row)
            if any(row):
                hit.append((i, row))
            elif len(blank) < _MOST_PIXELS:
                blank[text] = size
        if size != (width := width or size):
            msg = f"{where}{line + i}: {size} charges in cluster {number}; expected {width}"
            msg += ", as in the rows before"
            raise DataError(msg)
    image = np.zeros((len(lines), width), dtype=np.float32)
    with np.errstate(over="ignore"):  # infinities are refused by `Clusters`
        for i, row in hit:
            image[i] = row
    return image + np.float32(0)  # no -0.0


def _row(where: str, text: bytes, number: int) -> list[float]:
    words = text.split()
    try:
        row = [0.0 if word == b"0.0" else float(word) for word in words]  # most are, and faster
    except ValueError:
        bad = next(w for w in words if math.isnan(_number(w)))[:40].decode("latin-1")
        msg = f"{where}: {bad!r} in cluster {number}; expected charges in electrons"
        raise DataError(msg) from None
    if b"_" in text or not 0 < len(row) <= _MOST_PIXELS:
        msg = f"{where}: {len(row)} charges in cluster {number}; expected 1 to {_MOST_PIXELS} a row"
        raise DataError(msg)
    return row


def _clusters(
    kept: list[_Cluster],
    path: Path,
    detector: Detector,
    signal: bool | None,
    join: TrackJoin | None,
    z_global_mm: float | None,
    first_row: int,
    *,
    slices: bool,
) -> Clusters:
    images = np.stack([c.slices for c in kept])
    truth = np.array([c.truth for c in kept]).T
    names = _TRUTH if len(truth) == len(_TRUTH) else _OLD_TRUTH
    labels: dict[str, NDArray[Any]] = dict(zip(names, truth, strict=True))
    ladders: NDArray[Any] | None = None
    if join is not None:
        more, ladders = join.labels(labels, path, first_row)
        labels |= more
    columns = columns_of_labels(
        labels, path, detector, signal=signal, z_global_mm=z_global_mm, first_row=first_row
    )
    if ladders is not None:
        columns["truth"]["truth_ladder"] = ladders
    return Clusters(
        pixels_e=np.ascontiguousarray(images[:, -1]),
        slices_e=images if slices else None,
        detector=detector,
        origin=str(path),
        first_row=first_row,
        **columns,
    )
