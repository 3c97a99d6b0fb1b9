"""Augmentation: training clusters as detectors read them out that differ a little."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from math import inf, nan
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pixelsieve.core.config import from_mapping, read_toml
from pixelsieve.core.errors import ConfigError
from pixelsieve.data.clusters import Clusters
from pixelsieve.data.windows import shift_window
from pixelsieve.features import FeatureSet, FeatureTable
from pixelsieve.front_end import Chip, FrontEnd
from pixelsieve.front_end.readout import (
    GAINS,
    Stream,
    changed,
    cluster_keys,
    derived_seed,
    uniforms,
)

_MOST_COPIES = 1024
_WINDOW = ("window_x_px", "window_y_px")
_LIMITS = {
    **dict.fromkeys(_WINDOW, (-64.0, 64.0)),
    "gain": GAINS,
    "threshold_shift_e": (-inf, inf),
}
_PAIR = 2
_MOVING = ("pixels_e", "slices_e", "z_global_mm", "y_local_mm", "hit_time_measured_ns")


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Variations of the detector in training; each variation is [lowest, highest], empty for none.

    - `copies`: so many versions of the training clusters are made, and shown an epoch in turn.
    - `window_x_px`, `window_y_px`: the window moves by whole pixels, along columns and rows, drawn
      for each cluster and copy; a positive shift moves the charge to lower columns and rows.
    - `gain`: all charges and their noise times this.
    - `noise_e`, `gain_dispersion`, `saturation_e`, `dead_pixel_share`, `threshold_dispersion_e`,
      `time_resolution_ps`: fields of `FrontEnd`, in place of its values; `threshold_shift_e` is
      added to its `threshold_e`.
    - `seed`: of all random numbers.

    Raise `ConfigError` for values out of range.
    """

    copies: int = 24
    window_x_px: tuple[int, ...] = ()
    window_y_px: tuple[int, ...] = ()
    gain: tuple[float, ...] = ()
    noise_e: tuple[float, ...] = ()
    gain_dispersion: tuple[float, ...] = ()
    saturation_e: tuple[float, ...] = ()
    dead_pixel_share: tuple[float, ...] = ()
    threshold_shift_e: tuple[float, ...] = ()
    threshold_dispersion_e: tuple[float, ...] = ()
    time_resolution_ps: tuple[float, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        for name, pair in self.ranges().items():
            low, high = pair if len(pair) == _PAIR else (nan, nan)
            lowest, highest = _LIMITS.get(name, (0.0, inf))
            if not (lowest <= low <= high <= highest and high < inf):
                limits = f"from {lowest:g} to {highest:g}"
                msg = f"'{name}' is {list(pair)}; expected [lowest, highest], {limits}"
                raise ConfigError(msg)
        for name, lowest, highest in (("copies", 1, _MOST_COPIES), ("seed", 0, 2**63 - 1)):
            if not lowest <= getattr(self, name) <= highest:
                msg = f"'{name}' is {getattr(self, name)}; expected {lowest} to {highest}"
                raise ConfigError(msg)

    def ranges(self) -> dict[str, tuple[float, ...]]:
        """Return what is varied, by name."""
        found = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: pair for name, pair in found.items() if isinstance(pair, tuple) and pair}

    def chips(self, front_end: FrontEnd | None) -> list[Chip]:
        """The chip of each copy; without a front end where `front_end` is none and nothing varies.

        The values are drawn evenly: each of as many equal parts of a range as there are copies
        holds one. Raise `ConfigError` if the front end cannot have those of a range.
        """
        ranges = {name: pair for name, pair in self.ranges().items() if name not in _WINDOW}
        order = [f.name for f in fields(self)]
        drawn = {n: _evenly(p, self.copies, (self.seed, order.index(n))) for n, p in ranges.items()}
        own = front_end or FrontEnd()
        if "time_resolution_ps" in drawn and own.time_resolution_ps is None:
            msg = "augmentation: 'time_resolution_ps' varies a clock; give one to the front end"
            raise ConfigError(msg)
        for end in range(_PAIR):
            _chip(front_end, {name: pair[end] for name, pair in ranges.items()})
        found = []
        for number in range(self.copies):
            chip = _chip(front_end, {name: float(v[number]) for name, v in drawn.items()})
            if chip.front_end is not None:
                seed = derived_seed(self.seed, number, own.seed)
                chip = replace(chip, front_end=replace(chip.front_end, seed=seed))
            found.append(chip)
        return found


def read_augmentation(path: Path) -> Augmentation:
    """Read a TOML file of `Augmentation`'s fields; `ConfigError` names the file and the key."""
    return from_mapping(Augmentation, read_toml(path), str(path))


def varied(
    augmentation: Augmentation, collected: Clusters, front_end: FrontEnd | None
) -> Iterator[Clusters]:
    """The copies of clusters with their collected charge, one after the other, as they are read.

    Each has the clusters, in order, that `front_end` reads out. One that the varied front end
    loses is shown as `front_end` reads it.
    """
    plain = Chip(front_end).read_out(collected)
    for number, chip in enumerate(augmentation.chips(front_end)):
        copy = chip.read_out(collected)
        moved = _moved(augmentation, number, copy.clusters)
        yield _completed(moved, copy.rows, plain.clusters, plain.rows)


def augmented(
    augmentation: Augmentation,
    features: FeatureSet,
    collected: Clusters,
    front_end: FrontEnd | None,
) -> tuple[FeatureTable, ...]:
    """Return the inputs of each copy (see `varied`), n x size x 4 bytes per copy and feature.

    A table holds all chips, each cluster on another one, and the next table shows it on the next.
    """
    tables = [features.table(copy) for copy in varied(augmentation, collected, front_end)]
    count, clusters = len(tables), np.arange(len(tables[0]))
    inputs: list[dict[str, NDArray[np.float32]]] = [{} for _ in tables]
    for name in features.names:
        stacked = np.stack([table.inputs.pop(name) for table in tables])
        for number, one in enumerate(inputs):
            one[name] = stacked[(clusters + number) % count, clusters]
    return tuple(FeatureTable(features, one, tables[0].labels) for one in inputs)


def _chip(own: FrontEnd | None, values: dict[str, float]) -> Chip:
    try:
        return changed(own, values)
    except ConfigError as error:
        msg = f"augmentation: a front end cannot have these values: {error}"
        raise ConfigError(msg) from error


def _evenly(pair: tuple[float, ...], count: int, seed: tuple[int, int]) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    shares = (rng.permutation(count) + rng.random(count)) / count
    low, high = pair
    return np.asarray(low + (high - low) * shares)


def _moved(augmentation: Augmentation, number: int, clusters: Clusters) -> Clusters:
    across, down = (augmentation.ranges().get(name, (0, 0)) for name in _WINDOW)
    keys = cluster_keys(clusters, derived_seed(augmentation.seed, number))
    drawn = uniforms(keys, Stream.WINDOW, 2)
    columns, rows = (
        np.floor(drawn[:, i] * (high - low + 1)).astype(int) + int(low)
        for i, (low, high) in enumerate((across, down))
    )
    return shift_window(clusters, rows, columns)


def _completed(
    copy: Clusters, left: NDArray[np.intp], plain: Clusters, rows: NDArray[np.intp]
) -> Clusters:
    """The clusters `rows` out of `copy`, whose are `left`; where it lacks one, that of `plain`."""
    known = np.isin(left, rows)
    # A window that moved off the charge shows nothing that a chip would read out.
    known &= copy.pixels_e.any(axis=(1, 2))
    if len(left) == len(rows) and known.all():
        return copy
    places = np.searchsorted(rows, left[known])
    columns = plain.columns()
    changed = {name: columns[name].copy() for name in _MOVING if name in columns}
    for name, column in changed.items():
        column[places] = copy.columns()[name][known]
    return plain.replace(**changed)
