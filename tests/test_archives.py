from __future__ import annotations

import io
import pickle
import struct
import tracemalloc
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from pixelsieve.core.archives import read_arrays, read_members
from pixelsieve.core.errors import RunError

MIB = 1 << 20


def zipped(*members: tuple[str, bytes], kind: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", kind) as archive:
        warnings.simplefilter("ignore")  # of names that are there twice
        for name, data in members:
            archive.writestr(name, data)
    return buffer.getvalue()


def refusal(source: Path | bytes, *known: str, most: int = MIB) -> str:
    with pytest.raises(RunError) as error:
        read_members(source, "m.keras", known, most)
    return str(error.value)


def test_members_come_back(tmp_path: Path) -> None:
    data = zipped(("a", b"1"), ("folder/", b""), ("folder/b", b"22"))
    (tmp_path / "x.zip").write_bytes(data)
    expected = {"a": b"1", "folder/b": b"22"}
    assert read_members(data, "m", ()) == read_members(tmp_path / "x.zip", "m", ()) == expected


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"PK", "m.keras: not a whole archive"),
        (zipped(("a", b"1"))[:-9], "not a whole archive"),
        (
            zipped(("b", b"1"), ("a", zipped(("a", b"1"))), kind=zipfile.ZIP_STORED)[:-50],
            "not a whole",
        ),
        (zipped(("a", b"1"), ("a", b"2")), "holds 'a' twice"),
        (zipped(("../../evil", b"1")), r"holds '../../evil'; expected a alone"),
        (zipped(("/etc/evil", b"1")), "holds '/etc/evil'"),
        (zipped(("a", b"1"), kind=zipfile.ZIP_LZMA), "'a' is compressed by a method"),
        (zipped(("a", b"1"), kind=zipfile.ZIP_BZIP2), "'a' is compressed by a method"),
        (zipped(("a", bytes(2 * MIB))), "unpacks to more than 1048576 bytes"),
        (zipped(*[(f"{i}", bytes(MIB // 4)) for i in range(5)]), "unpacks to more than"),
    ],
)
def test_what_is_no_plain_archive_is_refused(data: bytes, message: str) -> None:
    known = () if "more than" in message else ("a",)
    assert message in refusal(data, *known)


def bomb(size: int) -> bytes:
    """An archive with a member that says it has one byte and unpacks to `size`."""
    data = bytearray(zipped(("a", b"x")))
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = b"".join(packer.compress(bytes(MIB)) for _ in range(size // MIB)) + packer.flush()
    start = 30 + 1  # after the local header and its name
    old = struct.unpack_from("<I", data, 18)[0]
    data[start : start + old] = packed
    struct.pack_into("<I", data, 18, len(packed))
    central = data.index(b"PK\1\2")
    struct.pack_into("<I", data, central + 20, len(packed))
    struct.pack_into("<I", data, data.index(b"PK\5\6") + 16, central)
    return bytes(data)


def test_a_size_that_lies_costs_no_memory() -> None:
    data = bomb(64 * MIB)
    assert len(data) < MIB
    tracemalloc.start()
    try:
        assert "not a whole archive" in refusal(data)
        assert tracemalloc.get_traced_memory()[1] < 8 * MIB
    finally:
        tracemalloc.stop()


def test_a_large_member_is_not_read_to_its_end() -> None:
    data = zipped(("a", bytes(64 * MIB)))
    tracemalloc.start()
    try:
        assert "unpacks to more than 1048576 bytes" in refusal(data)
        assert tracemalloc.get_traced_memory()[1] < 8 * MIB
    finally:
        tracemalloc.stop()


@given(
    st_numpy.arrays(
        st.sampled_from([np.dtype(kind) for kind in ("f4", "f8", "i8", "u1", "?", ">f4", "U3")]),
        st_numpy.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    ),
    st.booleans(),
)
def test_arrays_are_those_of_numpy(array: np.ndarray[Any, Any], fortran: bool) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, a=np.asfortranarray(array) if fortran and array.ndim else array)
    found = read_arrays(buffer.getvalue(), "a.npz")
    assert found["a"].dtype == array.dtype
    np.testing.assert_array_equal(found["a"], array)


class Evil:
    """Writes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return (Path.touch, (self.marker,))


def npy(header: str, data: bytes = b"") -> bytes:
    text = header.encode("latin-1")
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text + data


def head(descr: str = "'<f4'", shape: str = "(2,)", order: str = "False") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}}}\n"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"cos\nsystem\n(S'true'\ntR.",
        npy(head(), bytes(7)),
        npy(head(), bytes(9)),
        npy(head(shape=f"({2**40},)")),
        npy(head(shape=f"({2**62}, 4)")),
        npy(head(shape="(-1,)")),
        npy(head(shape="(1e30,)")),
        npy(head(shape="None")),
        npy(head(descr="'|O'"), bytes(16)),
        npy(head(descr="[('a', '<f4')]"), bytes(8)),
        npy(head(descr="'<U0'", shape=f"({2**40},)")),
        npy(head(descr="'no'"), bytes(8)),
        npy("{"),
        npy("[" * 5000),
        npy("__import__('os').system('true')"),
    ],
)
def test_what_is_no_plain_array_is_refused(data: bytes) -> None:
    with pytest.raises(RunError, match=r"^w.npz: 'a.npy': not a plain array") as error:
        read_arrays(zipped(("a.npy", data)), "w.npz")
    assert str(error.value).isprintable()


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    marker = tmp_path / "executed"
    buffer = io.BytesIO()
    np.savez(buffer, a=np.array([Evil(marker)], dtype=object))
    with pytest.raises(RunError, match="not a plain array"):
        read_arrays(buffer.getvalue(), "w.npz")
    with pytest.raises(RunError, match="not a plain array"):
        read_arrays(zipped(("a.npy", pickle.dumps(Evil(marker)))), "w.npz")
    assert not marker.exists()
    np.load(io.BytesIO(buffer.getvalue()), allow_pickle=True)["a"]
    assert marker.exists()  # the file is as harmful as it should be
