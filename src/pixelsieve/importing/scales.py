"""Scales that QKeras works out from the weights, where they are powers of two and certain."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pixelsieve.core.errors import ConfigError

Array = NDArray[np.float32]

_EPSILON = np.float32(1e-7)  # Keras's
_ROUNDS = 5


@np.errstate(all="ignore")
def auto_po2(weights: Array, bits: int, integer: int) -> Array:
    """Return what QKeras's `quantized_bits(bits, integer, alpha="auto_po2")` makes of weights.

    Each last axis has its scale (and so has each bias), found as QKeras 0.9.0 does. The order of
    sums changes a scale only near the middle of two powers; raise `ConfigError` there.
    """
    x = np.asarray(weights, np.float32) / np.float32(2.0**integer)
    over = tuple(range(max(x.ndim - 1, 1)))
    most = np.float32(2 ** (bits - 1) - 1)
    scale = _power(np.abs(x).max(axis=over, keepdims=True) / most, 1)
    for _ in range(_ROUNDS):
        z = _codes(x, scale, most)
        xz, zz = x.astype(np.float64) * z, z.astype(np.float64) ** 2
        if x.ndim > 1:
            xz, zz = (v.mean(axis=over, keepdims=True) for v in (xz, zz))
        scale = _power(xz / (zz + float(_EPSILON)), x.size)
    return _passed(weights, scale * np.float32(2.0**integer) * _codes(x, scale, most))


@np.errstate(all="ignore")
def frozen(weights: Array, bits: int, integer: int, scale: Array) -> Array:
    """Return the same for a `post_training_scale`; raise `ConfigError` if it is no power of two."""
    significand, _ = np.frexp(scale)
    try:
        fitting = np.broadcast_shapes(scale.shape, weights.shape) == weights.shape
    except ValueError:
        fitting = False
    if not fitting or not (np.isfinite(scale).all() and (significand == 0.5).all()):  # noqa: PLR2004 (of a power of two)
        msg = "has a frozen scale that is no power of two for each output; expected such"
        raise ConfigError(msg)
    m = np.float32(2.0 ** (bits - 1))
    x = np.asarray(weights, np.float32) / np.float32(2.0**integer)
    own = scale / m
    values = own * np.float32(2.0**integer) * _codes(x, own, m - np.float32(1))
    return _passed(weights, values)


def _codes(x: Array, scale: Array, most: np.float32) -> Array:
    v = np.floor(np.abs(x) / scale + np.float32(0.5))
    return np.asarray(np.sign(x) * np.where(v < most, v, most), np.float32)


def _power(scale: NDArray[np.floating], terms: int) -> Array:
    """The nearest power of two, for float32 sums of so many positive terms in any order."""
    logs = np.log2(scale.astype(np.float64) + float(_EPSILON))
    unsure = (terms + 16) * 2.0**-23 + np.abs(logs) * 2.0**-21
    if (np.abs(logs - np.floor(logs) - 0.5) < unsure).any():
        msg = "has a scale in the middle of two powers of two, which rounding decides"
        raise ConfigError(msg)
    return np.asarray(2.0 ** np.rint(logs), np.float32)


def _passed(weights: Array, values: Array) -> Array:
    """QKeras gives `w + (q - w)`, in float32; raise `ConfigError` if that is not q."""
    w = np.asarray(weights, np.float32)
    if not (np.isfinite(values).all() and np.array_equal(w + (values - w), values)):
        msg = "has weights so far out of range that float32 does not give their rounded values"
        raise ConfigError(msg)
    return np.asarray(values, np.float32)
