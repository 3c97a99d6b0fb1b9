"""Branches of ROOT files, arrays of Awkward Array, as columns of Arrow; images of lists of hits."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pixelsieve.core.errors import DataError
from pixelsieve.data.detector import Detector

HITS = ("pixel_row", "pixel_column", "pixel_e")
"""Lists in place of `pixels_e`: place in the window and charge of each pixel that was hit."""


def shape_of(values: Any) -> tuple[int, ...]:
    """Return the shape of a row; of lists of unequal length, of all their numbers."""
    import awkward as ak

    try:
        return tuple(ak.to_numpy(values).shape[1:])
    except ValueError:
        return (int(ak.count(values)),)


def arrow(values: Any) -> pa.Array:
    """Return a branch as a column: numbers, words, or lists of numbers (whole images are flat)."""
    import awkward as ak

    if not _is_words(values):
        with contextlib.suppress(ValueError):  # lists of unequal length, missing values
            array = ak.to_numpy(values, allow_missing=False)
            if array.dtype.kind in "biuf" and array.ndim == 1:
                return pa.array(array)
            size = int(np.prod(array.shape[1:]))
            if array.dtype.kind in "iuf" and size:
                return pa.FixedSizeListArray.from_arrays(pa.array(array.reshape(-1)), size)
    return ak.to_arrow(values, extensionarray=False)


def _is_words(values: Any) -> bool:
    import awkward as ak

    return "string" in str(ak.type(values))


def dense_images(
    hits: Mapping[str, Any], detector: Detector, origin: str, first_row: int
) -> dict[str, pa.Array]:
    """Return the images of lists of pixels; raise `DataError` for one outside of the window."""
    import awkward as ak

    for name, values in hits.items():
        axes = (2, 3) if name == "pixel_e" else (2,)
        if values.ndim not in axes or _is_words(values):
            kind = ak.type(values).content
            msg = f"{origin}: column '{name}' holds {kind}; expected a list of numbers in every row"
            raise DataError(msg)
    counts = {name: ak.to_numpy(ak.num(values, axis=1)) for name, values in hits.items()}
    for name in HITS[1:]:
        uneven = counts[name] != counts[HITS[0]]
        if uneven.any():
            row = int(uneven.argmax())
            msg = f"{origin}: row {first_row + row}: {counts[name][row]} pixels in '{name}', "
            msg += f"{counts[HITS[0]][row]} in '{HITS[0]}'; expected as many"
            raise DataError(msg)
    entries = np.repeat(np.arange(len(counts[HITS[0]])), counts[HITS[0]])
    sensor = detector.sensor
    limits = dict(zip(HITS, (sensor.rows, sensor.columns), strict=False))
    places = {
        name: _places(ak.to_numpy(ak.flatten(hits[name])), limit, name, origin, first_row + entries)
        for name, limit in limits.items()
    }
    try:
        charges = ak.to_numpy(ak.flatten(hits["pixel_e"], axis=1), allow_missing=False)
    except ValueError as error:
        msg = f"{origin}: column 'pixel_e' holds missing values or lists of unequal length; "
        raise DataError(msg + "expected a charge, or as many time slices, a pixel") from error
    n, pixels = len(counts[HITS[0]]), sensor.n_pixels
    at = entries * pixels + places["pixel_row"] * sensor.columns + places["pixel_column"]
    slices = charges.reshape(len(charges), -1).T if charges.ndim > 1 else charges[None]
    with np.errstate(over="ignore"):  # what overflows becomes infinite and is refused by row
        images = np.stack(
            [
                np.bincount(at, weights=of_slice, minlength=n * pixels)
                .reshape(n, pixels)
                .astype(np.float32)
                for of_slice in slices
            ],
            axis=1,
        )
    dense = {"pixels_e": arrow(ak.Array(np.ascontiguousarray(images[:, -1])))}
    if charges.ndim > 1:
        dense["slices_e"] = arrow(ak.Array(images))
    return dense


def _places(
    values: NDArray[Any], limit: int, name: str, origin: str, rows: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the places as whole numbers below `limit`; raise `DataError` for another."""
    if values.dtype.kind not in "iuf":
        msg = f"{origin}: column '{name}' holds {values.dtype}; expected whole numbers"
        raise DataError(msg)
    outside = ~((values >= 0) & (values < limit) & (np.rint(values) == values))
    if outside.any():
        first = int(outside.argmax())
        msg = f"{origin}: column '{name}', row {rows[first]}: {values[first]:g} lies outside of "
        msg += f"the window; expected whole numbers from 0 to {limit - 1}"
        raise DataError(msg)
    return values.astype(np.int64)
