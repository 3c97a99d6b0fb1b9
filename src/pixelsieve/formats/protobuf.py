"""Just enough of protocol buffers for `tf.train.Example` with serialized tensors.

Numbers of fields as in tensorflow/core/example/{example,feature}.proto and
tensorflow/core/framework/{tensor,tensor_shape}.proto.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
            name, value = None, None
            for number, content in _fields(entry):
                if number == 1 and isinstance(content, memoryview):
                    try:
                        name = str(content, "utf-8")
                    except UnicodeDecodeError as error:
                        msg = "the name of a feature is not text"
                        raise FormatError(msg) from error
                elif number == 2 and isinstance(content, memoryview):  # noqa: PLR2004 (field)
                    value = content
            if name is None or value is None:
                msg = "a feature without name or value"
                raise FormatError(msg)
            strings = [s for part in _parts(value, 1) for s in _parts(part, 1)]
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
