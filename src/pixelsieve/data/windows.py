"""Shifting and centering readout windows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pixelsieve.data.clusters import Clusters

# What is centered stays where it is, however the sums round.
_CENTERED = 0.5 + 1e-9


def centroid(pixels: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Charge-weighted row and column of the hit pixels (above 0 e) of images (n, rows, columns).

    In units of the pixel index, so that the first pixel is at 0. NaN where no pixel is hit.
    """
    charge = np.maximum(pixels, 0)
    by_row = charge.sum(axis=2, dtype=np.float64)
    by_column = charge.sum(axis=1, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        row = by_row @ np.arange(by_row.shape[1]) / by_row.sum(axis=1)
        column = by_column @ np.arange(by_column.shape[1]) / by_column.sum(axis=1)
    return row, column


def shift_images(images: NDArray[Any], rows: ArrayLike, columns: ArrayLike) -> NDArray[Any]:
    """Move the window over each image (n, ..., rows, columns); zeros enter, what leaves is lost.

    Pixel (r, c) of the result is pixel (r + rows[i], c + columns[i]) of image i. `rows` and
    `columns` are whole numbers, one for all images or one each.
    """
    shifts = np.broadcast_to(np.stack(np.broadcast_arrays(rows, columns), -1), (len(images), 2))
    height, width = images.shape[-2:]
    result = np.zeros_like(images)
    for row, column in np.unique(shifts, axis=0).astype(int):
        which = np.flatnonzero((shifts == (row, column)).all(axis=1))
        to_r, from_r = _overlap(row, height)
        to_c, from_c = _overlap(column, width)
        moved = np.zeros_like(images, shape=(len(which), *images.shape[1:]))
        moved[..., to_r, to_c] = images[which][..., from_r, from_c]
        result[which] = moved
    return result


def _overlap(shift: int, size: int) -> tuple[slice, slice]:
    """Return the slices that pixels land in and come from, along one axis."""
    kept = max(0, size - abs(shift))
    low = slice(0, kept)
    high = slice(size - kept, size)
    return (low, high) if shift > 0 else (high, low)


def shift_window(clusters: Clusters, rows: ArrayLike, columns: ArrayLike) -> Clusters:
    """Move the readout window of each cluster by whole pixels, all time slices alike.

    `rows` and `columns` (n,) or single numbers: positive moves the window to higher rows and
    columns, so the charge goes to lower ones. `y_local_mm` and `z_global_mm`, which are those of
    the window's middle, grow by one pitch a row and a column. Truth stays as it was.
    """
    n = len(clusters)
    down = np.broadcast_to(np.asarray(rows), n)
    right = np.broadcast_to(np.asarray(columns), n)
    if not down.any() and not right.any():
        return clusters
    sensor = clusters.detector.sensor
    slices = clusters.slices_e
    return clusters.replace(
        pixels_e=shift_images(clusters.pixels_e, down, right),
        slices_e=None if slices is None else shift_images(slices, down, right),
        y_local_mm=_moved(clusters.y_local_mm, down, sensor.pitch_y_um),
        z_global_mm=_moved(clusters.z_global_mm, right, sensor.pitch_x_um),
    )


def _moved(
    position_mm: NDArray[np.float32], shift: NDArray[Any], pitch_um: float
) -> NDArray[np.float32]:
    moved = position_mm.astype(np.float64) + shift * (pitch_um * 1e-3)
    return moved.astype(np.float32)


def recenter(clusters: Clusters) -> Clusters:
    """Move each window so that the rounded centroid of its charge is the middle pixel.

    The middle is (rows // 2, columns // 2); see `shift_window` for what moves along. A cluster
    whose centroid is within half a pixel of the middle, and one without charge, stays.
    """
    shifts = []
    for found, middle in zip(
        centroid(clusters.pixels_e), clusters.detector.sensor.center, strict=True
    ):
        distance = np.nan_to_num(found - middle)
        # Ties round as distances do, which is why a second centering finds nothing to do.
        shifts.append(np.where(np.abs(distance) <= _CENTERED, 0, np.rint(distance)).astype(int))
    return shift_window(clusters, *shifts)
