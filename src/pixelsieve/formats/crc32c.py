"""CRC-32C (Castagnoli), the check sum of TFRecord files, by NumPy."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

__all__ = ["crc32c", "masked_crc32c"]

_POLYNOMIAL = 0x82F63B78  # reflected
_LANES = 4096
_MASK = 0xA282EAD8  # TFRecord's
_ALL = 0xFFFFFFFF


@functools.cache
def _table() -> NDArray[np.uint32]:
    entries = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        odd = (entries & 1).astype(bool)
        entries = np.where(odd, (entries >> 1) ^ np.uint32(_POLYNOMIAL), entries >> 1)
    return entries


def crc32c(data: bytes | memoryview) -> int:
    """CRC-32C of `data` (RFC 3720, B.4).

    Long data are cut into lanes that advance side by side; appending one lane's zeros to a
    running sum is linear, so the lanes' sums join by table look-ups.
    """
    values = np.frombuffer(data, dtype=np.uint8)
    length = len(values) // _LANES
    state = _ALL
    done = 0
    if length >= 16:  # noqa: PLR2004 (below, lanes cost more than they save)
        done = length * _LANES
        by_step = np.ascontiguousarray(values[:done].reshape(_LANES, length).T)
        table = _table()
        sums = np.zeros(_LANES, dtype=np.uint32)
        for step in by_step:
            sums = table[(sums ^ step) & 0xFF] ^ (sums >> np.uint32(8))
        shift = _appending_zeros(length)
        for lane in sums.tolist():
            state = (
                shift[0][state & 0xFF]
                ^ shift[1][(state >> 8) & 0xFF]
                ^ shift[2][(state >> 16) & 0xFF]
                ^ shift[3][state >> 24]
                ^ lane
            )
    entries = _table().tolist()
    for value in values[done:].tolist():
        state = entries[(state ^ value) & 0xFF] ^ (state >> 8)
    return state ^ _ALL


@functools.lru_cache(maxsize=64)
def _appending_zeros(count: int) -> list[list[int]]:
    """What `count` zero bytes make of a state, by each of its four bytes."""
    columns = np.array([1 << bit for bit in range(32)], dtype=np.uint32)
    result, power = columns, _step(columns)
    while count:
        if count & 1:
            result = _apply(power, result)
        power = _apply(power, power)
        count >>= 1
    return [
        _apply(result, np.arange(256, dtype=np.uint32) << np.uint32(8 * byte)).tolist()
        for byte in range(4)
    ]


def _step(state: NDArray[np.uint32]) -> NDArray[np.uint32]:
    stepped: NDArray[np.uint32] = _table()[state & 0xFF] ^ (state >> np.uint32(8))
    return stepped


def _apply(matrix: NDArray[np.uint32], vectors: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Multiply a 32 x 32 matrix over GF(2), given by columns, with each vector of bits."""
    result = np.zeros_like(vectors)
    for bit, column in enumerate(matrix):
        chosen = ((vectors >> np.uint32(bit)) & 1).astype(bool)
        result[chosen] ^= column
    return result


def masked_crc32c(data: bytes | memoryview) -> int:
    """The masked check sum that TFRecord stores."""
    plain = crc32c(data)
    return (((plain >> 15) | (plain << 17)) + _MASK) & _ALL
