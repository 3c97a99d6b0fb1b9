from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pixelsieve.core.errors import DataError
from pixelsieve.data.clusters import Clusters, concatenate
from pixelsieve.features import FAMILIES
from pixelsieve.formats import parquet, root, tfrecord
from pixelsieve.formats.convert import convert
from pixelsieve.formats.tfrecord import (
    FormatError,
    decode_example,
    decode_tensor,
    encode_example,
    encode_tensor,
    masked_crc32c,
)
from tests.conftest import make_clusters
from tests.format_files import assert_same, full_clusters

Tensors = dict[str, NDArray[np.float32]]


def frame(data: bytes) -> bytes:
    head = struct.pack("<Q", len(data))
    checks = [struct.pack("<I", masked_crc32c(part)) for part in (head, data)]
    return head + checks[0] + data + checks[1]


def tensors(n: int = 6) -> Tensors:
    """A record as upstream writes it: scaled, float32, a column a feature."""
    clusters = make_clusters(n)
    rng = np.random.default_rng(1)
    column = {"y": clusters.signal, "y_local": clusters.y_local_mm / 8.5}
    column |= {"z_global": clusters.z_global_mm / 65, "total_charge": rng.integers(1, 9, n) / 15e4}
    column |= {f"adjusted_hit_time{s}": rng.normal(size=n) for s in ("", "_30ps_gaussian")}
    found = {name: np.asarray(v, np.float32)[:, None] for name, v in column.items()}
    logs = np.log2(1 + clusters.pixels_e.astype(np.float64))
    found |= {"cluster": logs.astype(np.float32), "x_profile": np.ones((n, 21), np.float32)}
    return found


def saved(path: Path, *records: Tensors) -> Path:
    parts = [encode_example({k: encode_tensor(v) for k, v in r.items()}) for r in records]
    path.write_bytes(b"".join(map(frame, parts)))
    return path


def read(path: Path, rows: int = 4) -> Clusters:
    return concatenate(list(tfrecord.iterate(path, rows=rows)))


def crc32c(data: bytes) -> int:
    """The plain check sum, from the masked one."""
    rotated = (masked_crc32c(data) - 0xA282EAD8) & 0xFFFFFFFF
    return ((rotated << 15) | (rotated >> 17)) & 0xFFFFFFFF


def test_the_check_sum_is_that_of_the_standard() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720, B.4
    assert crc32c(bytes([255] * 32)) == 0x62A8AB43
    assert crc32c(b"") == 0


def test_long_data_give_the_sum_of_a_plain_loop() -> None:
    data, state = np.random.default_rng(0).bytes(150_001), 0xFFFFFFFF
    for byte in data:
        state ^= byte
        for _ in range(8):
            state = (state >> 1) ^ (0x82F63B78 if state & 1 else 0)
    assert crc32c(data) == state ^ 0xFFFFFFFF


def test_a_record_of_upstream(tmp_path: Path) -> None:
    record = tensors()
    clusters = read(saved(tmp_path / "batch_0.tfrecord", record, tensors(3)))
    expected = make_clusters(6)
    assert len(clusters) == 9
    np.testing.assert_array_equal(clusters.pixels_e[:6], expected.pixels_e)  # whole electrons
    np.testing.assert_array_equal(clusters.signal[:6], expected.signal)
    np.testing.assert_allclose(clusters.z_global_mm[:6], expected.z_global_mm, atol=5.1e-5)
    np.testing.assert_allclose(clusters.y_local_mm[:6], expected.y_local_mm, atol=5.1e-5)
    charge = (record["total_charge"][:, 0] * 15e4).round()
    np.testing.assert_array_equal(clusters.truth["total_charge_e"][:6], charge)
    time = clusters.hit_time_30ps_ns
    assert time is not None
    np.testing.assert_array_equal(time[:6], record["adjusted_hit_time_30ps_gaussian"][:, 0])
    assert clusters.hit_time_60ps_ns is None


def test_positions_lose_the_residue_of_float32(tmp_path: Path) -> None:
    record = tensors(2000)
    grid = (np.arange(2000) - 1000) * 0.025
    record["z_global"] = (grid / 65).astype(np.float32)[:, None]
    z = read(saved(tmp_path / "a.tfrecord", record), 5000).z_global_mm
    np.testing.assert_array_equal(z, grid.astype(np.float32))


@pytest.mark.parametrize("normalized", [False, True])
def test_round_trip_of_both_families(tmp_path: Path, *, normalized: bool) -> None:
    clusters = full_clusters(7).replace(group_id=None, event_id=None)
    assert clusters.slices_e is not None
    if normalized:  # clips charges below 0
        clusters = clusters.replace(slices_e=np.maximum(clusters.slices_e, 0))
    kept = {k: v for k, v in clusters.truth.items() if k in {"total_charge_e", "hit_time_ns"}}
    clusters = clusters.replace(truth=kept | {"truth_pt_gev": clusters.truth["truth_pt_gev"]})
    path = tmp_path / "a.tfrecord"
    parts = [clusters.select(slice(0, 3)), clusters.select(slice(3, None))]
    tfrecord.write(parts, path, normalized=normalized)
    assert_same(read(path), clusters, rtol=1e-6, atol=5.1e-5)
    (first, _) = tfrecord.iterate(path, slices=False)
    assert first.slices_e is None
    np.testing.assert_array_equal(first.pixels_e, clusters.pixels_e[:3])


def test_the_family_is_told_by_the_values(tmp_path: Path) -> None:
    path, record = tmp_path / "a.tfrecord", tensors()
    sums = record["cluster"].sum(axis=1)
    found = {}
    for name, profile in (
        ("none", None),
        ("one log", sums),
        ("two logs", np.log2(1 + sums)),
        ("another", 2 * sums),
        ("of another shape", sums[:, :-1]),
    ):
        more = {} if profile is None else {"x_profile": profile.astype(np.float32)}
        found[name] = tfrecord.family(saved(path, {**record, **more}))
    assert found == {
        "none": None,
        "one log": "field-one-log",
        "two logs": "field",
        "another": None,
        "of another shape": None,
    }
    tfrecord.write([make_clusters(6)], path, normalized=True)
    assert tfrecord.family(path) == "field-normalized"
    told = convert([path], tmp_path / "c.parquet").notes
    assert [note.partition(":")[0] for note in told] == ["records scaled as 'field-normalized'"]
    assert set(found.values()) - {None} | {"field-normalized"} == set(FAMILIES)


def test_slices_may_stand_first_or_last(tmp_path: Path) -> None:
    logs = np.log2(1 + full_clusters(4).replace().pixels_e.astype(np.float64))
    last = np.stack([logs * 0.8, logs], axis=1).astype(np.float32)
    first, second = (read(saved(tmp_path / "a.tfrecord", tensors(4) | {"cluster": c}))
                     for c in (last, np.moveaxis(last, 1, -1)))  # fmt: skip
    for clusters in (first, second):
        np.testing.assert_array_equal(clusters.pixels_e, full_clusters(4).pixels_e)
        assert clusters.slices_e is not None
        np.testing.assert_array_equal(clusters.slices_e[:, 1], clusters.pixels_e)
    assert_same(first, second)
    for cluster in (last[:, 1:], last[:, 1, :, :, None]):
        clusters = read(saved(tmp_path / "a.tfrecord", tensors(4) | {"cluster": cluster}))
        np.testing.assert_array_equal(clusters.pixels_e, full_clusters(4).pixels_e)
        assert clusters.slices_e is None


def test_gzip_is_read_and_its_damage_is_one_line(tmp_path: Path) -> None:
    plain = saved(tmp_path / "a.tfrecord", tensors(), tensors(4))
    packed = tmp_path / "b.tfrecord"
    whole = gzip.compress(plain.read_bytes())
    packed.write_bytes(whole)
    assert_same(read(packed), read(plain))
    for damaged in (whole[:-200], whole[:100], b"\x1f\x8b" + bytes(50), flipped(whole, 300)):
        packed.write_bytes(damaged)
        with pytest.raises(DataError, match=r"b\.tfrecord") as caught:
            read(packed)
        assert "\n" not in str(caught.value)
    packed.write_bytes(gzip.compress(huge(plain.read_bytes())))
    with pytest.raises(DataError, match="in a compressed file; expected at most"):
        read(packed)


def test_a_pointer_of_git_lfs_is_named(tmp_path: Path) -> None:
    text = "version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 132345\n"
    for name, module in (("a.tfrecord", tfrecord), ("a.parquet", parquet), ("a.root", root)):
        (tmp_path / name).write_text(text)
        with pytest.raises(DataError, match=r"a Git LFS pointer.* by `git lfs pull`"):
            list(module.iterate(tmp_path / name))


def change(name: str, with_: Callable[[NDArray[np.float32]], object]) -> Tensors:
    record = tensors()
    return record | {name: np.asarray(with_(record[name]), np.float32)}


def put(position: tuple[int, ...], value: float) -> Callable[[NDArray[np.float32]], object]:
    def changed(values: NDArray[np.float32]) -> NDArray[np.float32]:
        values = values.copy()
        values[position] = value
        return values

    return changed


BAD = {
    "missing": ({"y": np.ones(3, np.float32)}, "record 0: feature 'cluster' is missing"),
    "no clusters": (
        {n: t[:0] for n, t in tensors().items()},
        "record 0: holds no clusters; expected at least one",
    ),
    "slices as rows": (
        change("cluster", lambda c: np.repeat(c, 20, axis=0)),
        r"'y' has shape \(6, 1\); expected \(120, 1\), a row for each row of 'cluster'",
    ),
    "labels of 19": (change("y", lambda y: np.repeat(y, 19, axis=1)), r"'y' has shape \(6, 19\)"),
    "other label": (change("y", put((4, 0), 0.5)), "'signal', row 4: -1 is neither 0"),
    "NaN label": (change("y", put((4, 0), np.nan)), "'signal', row 4: -1 is neither 0"),
    "NaN pixel": (change("cluster", put((4, 1, 1), np.nan)), "'cluster', row 4 is not a finite"),
    "infinite z": (change("z_global", put((5, 0), np.inf)), "'z_global_mm', row 5: inf is not"),
    "negative charge": (change("cluster", put((3, 0, 0), -4)), r"row 3, .*-15 is a charge below"),
    "window": (
        change("cluster", lambda c: c[:, :12]),
        r"'cluster' has shape \(6, 12, 21\); expected windows of 13 x 21 or 16 x 16",
    ),
    "mixed slices": (change("cluster", lambda c: c.reshape(6, -1)), r"has shape \(6, 273\)"),
    "electrons": (change("cluster", lambda c: 2**c), "expected log2"),
    "standardized": (change("cluster", lambda c: c / 4), "expected log2"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_records_are_one_line(tmp_path: Path, kind: str) -> None:
    record, expected = BAD[kind]
    path = saved(tmp_path / "bad.tfrecord", record)
    with pytest.raises(DataError, match=expected) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def huge(data: bytes) -> bytes:
    head = struct.pack("<Q", 2**60)
    return data + head + struct.pack("<I", masked_crc32c(head)) + b"abc"


DAMAGE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda _: b"", "holds no records; expected at least one"),
    "other file": (lambda _: b"PAR1" + bytes(100), "record 0: the check sum of its length is wr"),
    "length": (lambda d: flipped(d, 3), "record 0: the check sum of its length is wrong"),
    "data": (lambda d: flipped(d, len(d) // 2), "record 0: the check sum of its data is wrong"),
    "last byte": (lambda d: flipped(d, len(d) - 1), "record 0: the check sum of its data is wrong"),
    "cut in data": (lambda d: d[:-100], r"record 0: \d+ bytes, but the file ends before"),
    "cut in head": (lambda d: d + d[:5], "record 1: the file ends in it"),
    "2**60 bytes": (huge, "record 1: 1152921504606846976 bytes, but the file ends before"),
    "no Example": (lambda _: frame(b"\xff" * 20), "record 0 is no Example of float32 tensors"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_one_line(tmp_path: Path, kind: str) -> None:
    damage, expected = DAMAGE[kind]
    path = saved(tmp_path / "bad.tfrecord", tensors())
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=expected) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="cannot be read"):
        read(tmp_path / "nothing.tfrecord")


def test_tensors_of_both_encodings() -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    shape = b"\x12\x08\x12\x02\x08\x02\x12\x02\x08\x03"
    packed = b"\x08\x01" + shape + b"\x2a\x18" + values.tobytes()
    single = b"\x08\x01" + shape + b"".join(b"\x2d" + v.tobytes() for v in values.reshape(-1))
    for data in (encode_tensor(values), packed, single):
        np.testing.assert_array_equal(decode_tensor(memoryview(data)), values)
    example = encode_example({"a": b"1", "b" * 300: b"2" * 300})
    assert {k: bytes(v) for k, v in decode_example(memoryview(example)).items()} == {
        "a": b"1",
        "b" * 300: b"2" * 300,
    }


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "a tensor of type 0; expected 1"),
        (b"\x08\x02", "a tensor of type 2; expected 1"),
        (b"\x08\x01", "a tensor with 0 shapes"),
        (b"\x08\x01\x12\x04\x12\x02\x08\x7f", r"shape \(127,\) with 0 values; expected 127"),
        (b"\x08\x01\x12\x0c\x12\x0a\x08" + b"\xff" * 8 + b"\x7f", "a dimension of 9223372036"),
        (b"\x08\x01\x12" + b"\x24" + b"\x12\x02\x08\x01" * 9, "a tensor of 9 dimensions"),
        (b"\x08\x01\x22\x03abc\x12\x00", "3 bytes of float32"),
        (b"\x08" + b"\xff" * 11, "a number that does not end"),
        (b"\x0b", "a field of wire type 3"),
        (b"\x12\x7f", "a field of 127 bytes where 0 are left"),
    ],
)
def test_bad_tensors(data: bytes, expected: str) -> None:
    with pytest.raises(FormatError, match=expected):
        decode_tensor(memoryview(data))


def test_features_of_numbers_are_refused() -> None:
    floats = b"\x12\x06\x0a\x04\x00\x00\x80\x3f"  # a Feature with a FloatList
    entry = b"\x0a\x01a\x12" + bytes([len(floats)]) + floats
    features = b"\x0a" + bytes([len(entry)]) + entry
    with pytest.raises(FormatError, match="feature 'a' holds 0 byte strings; expected one"):
        decode_example(memoryview(b"\x0a" + bytes([len(features)]) + features))


small = encode_example(
    {k: encode_tensor(v[:1] if k != "cluster" else v[:1, None]) for k, v in tensors(2).items()}
)


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.tuples(st.integers(0, len(small)), st.binary(max_size=12), st.integers(0, 12)).map(
            lambda m: small[: m[0]] + m[1] + small[m[0] + m[2] :]
        ),
    ),
    st.booleans(),
)
def test_any_bytes_give_clusters_or_one_line(tmp_path: Path, data: bytes, framed: bool) -> None:
    path = tmp_path / "any.tfrecord"
    path.write_bytes(frame(data) if framed else data)
    try:
        read(path)
    except DataError as error:
        assert "\n" not in str(error)  # noqa: PT017 (a valid mutation raises nothing)


def test_a_shape_asks_for_no_memory_that_its_bytes_do_not_fill() -> None:
    shape = b"\x12\x08" + b"\x12\x06\x08" + b"\xff\xff\xff\xff\x0f"
    with pytest.raises(FormatError, match="with 0 values; expected 4294967295"):
        decode_tensor(memoryview(b"\x08\x01" + shape))
    one = b"\x2a\x04\x00\x00\x80\x3f"  # TensorFlow would fill up with the last value
    with pytest.raises(FormatError, match="with 1 values; expected 4294967295"):
        decode_tensor(memoryview(b"\x08\x01" + shape + one))
