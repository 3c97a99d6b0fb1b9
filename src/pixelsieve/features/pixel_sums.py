"""Whole numbers out of pixels: what a feature counts or adds up, in logic as in training."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pixelsieve.core.errors import DataError
from pixelsieve.data.clusters import Clusters

Along = Literal["rows", "columns", "pixels"]

Logic = Literal["wiring", "code_sum", "hit_count", "hit_columns", "hit_rows"]
"""How logic makes a feature: as it arrives (`wiring`), or by the recipe of `pixel_sums`."""


def pixel_codes(clusters: Clusters, feature: str) -> NDArray[np.int64]:
    """ADC codes (n, rows, columns) of clusters that a front end has read out; 0 where silent.

    Raises `DataError`, which names `feature`, for charges that no ADC has seen.
    """
    values = np.array(clusters.code_values_e, np.float32)
    if not len(values):
        msg = (
            f"{clusters.origin}: its pixels are charges without ADC codes; the feature "
            f"'{feature}' needs a front end with 'adc' (linear or codes)"
        )
        raise DataError(msg)
    codes = np.searchsorted(values, clusters.pixels_e).clip(0, len(values) - 1)
    unknown = (values[codes] != clusters.pixels_e) & (clusters.pixels_e != 0)
    if unknown.any():
        row, y, x = (int(i) for i in np.argwhere(unknown)[0])
        msg = (
            f"{clusters.origin}: row {clusters.first_row + row}, pixel ({y}, {x}): "
            f"{clusters.pixels_e[row, y, x]:g} e is the charge of no code of the ADC; send the "
            "collected charge through the front end"
        )
        raise DataError(msg)
    return np.asarray(codes, np.int64)


def pixel_sums(logic: Logic, along: Along | None, codes: NDArray[Any]) -> NDArray[np.int64]:
    """The whole numbers (n,), (n, lines) or (n, pixels) of a feature of codes (n, rows, columns).

    `code_sum` adds codes up and `hit_count` counts the pixels above 0, in each row, column or
    pixel or in the window; `hit_columns` and `hit_rows` count the lines with a pixel above 0. All
    but the first may be given charges.
    """
    hit = codes > 0
    if logic == "hit_columns":
        sums = hit.any(axis=1).sum(axis=1)
    elif logic == "hit_rows":
        sums = hit.any(axis=2).sum(axis=1)
    elif along == "pixels":
        values = codes if logic == "code_sum" else hit
        sums = values.reshape(len(values), values.shape[1] * values.shape[2])
    else:
        over: Any = {"rows": 2, "columns": 1, None: (1, 2)}[along]
        sums = (codes if logic == "code_sum" else hit).sum(axis=over)
    return np.asarray(sums, np.int64)
