"""Joining PixelAV's clusters to the track list they were made from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelsieve.errors import DataError
from pixelsieve.formats.tracklist import TrackList

__all__ = ["TrackJoin"]

_SLOPE_DIGITS = 1e-5


class TrackJoin:
    """Walks a track list beside the clusters that PixelAV made of it.

    PixelAV leaves out tracks (slopes above 10, too much charge), so counting lines would shift
    all that follow; tracks whose slopes are not the cluster's are passed over instead.
    """

    def __init__(self, tracks: TrackList) -> None:
        self._tracks = tracks
        self._next = 0

    def labels(
        self, labels: dict[str, NDArray[Any]], path: Path, first_row: int
    ) -> tuple[dict[str, NDArray[Any]], NDArray[Any] | None]:
        """Label columns of the tracks of these clusters, and their ladders."""
        tracks = self._tracks
        found = []
        for i, (n_x, n_y, n_z) in enumerate(
            zip(labels["n_x"], labels["n_y"], labels["n_z"], strict=True)
        ):
            at = self._next
            while at < len(tracks) and not (
                _same(tracks.cot_alpha[at], n_x, n_z) and _same(tracks.cot_beta[at], n_y, n_z)
            ):
                at += 1
            if at == len(tracks):
                msg = f"{path}: cluster {first_row + i} is of no track of {tracks.origin} after"
                msg += f" track {self._next - 1}; the files do not belong together"
                raise DataError(msg)
            found.append(at)
            self._next = at + 1
        rows = np.array(found)
        named: dict[str, NDArray[Any]] = {
            "y-local": tracks.y_local_mm,
            "z-global": tracks.z_global_mm,
            "pt": tracks.pt_gev,
            "hit_time": tracks.hit_time_ns,
            "PID": tracks.pdg,
        }
        ladders = None if tracks.ladder is None else tracks.ladder[rows]
        return {name: values[rows] for name, values in named.items()}, ladders


def _same(slope: float, part: float, n_z: float) -> bool:
    """Whether part / n_z is the slope, to the digits that the two files have."""
    return bool(abs(part - slope * n_z) <= _SLOPE_DIGITS * abs(n_z) + 1e-6 * (1 + abs(slope)))
