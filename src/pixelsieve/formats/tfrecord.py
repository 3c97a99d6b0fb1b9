"""TFRecord batches as the field's data generators write them, read without TensorFlow.

One record is one batch: an Example of float32 tensors `y`, `cluster`, `y_local`, `z_global`, ...
(`OptimizedDataGenerator4*.py` in github.com/elizahoward/smart-pixels-ml and
elizahoward/Muon_Collider_Smart_Pixels). Charges are stored as L = sign(q) log2(1 + |q|), in the
"normalized" family as min(max(L / 18.025, 0), 1); positions and charge are stored scaled.

Of protocol buffers there is just enough here for `tf.train.Example` with serialized tensors;
numbers of fields as in tensorflow/core/example/{example,feature}.proto and
tensorflow/core/framework/{tensor,tensor_shape}.proto.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from pixelsieve.core.archives import LARGEST_BYTES
from pixelsieve.core.errors import DataError
from pixelsieve.core.files import is_pointer, not_fetched, replacing
from pixelsieve.data.clusters import Clusters, Columns
from pixelsieve.data.detector import MUON_COLLIDER_VXD, Detector

NORMALIZED_DIVISOR = 18.025
"""Divisor of the log-charges in the normalized family."""

_FEW = 64
"""Clusters of a record that tell its family."""

_GZIP = b"\x1f\x8b"
_LOWEST_LOG, _HIGHEST_LOG = 5.0, 20.0  # the largest log-charge of a batch lies between
_WINDOWS = ((13, 21), (16, 16))
# name in the record: (column, factor to the column's unit, decimals kept)
_SCALARS = {
    "y_local": ("y_local_mm", 8.5, 4),
    "z_global": ("z_global_mm", 65.0, 4),
    "adjusted_hit_time_30ps_gaussian": ("hit_time_30ps_ns", 1.0, None),
    "adjusted_hit_time_60ps_gaussian": ("hit_time_60ps_ns", 1.0, None),
}
_TRUTH = {
    "total_charge": ("total_charge_e", 150_000.0, 0),
    "adjusted_hit_time": ("hit_time_ns", 1.0, None),
    "pt": ("truth_pt_gev", 1.0, None),
}
_NEEDED = ("y", "cluster", "y_local", "z_global")


def iterate(
    path: Path, *, detector: Detector | None = None, slices: bool = True, rows: int = 4_000
) -> Iterator[Clusters]:
    """Read a file `rows` clusters at a time, in physical units; memory holds one record.

    Charges are rounded to the 0.1 e of the simulation and positions to 0.1 um, which undoes the
    float32 of the scaled values. Profiles and sizes are left out: they follow from the charges.
    A normalized file is known by log-charges that never exceed 1 and is undone (charges below 0
    are lost). Time slices are kept, as many as there are; the file does not say how long one is.
    Raise `DataError` naming file, record and
    feature for damage, missing features, other shapes and charges that are not log-scaled.
    """
    first_row = 0
    for number, record in enumerate(iterate_records(path)):
        where = f"{path}: record {number}"
        try:
            tensors = {
                name: decode_tensor(value)
                for name, value in decode_example(record).items()
                if name in _NEEDED or name in _SCALARS or name in _TRUTH
            }
        except ValueError as error:
            msg = f"{where} is no Example of float32 tensors ({error}); write the file again"
            raise DataError(msg) from error
        n, images, factor = _checked(tensors, where, first_row, detector)
        for start in range(0, n, rows):
            part = slice(start, start + rows)
            yield _clusters(
                {name: tensor[part] for name, tensor in tensors.items()},
                images[part] if slices else images[part, -1:],
                factor,
                detector or MUON_COLLIDER_VXD,
                path,
                first_row + start,
            )
        first_row += n
    if not first_row:
        msg = f"{path}: holds no records; expected at least one"
        raise DataError(msg)


def family(path: Path) -> str | None:
    """Return the field's scaling that the file's own values show, as `convert --scaling` names it.

    `field-normalized` by log-charges that never exceed 1; else the profile of x tells: sums of
    log-charges are `field-one-log`, logarithms of those `field`. None if there is no profile, or
    another one. Raise `DataError` as `iterate`.
    """
    where = f"{path}: record 0"
    record = next(iterate_records(path), None)
    if record is None:
        return None
    try:
        tensors = {name: decode_tensor(value) for name, value in decode_example(record).items()}
    except ValueError:
        return None
    _, images, factor = _checked({n: t for n, t in tensors.items() if n in _NEEDED}, where, 0, None)
    if factor != 1:
        return "field-normalized"
    sums = images[:_FEW, -1].astype(np.float64).sum(axis=1)
    profile = tensors.get("x_profile", np.zeros(0, np.float32))[:_FEW]
    again = np.sign(sums) * np.log2(1 + np.abs(sums))
    for name, expected in (("field-one-log", sums), ("field", again)):
        if profile.shape == expected.shape and np.allclose(profile, expected, rtol=1e-3, atol=1e-3):
            return name
    return None


def masked_crc32c(data: bytes) -> int:
    """Return the masked CRC-32C (Castagnoli) that TFRecord stores."""
    plain = int(google_crc32c.value(data))
    return (((plain >> 15) | (plain << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def iterate_records(path: Path) -> Iterator[memoryview]:
    """Yield the records of a file, compressed by gzip or not.

    Lengths are checked against the file before anything is read, compressed ones against 512 MiB.
    """
    try:
        with path.open("rb") as file:
            compressed = file.read(len(_GZIP)) == _GZIP
            file.seek(0)
            if compressed:
                with gzip.GzipFile(fileobj=file) as inside:
                    yield from _records(path, inside, None)
            else:
                yield from _records(path, file, path.stat().st_size)
    except (OSError, EOFError, zlib.error, struct.error) as error:
        msg = f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})"
        raise DataError(msg) from error


def _records(path: Path, file: IO[bytes] | gzip.GzipFile, left: int | None) -> Iterator[memoryview]:
    """`left` is the number of bytes, None if it is not known."""
    number = 0
    while head := file.read(12):
        where = f"{path}: record {number}"
        if len(head) < 12:  # noqa: PLR2004 (length and its check sum)
            msg = f"{where}: the file ends in it; fetch or write it again"
            raise DataError(not_fetched(path) if is_pointer(path) else msg)
        length, check = struct.unpack("<QI", head)
        if masked_crc32c(head[:8]) != check:
            msg = f"{where}: the check sum of its length is wrong; not a whole TFRecord"
            raise DataError(not_fetched(path) if is_pointer(path) else msg)
        if left is None and length > LARGEST_BYTES:
            msg = f"{where}: {length} bytes in a compressed file; expected at most {LARGEST_BYTES}"
            raise DataError(msg)
        if left is not None and length + 16 > left:
            msg = f"{where}: {length} bytes, but the file ends before; fetch it again"
            raise DataError(msg)
        data = file.read(length)
        (check,) = struct.unpack("<I", file.read(4))
        if masked_crc32c(data) != check:
            msg = f"{where}: the check sum of its data is wrong; fetch it again"
            raise DataError(msg)
        yield memoryview(data)
        left = None if left is None else left - length - 16
        number += 1


def _checked(
    tensors: dict[str, NDArray[np.float32]], where: str, first_row: int, detector: Detector | None
) -> tuple[int, NDArray[np.float32], float]:
    """Rows, images (n, slices, rows, columns) and the factor of the log-charges of a record."""
    for name in _NEEDED:
        if name not in tensors:
            msg = f"{where}: feature '{name}' is missing; expected " + ", ".join(_NEEDED)
            raise DataError(msg)
    n = len(tensors["cluster"]) if tensors["cluster"].ndim else 0
    if not n:
        msg = f"{where}: holds no clusters; expected at least one"
        raise DataError(msg)
    for name, tensor in tensors.items():
        if name != "cluster" and tensor.shape not in {(n,), (n, 1)}:
            msg = f"{where}: feature '{name}' has shape {tensor.shape}; expected ({n}, 1)"
            msg += ", a row for each row of 'cluster'"
            raise DataError(msg)
    images = _images(tensors["cluster"], where, detector)
    return n, images, _factor(images, where, first_row)


def _clusters(
    tensors: dict[str, NDArray[np.float32]],
    logs: NDArray[np.float32],
    factor: float,
    detector: Detector,
    path: Path,
    first_row: int,
) -> Clusters:
    charges = _charges(logs, factor)
    columns: Columns = {}
    truth: dict[str, NDArray[Any]] = {}
    for table, into in ((_SCALARS, columns), (_TRUTH, truth)):
        for name, (ours, scale, decimals) in table.items():
            if name in tensors:
                values = tensors[name].reshape(-1).astype(np.float64) * scale
                if decimals is not None:
                    values = np.round(values, decimals)
                into[ours] = values.astype(np.float32)
    labels = tensors["y"].reshape(-1)
    return Clusters(
        pixels_e=np.ascontiguousarray(charges[:, -1]),
        slices_e=charges if charges.shape[1] > 1 else None,
        signal=np.where(np.isin(labels, (0, 1)), labels, -1).astype(np.int8),
        truth=truth,
        detector=detector.with_window(*charges.shape[2:]),
        origin=str(path),
        first_row=first_row,
        **columns,
    )


def _images(
    cluster: NDArray[np.float32], where: str, detector: Detector | None
) -> NDArray[np.float32]:
    """The tensor as (n, slices, rows, columns), whichever way the slices were put."""
    windows = set(_WINDOWS)
    if detector:
        windows.add((detector.sensor.rows, detector.sensor.columns))
    shape = cluster.shape[1:]
    if shape in windows:
        return cluster[:, None]
    three = 3
    if len(shape) == three and shape[1:] in windows and shape[0]:
        return cluster
    if len(shape) == three and shape[:2] in windows and shape[2]:
        return np.moveaxis(cluster, -1, 1)
    known = " or ".join(f"{rows} x {columns}" for rows, columns in sorted(windows))
    msg = f"{where}: feature 'cluster' has shape {cluster.shape}; expected windows of {known}"
    msg += ", with slices before or after"
    raise DataError(msg)


def _factor(logs: NDArray[np.float32], where: str, first_row: int) -> float:
    """1, or the divisor of the normalized family."""
    bad = ~np.isfinite(logs)
    if bad.any():
        row = first_row + int(np.unravel_index(int(bad.argmax()), bad.shape)[0])
        msg = f"{where}: feature 'cluster', row {row} is not a finite number; mend or drop it"
        raise DataError(msg)
    largest = float(np.abs(logs).max())
    factor = NORMALIZED_DIVISOR if 0 < largest <= 1 else 1.0
    if largest and not _LOWEST_LOG <= largest * factor <= _HIGHEST_LOG:
        msg = (
            f"{where}: the largest value of 'cluster' is {largest:g}; expected log2(1 + e), "
            f"{_LOWEST_LOG:g} to {_HIGHEST_LOG:g}, or that divided by {NORMALIZED_DIVISOR:g}"
        )
        raise DataError(msg)
    return factor


def _charges(logs: NDArray[np.float32], factor: float) -> NDArray[np.float32]:
    """Undo the log scaling."""
    charges = np.zeros(logs.shape, dtype=np.float32)
    hit = logs != 0
    values = logs[hit].astype(np.float64) * factor
    charges[hit] = np.round(np.sign(values) * np.expm1(np.abs(values) * np.log(2)), 1)
    return charges


def write(batches: Iterable[Clusters], path: Path, *, normalized: bool = False) -> None:
    """Write batches of clusters, a record each, as the field's loaders expect them.

    The features are `y`, `cluster` (n, rows, columns), or (n, slices, rows, columns) where the
    clusters have slices, the scaled positions, times and charge. No profiles and sizes.
    """
    with replacing(path) as temporary, temporary.open("wb") as file:
        for clusters in batches:
            data = encode_example(_features(clusters, normalized=normalized))
            head = struct.pack("<Q", len(data))
            file.write(head + struct.pack("<I", masked_crc32c(head)))
            file.write(data + struct.pack("<I", masked_crc32c(data)))


def _features(clusters: Clusters, *, normalized: bool) -> dict[str, bytes]:
    charges = clusters.pixels_e if clusters.slices_e is None else clusters.slices_e
    logs = np.sign(charges) * np.log2(1 + np.abs(charges.astype(np.float64)))
    if normalized:
        logs = np.clip(logs / NORMALIZED_DIVISOR, 0, 1)
    columns = clusters.columns()
    features = {"y": clusters.signal[:, None], "cluster": logs}
    for name, (ours, factor, _) in (_SCALARS | _TRUTH).items():
        if ours in columns:
            features[name] = columns[ours][:, None] / factor
    return {name: encode_tensor(values) for name, values in features.items()}


_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_DT_FLOAT = 1
_LONGEST_VARINT = 10
_MOST_DIMENSIONS = 8
_SHAPE, _CONTENT, _FLOATS = 2, 4, 5


class FormatError(ValueError):
    """The bytes are not what they must be; the caller knows the file."""


def decode_example(data: memoryview) -> dict[str, memoryview]:
    """The byte strings of an Example by feature name; features of numbers are refused."""
    found: dict[str, memoryview] = {}
    for features in _parts(data, 1):
        for entry in _parts(features, 1):
            names, values = _parts(entry, 1), _parts(entry, 2)
            if not names or not values:
                msg = "a feature without name or value"
                raise FormatError(msg)
            try:
                name = str(names[-1], "utf-8")
            except UnicodeDecodeError as error:
                msg = "the name of a feature is not text"
                raise FormatError(msg) from error
            strings = [s for part in _parts(values[-1], 1) for s in _parts(part, 1)]
            if len(strings) != 1:
                msg = f"feature '{name}' holds {len(strings)} byte strings; expected one tensor"
                raise FormatError(msg)
            found[name] = strings[0]
    return found


def decode_tensor(data: memoryview) -> NDArray[np.float32]:
    """A float32 tensor, read-only; other types and values fewer than its shape are refused."""
    kinds = [v for n, v in _fields(data) if n == 1]
    if kinds[-1:] != [_DT_FLOAT]:
        msg = f"a tensor of type {kinds[-1] if kinds else 0}; expected {_DT_FLOAT} (float32)"
        raise FormatError(msg)
    shapes = _parts(data, _SHAPE)
    if len(shapes) != 1:
        msg = f"a tensor with {len(shapes)} shapes"
        raise FormatError(msg)
    shape = _shape(shapes[0])
    size = math.prod(shape)
    # One field as a rule: either all bytes, or the values packed.
    values = [_floats(part) for number in (_CONTENT, _FLOATS) for part in _parts(data, number)]
    flat = np.concatenate(values) if len(values) > 1 else (values or [np.zeros(0, np.float32)])[0]
    if len(flat) == size:
        return flat.reshape(shape)
    # TensorFlow may fill up with the last value, but `serialize_tensor` never leaves values out,
    # and a few bytes could then ask for any amount of memory.
    msg = f"a tensor of shape {shape} with {len(flat)} values; expected {size}"
    raise FormatError(msg)


def encode_example(features: Mapping[str, bytes]) -> bytes:
    """An Example of byte strings."""
    entries = b"".join(
        _part(1, _part(1, name.encode()) + _part(2, _part(1, _part(1, value))))
        for name, value in features.items()
    )
    return _part(1, entries)


def encode_tensor(values: NDArray[Any]) -> bytes:
    """A float32 tensor."""
    dimensions = b"".join(_part(2, b"\x08" + _varint(size)) for size in values.shape)
    content = np.ascontiguousarray(values, dtype="<f4").tobytes()
    return b"\x08" + _varint(_DT_FLOAT) + _part(_SHAPE, dimensions) + _part(_CONTENT, content)


def _parts(data: memoryview, wanted: int) -> list[memoryview]:
    return [v for n, v in _fields(data) if n == wanted and isinstance(v, memoryview)]


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    position, end = 0, len(data)
    while position < end:
        key, position = _read_varint(data, position)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, position = _read_varint(data, position)
            yield number, value
            continue
        if kind == _BYTES:
            size, position = _read_varint(data, position)
        elif kind in (_FIXED32, _FIXED64):
            size = 4 if kind == _FIXED32 else 8
        else:
            msg = f"a field of wire type {kind}"
            raise FormatError(msg)
        if size > end - position:
            msg = f"a field of {size} bytes where {end - position} are left"
            raise FormatError(msg)
        yield number, data[position : position + size]
        position += size


def _read_varint(data: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for count in range(_LONGEST_VARINT):
        if position + count >= len(data):
            break
        byte = data[position + count]
        value |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:  # noqa: PLR2004 (the bit that says more follows)
            return value, position + count + 1
    msg = "a number that does not end"
    raise FormatError(msg)


def _shape(data: memoryview) -> tuple[int, ...]:
    sizes = []
    for dimension in _parts(data, 2):
        size = next((v for n, v in _fields(dimension) if n == 1 and isinstance(v, int)), 0)
        if size >= 2**40:
            msg = f"a dimension of {size}"
            raise FormatError(msg)
        sizes.append(size)
    if len(sizes) > _MOST_DIMENSIONS:
        msg = f"a tensor of {len(sizes)} dimensions"
        raise FormatError(msg)
    return tuple(sizes)


def _floats(data: memoryview) -> NDArray[np.float32]:
    if len(data) % 4:
        msg = f"{len(data)} bytes of float32"
        raise FormatError(msg)
    return np.frombuffer(data, dtype="<f4")


def _part(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | _BYTES) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    found = bytearray()
    while value >= 0x80:  # noqa: PLR2004 (7 bits a byte)
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)
