"""From collected charge to what is read out: noise, gain, threshold, ADC, window."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelsieve.core.errors import ConfigError, DataError
from pixelsieve.core.workers import default_workers
from pixelsieve.data.clusters import LOWEST_CHARGE_E, Clusters, Columns, hash_pixels, splitmix64
from pixelsieve.data.windows import recenter, shift_window
from pixelsieve.front_end.settings import FrontEnd

_CHUNK = 1024
_PS_PER_NS = 1000.0


class Stream(IntEnum):
    """The purpose of a draw; each stream is independent of the others.

    Number i of stream s of a cluster is a hash of (seed, cluster, s, i), so neither the order of
    the rows nor the cut of a file changes anything, and no draw depends on whether others are made.
    """

    NOISE = 1
    GAIN = 2
    DEAD = 3
    THRESHOLD = 4
    TIME = 5
    WINDOW = 6


def derived_seed(*numbers: int) -> int:
    """A seed, 0 to 2^63 - 1, that follows from `numbers` (each 0 or more) and from their order."""
    state = np.random.SeedSequence(numbers).generate_state(1, np.uint64)
    return int(state[0] >> np.uint64(1))


def cluster_keys(clusters: Clusters, seed: int) -> NDArray[np.uint64]:
    """A key (n,) per cluster from the seed, its charges and place; equal clusters, equal keys."""
    state = hash_pixels(clusters.pixels_e)
    for place in (clusters.z_global_mm, clusters.y_local_mm):
        words = (place.astype(np.float32) + np.float32(0)).view(np.uint32)
        state = splitmix64(state ^ words.astype(np.uint64))
    return splitmix64(state ^ splitmix64(np.array([seed], np.uint64)))


def uniforms(keys: NDArray[np.uint64], stream: Stream, count: int) -> NDArray[np.float64]:
    """Uniform numbers strictly between 0 and 1, (n, count)."""
    counters = splitmix64(np.arange(count, dtype=np.uint64) + np.uint64(int(stream) << 32))
    words = splitmix64(keys[:, None] ^ counters)
    # The middle of 2^52 equal steps is exact in float64 and never 0 or 1.
    return ((words >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52


def normals(keys: NDArray[np.uint64], stream: Stream, count: int) -> NDArray[np.float64]:
    """Standard normal numbers, (n, count)."""
    from scipy.special import ndtri

    return np.asarray(ndtri(uniforms(keys, stream, count)))


class NothingReadOutError(DataError):
    """No cluster has a pixel left."""


@dataclass(frozen=True, slots=True)
class Readout:
    """The clusters with a pixel left, and how many of each class had none and are gone.

    `rows` (n,) are the places of the former among the clusters that came.
    """

    clusters: Clusters
    rows: NDArray[np.intp]
    lost_signal: int
    lost_bib: int


@dataclass(frozen=True, slots=True)
class Kept:
    """Number of clusters that were collected, and of those that a front end reads out."""

    collected: int = 0
    read_out: int = 0

    def __add__(self, other: Kept) -> Kept:
        return Kept(self.collected + other.collected, self.read_out + other.read_out)


@dataclass(frozen=True, slots=True)
class FrontEndSummary:
    """A front end, and what it keeps by split and class (`signal`, `bib`)."""

    settings: FrontEnd
    clusters: dict[str, dict[str, Kept]]


def read_out(front_end: FrontEnd, clusters: Clusters, *, gain: float = 1.0) -> Readout:
    """Send clusters through the front end, all charges times `gain` before it.

    `pixels_e` becomes what the codes stand for (`code_values_e`), `hit_time_measured_ns` appears
    where the front end has a clock, `group_id` becomes that of the clusters as they came. Each
    cluster's random numbers follow from the seed, its own charges (without the gain) and its place
    alone. Raises `DataError` if the truth column `hit_time_ns` is needed but missing and for
    time slices, which the front end does not model, `NothingReadOutError` if no cluster is left.
    """
    if clusters.slices_e is not None:
        msg = (
            f"{clusters.origin}: has time slices (slices_e), which a front end does not model; "
            "read it without them"
        )
        raise DataError(msg)
    keys = cluster_keys(clusters, front_end.seed)
    changes: Columns = {"group_id": clusters.groups().astype(np.int64)}
    if front_end.time_resolution_ps is not None:
        changes["hit_time_measured_ns"] = _measured_time(front_end, clusters, keys)
    collected = clusters.pixels_e if gain == 1 else clusters.pixels_e * np.float32(gain)
    pixels = _digitised(front_end, collected, keys)
    changes["code_values_e"] = front_end.code_values_e
    rows = _rows_left(front_end, clusters.origin, pixels)
    read = clusters.replace(pixels_e=pixels, **changes)
    if len(rows) < len(read):
        read, keys = read.select(rows), keys[rows]
    if front_end.window != "keep":
        read = _moved(front_end, read, keys)
        left = _rows_left(front_end, clusters.origin, read.pixels_e)
        if len(left) < len(read):
            read, rows = read.select(left), rows[left]
    n_bib = len(clusters) - clusters.n_signal
    lost_bib = n_bib - (len(read) - read.n_signal)
    return Readout(read, rows, clusters.n_signal - read.n_signal, lost_bib)


def _rows_left(front_end: FrontEnd, origin: str, pixels_e: NDArray[np.float32]) -> NDArray[np.intp]:
    rows = np.flatnonzero(pixels_e.any(axis=(1, 2)))
    if not len(rows):
        msg = (
            f"{origin}: no cluster is left after the front end; lower 'threshold_e' "
            f"({front_end.threshold_e:g})"
        )
        raise NothingReadOutError(msg)
    return rows


def _digitised(
    front_end: FrontEnd, pixels_e: NDArray[np.float32], keys: NDArray[np.uint64]
) -> NDArray[np.float32]:
    result = np.empty(pixels_e.shape, np.float32)

    def fill(start: int) -> None:
        rows = slice(start, start + _CHUNK)
        result[rows] = digitise(front_end, pixels_e[rows], keys[rows])

    # NumPy lets other threads run, and what is drawn depends on no order.
    with ThreadPoolExecutor(default_workers()) as threads:
        list(threads.map(fill, range(0, len(pixels_e), _CHUNK)))
    return result


def digitise(
    front_end: FrontEnd, pixels_e: NDArray[np.float32], keys: NDArray[np.uint64]
) -> NDArray[np.float32]:
    """Charges (n, rows, columns) in electrons as they are read out, 0 where a pixel is silent."""
    count = int(np.prod(pixels_e.shape[1:]))
    charge = pixels_e.reshape(len(pixels_e), count).astype(np.float64)
    if front_end.noise_e:
        charge += front_end.noise_e * normals(keys, Stream.NOISE, count)
    if front_end.gain_dispersion:
        charge *= 1 + front_end.gain_dispersion * normals(keys, Stream.GAIN, count)
    if front_end.saturation_e is not None:
        charge = np.minimum(charge, front_end.saturation_e)
    threshold: Any = front_end.threshold_e
    if front_end.threshold_dispersion_e:
        spread = front_end.threshold_dispersion_e * normals(keys, Stream.THRESHOLD, count)
        threshold = front_end.threshold_e + spread
    fires = (charge > 0) & (charge >= threshold)
    if front_end.dead_pixel_share:
        fires &= uniforms(keys, Stream.DEAD, count) >= front_end.dead_pixel_share
    coded = charge if front_end.adc == "none" else _coded(front_end, charge)
    return np.where(fires, coded, 0).astype(np.float32).reshape(pixels_e.shape)


def _coded(front_end: FrontEnd, charge: NDArray[np.float64]) -> NDArray[np.float64]:
    values = np.array(front_end.code_values_e)
    lowest = 0
    if front_end.adc == "linear":
        assert front_end.adc_full_scale_e is not None
        codes = np.floor(charge * (len(values) / front_end.adc_full_scale_e))
    else:
        lowest = 1  # the threshold is the first comparator
        codes = np.searchsorted(front_end.adc_codes_e, charge, side="right").astype(np.float64)
    return values[np.clip(codes, lowest, len(values) - 1).astype(np.intp)]


def _measured_time(
    front_end: FrontEnd, clusters: Clusters, keys: NDArray[np.uint64]
) -> NDArray[np.float32]:
    if "hit_time_ns" not in clusters.truth:
        msg = (
            f"{clusters.origin}: column 'hit_time_ns' is missing; the front end's "
            "'time_resolution_ps' smears it"
        )
        raise DataError(msg)
    assert front_end.time_resolution_ps is not None
    width_ns = front_end.time_resolution_ps / _PS_PER_NS
    spread = width_ns * normals(keys, Stream.TIME, 1)[:, 0]
    return np.asarray(clusters.truth["hit_time_ns"] + spread, dtype=np.float32)


def _moved(front_end: FrontEnd, clusters: Clusters, keys: NDArray[np.uint64]) -> Clusters:
    if front_end.window == "centroid":
        return recenter(clusters)
    reach = front_end.window_jitter_px
    shifts = np.floor(uniforms(keys, Stream.WINDOW, 2) * (2 * reach + 1)).astype(int) - reach
    return shift_window(clusters, shifts[:, 0], shifts[:, 1])


GAINS = (0.1, 10.0)
"""Smallest and largest gain."""


@dataclass(frozen=True, slots=True)
class Chip:
    """A front end (None: none), and a gain on all charges before it."""

    front_end: FrontEnd | None
    gain: float = 1.0

    def read_out(self, clusters: Clusters) -> Readout:
        """Return what it makes of collected clusters; draws are those of the gain 1.

        Without a front end all clusters stay; negative charges (see `LOWEST_CHARGE_E`) grow no
        further than what is taken as data. Raises as `front_end.read_out`.
        """
        if self.front_end is not None:
            return read_out(self.front_end, clusters, gain=self.gain)
        if self.gain != 1:
            gain, images = np.float32(self.gain), ("pixels_e", "slices_e")
            columns = clusters.columns()
            scaled: Columns = {
                name: np.maximum(columns[name] * gain, LOWEST_CHARGE_E)
                for name in images
                if name in columns
            }
            clusters = clusters.replace(group_id=clusters.groups().astype(np.int64), **scaled)
        return Readout(clusters, np.arange(len(clusters)), 0, 0)


def changed(own: FrontEnd | None, values: Mapping[str, Any]) -> Chip:
    """The chip whose front end has those values in place of its `own`.

    `gain` multiplies all charges and their noise, `threshold_shift_e` is added to `threshold_e`;
    other names are fields of `FrontEnd`. No front end stays none if nothing of it changes.
    Raises `ConfigError` for values that a front end cannot have.
    """
    before = own or FrontEnd()
    fields = dict(values)
    gain, shift = fields.pop("gain", 1.0), fields.pop("threshold_shift_e", 0.0)
    if not GAINS[0] <= gain <= GAINS[1]:
        msg = f"'gain' is {gain:g}; expected {GAINS[0]:g} to {GAINS[1]:g}"
        raise ConfigError(msg)
    fields["noise_e"] = fields.get("noise_e", before.noise_e) * gain
    fields["threshold_e"] = fields.get("threshold_e", before.threshold_e) + shift
    after = replace(before, **fields)
    return Chip(own if after == before else after, gain)
