"""Damage that leaves a file well formed: the reader's own checks must find it."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import struct
import tomllib
import warnings
import zipfile
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from random import Random
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pixelsieve.core.files import with_hash
from pixelsieve.formats.tfrecord import iterate_records, masked_crc32c
from tests.fuzzing.mutators import damaged_bytes, damaged_text

Damage = Callable[[bytes, Random], bytes]

_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 7, 2**31, 2**63, -(2**63), 10**30, 10**400, 0.5, -0.0, 1e308,
    float("nan"), float("inf"), float("-inf"), "", "x", "none", "../../out", "/etc/hostname",
    "a\nb", "\x1b[31m", "\0", "z_global", [], {}, [[]], [0], ["x"], {"x": 0}, [1, 2, 3], [None],
)  # fmt: skip


def damaged(name: str, data: bytes, random: Random) -> bytes:
    """The file `name` with damage of a kind that its format knows, or of bytes."""
    known = _BY_SUFFIX.get(Path(name).suffix, ())
    chosen = random.choice((damaged_bytes, *known, *known))
    try:
        return chosen(data, random)
    except _NotWhole:  # a member that is no archive or no JSON by itself
        return damaged_bytes(data, random)


class _NotWhole(Exception):  # noqa: N818 (never leaves this module)
    """What was to be changed as a whole is none."""


def _slots(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a tree of dictionaries and lists: container and key."""
    waiting = [tree]
    while waiting:
        one = waiting.pop()
        for key in list(one) if isinstance(one, dict) else range(len(one)):
            yield one, key
            if isinstance(one[key], (dict, list)):
                waiting.append(one[key])


def damaged_tree(tree: Any, random: Random) -> None:
    """Change one to three values, keys or lists in place."""
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        places = list(_slots(tree)) if isinstance(tree, (dict, list)) else []
        if not places:
            return
        into, key = random.choice(places)
        what = random.randrange(8)
        if what == 0:
            del into[key]
        elif what == 1 and isinstance(into, dict):
            into[random.choice((str(key) + "x", "", "a\nb", "kind", "name"))] = into.pop(key)
        elif what == 2 and isinstance(into, list):
            into.append(deepcopy(into[key]))
        elif what == 3:
            other, place = random.choice(places)
            into[key] = json.loads(json.dumps(other[place])) if place in _keys(other) else 0
        elif what == 4 and isinstance(into[key], (int, float)):
            into[key] = into[key] * random.choice((-1, 2, 0.5, 1000, 0)) + random.choice((0, 1))
        else:
            into[key] = deepcopy(random.choice(_VALUES))  # shared ones would grow, and in circles


def _keys(one: Any) -> Any:
    return one if isinstance(one, dict) else range(len(one))


def _json(data: bytes, random: Random) -> bytes:
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _NotWhole from error
    damaged_tree(tree, random)
    signed = isinstance(tree, dict) and tree.pop("contents_sha256", None) is not None
    if isinstance(tree, dict) and "sha256" in tree and "kind" in tree and random.random() < 0.9:
        del tree["sha256"]  # of an integer network: one who means harm would write it anew
        text = json.dumps(tree, sort_keys=True, separators=(",", ":"))
        tree["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    if signed and random.random() < 0.9:
        with contextlib.suppress(ValueError):  # NaN: there is no such hash
            tree = with_hash(tree)
    return json.dumps(tree, indent=1).encode()


def _toml(data: bytes, random: Random) -> bytes:
    try:
        tree = tomllib.loads(data.decode())
    except ValueError as error:
        raise _NotWhole from error
    damaged_tree(tree, random)
    return "\n".join(f"{_toml_key(k)} = {_toml_value(v)}" for k, v in tree.items()).encode()


def _toml_key(key: str) -> str:
    return json.dumps(key)


def _toml_value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_toml_key(k)} = {_toml_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml_value, value)) + "]"
    if isinstance(value, float):
        return repr(value)
    return json.dumps("none" if value is None else value)


def _zip(data: bytes, random: Random) -> bytes:
    """A member damaged, lost, doubled, renamed or added, with right check sums."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [(i.filename, archive.read(i)) for i in archive.infolist()]
    except (zipfile.BadZipFile, OSError, ValueError, RuntimeError) as error:
        raise _NotWhole from error
    at = random.randrange(len(members))
    name, content = members[at]
    what = random.randrange(12)
    if what == 0:
        members.pop(at)
    elif what == 1:
        members.append((name, damaged(name, content, random)))
    elif what == 2:
        members[at] = (random.choice(("../../out", "/tmp/out", "a\\..\\b", name + "x")), content)
    elif what == 3:
        members.append((random.choice(("../../out", "x.pkl", "x/", "é")), b"cos\nsystem\n."))
    else:
        members[at] = (name, damaged(name, content, random))
    buffer = io.BytesIO()
    kind = random.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA))
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", kind) as archive:
        warnings.simplefilter("ignore")  # of names that are there twice
        for one, text in members:
            archive.writestr(one, text)
    return buffer.getvalue()


def _npy(data: bytes, random: Random) -> bytes:
    """An array of another type, shape or header."""
    try:
        array = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise _NotWhole from error
    buffer = io.BytesIO()
    if random.random() < 0.3:
        header = {
            "descr": random.choice(("<f4", "|O", "<U9", "<f8", "|V8", "<c16", [("a", "<f4")])),
            "fortran_order": random.random() < 0.5,
            "shape": random.choice(((2**40,), (2**31, 2**31), (-1,), (), (2**62, 4), (0,))),
        }
        np.lib.format.write_array_header_2_0(buffer, header)
        return bytes(buffer.getvalue() + array.tobytes())
    shape = random.choice(((0,), (1,), array.shape[:-1], (*array.shape, 1), array.shape))
    value = random.choice((np.nan, np.inf, -1e30, 1e-40, 0.0, 0.7))
    kind = random.choice(("<f4", ">f4", "<f8", "<f2", "<i8", "<U9", "?"))
    with np.errstate(all="ignore"):
        np.save(buffer, np.full(shape, value).astype(kind))
    return buffer.getvalue()


def _frames(data: bytes, random: Random) -> bytes:
    """Records of a TFRecord damaged, with right lengths and check sums."""
    path = Path(f"/proc/self/fd/{(file := _memory_file(data)).fileno()}")
    with file:
        records = [bytes(record) for record in iterate_records(path)]
    at = random.randrange(len(records))
    records[at] = damaged_bytes(records[at], random)
    found = b""
    for record in records:
        head = struct.pack("<Q", len(record))
        found += head + struct.pack("<I", masked_crc32c(head))
        found += record + struct.pack("<I", masked_crc32c(record))
    return found


def _memory_file(data: bytes) -> Any:
    import os

    file = os.fdopen(os.memfd_create("records"), "r+b")
    file.write(data)
    file.flush()
    return file


def _table(data: bytes, random: Random) -> bytes:
    """A Parquet file with a column lost, renamed, of another type, or with odd values."""
    table = pq.read_table(io.BytesIO(data))
    at = random.randrange(table.num_columns)
    field, column = table.schema.field(at), table.column(at)
    rows = column.to_pylist()
    what = random.randrange(9)
    if what == 0:
        table = table.remove_column(at)
    elif what == 1:
        other = random.choice(table.column_names)
        names = [*table.column_names[:at], other, *table.column_names[at + 1 :]]
        table = table.rename_columns(names)
    elif what == 2:
        table = table.slice(0, random.choice((0, 1, 3)))
    elif what == 3:
        kind = random.choice((pa.string(), pa.float64(), pa.int8(), pa.bool_(), pa.decimal128(9)))
        values = [str(r)[:3] if kind == pa.string() else None for r in rows]
        table = table.set_column(at, field.name, pa.array(values, kind))
    elif what == 4:
        rows[random.randrange(len(rows))] = None
        table = table.set_column(at, field.name, pa.array(rows))
    elif what == 5:
        kind = pa.list_(pa.float64()) if isinstance(rows[0], list) else pa.float64()
        table = table.set_column(at, field.name, pa.array(_odd(rows, random), kind))
    elif what == 6:
        nested = pa.array([[r] for r in rows])
        table = table.set_column(at, field.name, nested)
    elif what == 7:
        name = random.choice(("x", "truth_x", "split", "hit_z"))
        table = table.append_column(name, pa.nulls(len(rows)))
    else:
        said = dict(table.schema.metadata or {})
        key = random.choice(list(said) or [b"pixelsieve"])
        said[key] = damaged("x.json", said.get(key, b"{}"), random)
        table = table.replace_schema_metadata(said)
    buffer = io.BytesIO()
    pq.write_table(table, buffer, row_group_size=random.choice((1, 4, 1000)),
                   compression=random.choice(("none", "zstd", "snappy")))  # fmt: skip
    return buffer.getvalue()


def _odd(rows: list[Any], random: Random) -> list[Any]:
    value = random.choice((float("nan"), float("inf"), -1e9, 1e300, 0.5, 2.0**63, -5.0))
    at = random.randrange(len(rows))
    if not isinstance(rows[at], list):
        return [float(r) if i != at else value for i, r in enumerate(rows)]
    one = list(map(float, rows[at]))
    one[random.randrange(len(one))] = value
    rows[at] = random.choice((one, one[:-1], [], [*one, 0.0]))
    return rows


def _hdf5(data: bytes, random: Random) -> bytes:
    """A Keras file with other settings, or an array lost, doubled, reshaped or renamed."""
    buffer = io.BytesIO(data)
    with h5py.File(buffer, "r+") as file:
        arrays: list[str] = []
        file.visititems(lambda n, item: arrays.append(n) if hasattr(item, "shape") else None)
        name = random.choice(arrays)
        what = random.randrange(7)
        if what <= 2 and "model_config" in file.attrs:
            text = file.attrs["model_config"]
            text = text.encode() if isinstance(text, str) else bytes(text)
            text = damaged("x.json", text, random)
            file.attrs["model_config"] = text.decode("utf-8", "replace").replace("\0", "")
        elif what == 3:
            del file[name]
        elif what == 4:
            file.copy(name, name + "x")
        elif what == 5:
            values = file[name][()]
            del file[name]
            file[name] = random.choice(
                (
                    np.full(values.shape, np.nan, np.float32),
                    values[..., None],
                    values.reshape(-1)[:1],
                    np.array("x", "S9"),
                )
            )
        else:
            file[random.choice(("x", name + "y"))] = random.choice(
                (h5py.SoftLink("/"), h5py.ExternalLink("/etc/hostname", "/"), 1.0)
            )
    return buffer.getvalue()


_BY_SUFFIX: dict[str, tuple[Damage, ...]] = {
    ".json": (damaged_text, _json, _json, _json),
    ".toml": (damaged_text, _toml, _toml, _toml),
    **dict.fromkeys((".txt", ".out", ".rpt", ".xml"), (damaged_text, damaged_text)),
    **dict.fromkeys((".keras", ".npz"), (_zip, _zip, _zip)),
    ".npy": (_npy,),
    ".tfrecord": (_frames, _frames),
    ".parquet": (_table, _table),
    **dict.fromkeys((".h5", ".hdf5"), (_hdf5, _hdf5)),
}
