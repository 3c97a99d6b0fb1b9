"""The variations of `robustness`: from lists of values to front ends and detectors."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields, replace
from functools import partial
from math import inf
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pixelsieve.core.config import from_mapping, read_toml
from pixelsieve.core.errors import ConfigError
from pixelsieve.data.clusters import Clusters
from pixelsieve.data.detector import Detector
from pixelsieve.front_end import Chip, FrontEnd
from pixelsieve.front_end.readout import changed, derived_seed
from pixelsieve.simulation.generate import Sample
from pixelsieve.simulation.transport import diffusion_um, lorentz_tangent


@dataclass(frozen=True, slots=True)
class FrontEndVariations:
    """Values that fields of `FrontEnd` get, one at a time; the rest stays as in the training.

    `gain` is a factor on all charges and their noise, `threshold_shift_e` is added to the model's
    `threshold_e`. `window_jitter_px` makes the window `jitter` (0: `keep`).
    """

    gain: tuple[float, ...] = ()
    noise_e: tuple[float, ...] = ()
    threshold_shift_e: tuple[float, ...] = ()
    threshold_dispersion_e: tuple[float, ...] = ()
    gain_dispersion: tuple[float, ...] = ()
    saturation_e: tuple[float, ...] = ()
    dead_pixel_share: tuple[float, ...] = ()
    time_resolution_ps: tuple[float, ...] = ()
    window_jitter_px: tuple[int, ...] = ()
    window: tuple[Literal["keep", "centroid"], ...] = ()


@dataclass(frozen=True, slots=True)
class DetectorVariations:
    """Values that fields of the simulated detector get, one at a time (see `Sensor`, `Barrel`)."""

    bias_V: tuple[float, ...] = ()
    thickness_um: tuple[float, ...] = ()
    temperature_K: tuple[float, ...] = ()
    lorentz_tangent: tuple[float, ...] = ()
    diffusion_um: tuple[float, ...] = ()
    field_T: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Variations:
    """Everything to vary."""

    front_end: FrontEndVariations = field(default_factory=FrontEndVariations)
    simulated: DetectorVariations = field(default_factory=DetectorVariations)

    def of(self, kind: Literal["front_end", "simulated"]) -> list[tuple[str, Any]]:
        """Each field with each of its values, in order, each once."""
        table = getattr(self, kind)
        return [(f.name, v) for f in fields(table) for v in dict.fromkeys(getattr(table, f.name))]


_FRONT_END = FrontEndVariations(
    gain=(0.8, 0.9, 1.1, 1.2),
    noise_e=(30.0, 60.0, 120.0),
    threshold_shift_e=(-100.0, -50.0, 50.0, 100.0, 200.0),
    threshold_dispersion_e=(50.0, 100.0, 200.0),
    gain_dispersion=(0.05, 0.10, 0.20),
    dead_pixel_share=(0.001, 0.01, 0.05),
    time_resolution_ps=(20.0, 45.0, 60.0, 90.0),
    window_jitter_px=(1, 2),
    window=("centroid",),
)
_OF_NOMINAL = {"bias_V": (0.6, 0.8, 1.2, 1.6), "thickness_um": (0.8, 0.9, 1.1, 1.2)}
_KELVIN = (-20.0, 20.0)


def default_variations(detector: Detector) -> Variations:
    """Return a few values per field, about those of `detector`."""
    sensor = detector.sensor
    return Variations(
        _FRONT_END,
        DetectorVariations(
            **{
                name: tuple(round(share * getattr(sensor, name), 6) for share in shares)
                for name, shares in _OF_NOMINAL.items()
            },
            temperature_K=tuple(sensor.temperature_K + shift for shift in _KELVIN),
            field_T=(0.0,),
        ),
    )


def read_variations(path: Path) -> Variations:
    """Read a TOML file with tables `front_end` and `simulated`; what it leaves out stays.

    Raise `ConfigError`, which names the file, for unknown keys, values of another type, and a
    file that varies nothing.
    """
    found = from_mapping(Variations, read_toml(path), str(path))
    if found == Variations():
        msg = f"{path}: varies nothing; expected tables front_end or simulated with lists of values"
        raise ConfigError(msg)
    return found


_RECORDED_PS = {"hit_time_30ps": 30.0, "hit_time_60ps": 60.0}
_MEASURED = "hit_time_measured"

_SAMPLE = 0x726F6275
"""Keeps the simulated clusters apart from those of `simulate` with the same seed."""

_LABELS: dict[str, Callable[[Any], str]] = {
    "gain": lambda v: f"gain {v:g}",
    "noise_e": lambda v: f"noise {v:g} e",
    "threshold_shift_e": lambda v: f"threshold {v:+g} e",
    "threshold_dispersion_e": lambda v: f"threshold spread {v:g} e",
    "gain_dispersion": lambda v: f"gain spread {100 * v:g} %",
    "saturation_e": lambda v: f"saturation {v:g} e",
    "dead_pixel_share": lambda v: f"dead pixels {100 * v:g} %",
    "time_resolution_ps": lambda v: f"time resolution {v:g} ps",
    "window_jitter_px": lambda v: f"window ±{v} px",
    "window": lambda v: f"window {v}",
    "bias_V": lambda v: f"bias {v:g} V",
    "thickness_um": lambda v: f"thickness {v:g} µm",
    "temperature_K": lambda v: f"temperature {v:g} K",
    "lorentz_tangent": lambda v: f"Lorentz tangent {v:g}",
    "diffusion_um": lambda v: f"diffusion {v:g} µm",
    "field_T": lambda v: f"field {v:g} T" if v else "field off",
}


@dataclass(frozen=True, slots=True)
class Variation:
    """One row: the field that changes, and all that it changes.

    `field` is None for the nominal of its kind. `resolution_ps` is that of the recorded times, None
    if they stay.
    """

    kind: Literal["front_end", "simulated", "other"]
    field: str | None
    value: Any
    chip: Chip
    sample: Sample | None = None
    resolution_ps: float | None = None

    @property
    def label(self) -> str:
        """Its name in a table."""
        if self.field is None:
            return "nominal" if self.sample is None else "nominal, simulated"
        return _LABELS[self.field](self.value)


@dataclass(frozen=True, slots=True)
class Plan:
    """All rows, nominal ones first, and what of the default set is left out, with the reason."""

    variations: tuple[Variation, ...]
    left_out: tuple[str, ...]


def make_plan(
    wanted: Variations,
    where: str | None,
    front_end: FrontEnd | None,
    inputs: Iterable[str],
    detector: Detector,
    clusters: int,
    seed: int,
    *,
    true_times: bool = True,
) -> Plan:
    """Return rows about a nominal `front_end`, and about `clusters` simulated (0: none).

    `inputs` are the features of all networks; `true_times` tells whether the data have them, which
    a changed resolution of recorded times starts from. A value that is refused is left out of a
    default set; in one of the file `where` it raises `ConfigError`.
    """
    rows, left_out = [Variation("front_end", None, None, Chip(front_end))], []
    taken = frozenset(inputs)

    def attempt(said: str, make: Callable[[], Variation]) -> None:
        try:
            rows.append(make())
        except ConfigError as error:
            if where is not None:
                msg = f"{where}: {said}: {error}"
                raise ConfigError(msg) from error
            left_out.append(f"{said}: {error}")

    for name, value in wanted.of("front_end"):
        make = partial(_of_chip, front_end, name, value, taken, true_times)
        attempt(f"front_end.{name} = {value}", make)
    simulated = wanted.of("simulated")
    if simulated and not clusters and where is not None:
        msg = f"{where}: simulated: varied on 0 clusters; raise --simulated or leave the table out"
        raise ConfigError(msg)
    if clusters and simulated:
        numbers = (clusters // 2, clusters - clusters // 2, derived_seed(seed, _SAMPLE))
        attempt("simulated", partial(_of_sensor, front_end, detector, None, None, numbers))
        if rows[-1].sample is None:
            simulated = []
        for name, value in simulated:
            make = partial(_of_sensor, front_end, detector, name, value, numbers)
            attempt(f"simulated.{name} = {value}", make)
    return Plan(tuple(rows), tuple(left_out))


def _of_chip(
    nominal: FrontEnd | None, name: str, value: Any, inputs: frozenset[str], true_times: bool
) -> Variation:
    """One field of the front end in place of the model's own; the same where nothing changes."""
    if name == "time_resolution_ps" and _MEASURED not in inputs:
        if not inputs & _RECORDED_PS.keys():
            msg = "the network takes no arrival time (train with --time)"
            raise ConfigError(msg)
        if not 0 < value < inf:
            msg = f"{value:g}; expected more than 0 ps"
            raise ConfigError(msg)
        if not true_times:
            msg = "the data have no column 'hit_time_ns', which a changed resolution starts from"
            raise ConfigError(msg)
        return Variation("front_end", name, value, Chip(nominal), resolution_ps=value)
    values: dict[str, Any] = {name: value}
    if name == "window_jitter_px":
        values["window"] = "jitter" if value else "keep"
    elif name == "window":
        values["window_jitter_px"] = 0
    return Variation("front_end", name, value, changed(nominal, values))


def _of_sensor(
    front_end: FrontEnd | None,
    detector: Detector,
    name: str | None,
    value: Any,
    numbers: tuple[int, int, int],
) -> Variation:
    varied = detector if name is None else varied_detector(detector, name, value)
    return Variation("simulated", name, value, Chip(front_end), Sample(*numbers, varied))


def varied_detector(detector: Detector, name: str, value: float) -> Detector:
    """Return the detector with one field of its sensor or barrel changed.

    A measured Lorentz tangent or diffusion width changes in the ratio of the formulas' values, so
    that the nominal value changes nothing.
    """
    if name == "field_T":
        varied = replace(detector, barrel=replace(detector.barrel, field_T=value))
    else:
        field: dict[str, Any] = {name: value}
        varied = replace(detector, sensor=replace(detector.sensor, **field))
    sensor, (before, after) = varied.sensor, (_by_formula(d) for d in (detector, varied))
    measured: dict[str, Any] = {}
    if sensor.lorentz_tangent is not None and name != "lorentz_tangent":
        then, now = lorentz_tangent(before), lorentz_tangent(after)
        measured["lorentz_tangent"] = sensor.lorentz_tangent * (now / then) if then else None
    if sensor.diffusion_um is not None and name != "diffusion_um":
        ratio = diffusion_um(after.sensor) / diffusion_um(before.sensor)
        measured["diffusion_um"] = sensor.diffusion_um * ratio
    return replace(varied, sensor=replace(sensor, **measured))


def _by_formula(detector: Detector) -> Detector:
    sensor = replace(detector.sensor, lorentz_tangent=None, diffusion_um=None)
    return replace(detector, sensor=sensor)


def recorded(clusters: Clusters, resolution_ps: float | None) -> Clusters:
    """Return clusters with times as a clock of `resolution_ps` records them (None: as they are).

    Each time keeps its own draw: its distance from the true time, which the clusters must have,
    grows or shrinks.
    """
    if resolution_ps is None:
        return clusters
    true, changes = clusters.truth["hit_time_ns"], {}
    for feature, own_ps in _RECORDED_PS.items():
        times = getattr(clusters, f"{feature}_ns")
        if times is not None and resolution_ps != own_ps:
            scale = resolution_ps / own_ps
            changes[f"{feature}_ns"] = (true + scale * (times - true)).astype(np.float32)
    return clusters.replace(**changes) if changes else clusters
