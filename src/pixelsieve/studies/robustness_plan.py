"""From fields and values to front ends and detectors, all built before anything is measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from typing import Any, Literal

import numpy as np

from pixelsieve.clusters import Clusters
from pixelsieve.detector import Detector
from pixelsieve.errors import ConfigError, DataError
from pixelsieve.front_end import FrontEnd
from pixelsieve.simulation.generate import Sample
from pixelsieve.simulation.transport import diffusion_um, lorentz_tangent
from pixelsieve.studies.robustness_config import Variations

__all__ = ["Plan", "Variation", "collected", "make_plan", "varied_detector"]

_RECORDED_PS = {"hit_time_30ps": 30.0, "hit_time_60ps": 60.0}
_MEASURED = "hit_time_measured"

_GAINS = (0.1, 10.0)

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
    """One row: what changes, and all that it changes.

    `field` is None for the nominal of its kind. `gain` is a factor on collected charges,
    `resolution_ps` that of the recorded times, None where they stay.
    """

    kind: Literal["front_end", "simulated"]
    field: str | None
    value: Any
    front_end: FrontEnd | None
    sample: Sample | None = None
    gain: float = 1.0
    resolution_ps: float | None = None

    @property
    def label(self) -> str:
        """What a table calls it."""
        if self.field is None:
            return "nominal" if self.sample is None else "nominal, simulated"
        return _LABELS[self.field](self.value)


@dataclass(frozen=True, slots=True)
class Plan:
    """All rows, the nominal ones first, and what of the default set cannot be, with the reason."""

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
) -> Plan:
    """The rows about a nominal `front_end`, and about `clusters` simulated in `detector` (0: none).

    `inputs` are the features of all networks. A value that is refused is left out of a default
    set; in one of the file `where` it raises `ConfigError`.
    """
    rows, left_out = [Variation("front_end", None, None, front_end)], []
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
        attempt(f"front_end.{name} = {value}", partial(_of_chip, front_end, name, value, taken))
    simulated = wanted.of("simulated")
    if clusters and simulated:
        numbers = (clusters // 2, clusters - clusters // 2, seed)
        attempt("simulated", partial(_of_sensor, front_end, detector, None, None, numbers))
        if rows[-1].sample is None:
            simulated = []
        for name, value in simulated:
            make = partial(_of_sensor, front_end, detector, name, value, numbers)
            attempt(f"simulated.{name} = {value}", make)
    return Plan(tuple(rows), tuple(left_out))


def _of_chip(nominal: FrontEnd | None, name: str, value: Any, inputs: frozenset[str]) -> Variation:
    """One field of the front end in place of the model's own; the same where nothing changes."""
    if name == "time_resolution_ps" and _MEASURED not in inputs:
        if not inputs & _RECORDED_PS.keys():
            msg = "the network takes no arrival time (train with --time)"
            raise ConfigError(msg)
        if not 0 < value < inf:
            msg = f"{value:g}; expected more than 0 ps"
            raise ConfigError(msg)
        return Variation("front_end", name, value, nominal, resolution_ps=value)
    own, gain = nominal or FrontEnd(), 1.0
    changes: dict[str, Any] = {name: value}
    if name == "gain":
        lowest, highest = _GAINS
        if not lowest <= value <= highest:
            msg = f"{value:g}; expected {lowest:g} to {highest:g}"
            raise ConfigError(msg)
        changes, gain = {"noise_e": own.noise_e * value}, value
    elif name == "threshold_shift_e":
        changes = {"threshold_e": own.threshold_e + value}
    elif name == "window_jitter_px":
        changes["window"] = "jitter" if value else "keep"
    elif name == "window":
        changes["window_jitter_px"] = 0
    changed = replace(own, **changes)
    return Variation("front_end", name, value, nominal if changed == own else changed, gain=gain)


def _of_sensor(
    front_end: FrontEnd | None,
    detector: Detector,
    name: str | None,
    value: Any,
    numbers: tuple[int, int, int],
) -> Variation:
    changed = detector if name is None else varied_detector(detector, name, value)
    return Variation("simulated", name, value, front_end, Sample(*numbers, changed))


def varied_detector(detector: Detector, name: str, value: float) -> Detector:
    """The detector with one field of its sensor or barrel changed.

    A measured Lorentz tangent or diffusion width changes in the ratio of the formulas' values, so
    that the nominal value changes nothing.
    """
    if name == "field_T":
        changed = replace(detector, barrel=replace(detector.barrel, field_T=value))
    else:
        field: dict[str, Any] = {name: value}
        changed = replace(detector, sensor=replace(detector.sensor, **field))
    sensor, (before, after) = changed.sensor, (_by_formula(d) for d in (detector, changed))
    measured: dict[str, Any] = {}
    if sensor.lorentz_tangent is not None and name != "lorentz_tangent":
        then, now = lorentz_tangent(before), lorentz_tangent(after)
        measured["lorentz_tangent"] = sensor.lorentz_tangent * (now / then) if then else None
    if sensor.diffusion_um is not None and name != "diffusion_um":
        ratio = diffusion_um(after.sensor) / diffusion_um(before.sensor)
        measured["diffusion_um"] = sensor.diffusion_um * ratio
    return replace(changed, sensor=replace(sensor, **measured))


def _by_formula(detector: Detector) -> Detector:
    sensor = replace(detector.sensor, lorentz_tangent=None, diffusion_um=None)
    return replace(detector, sensor=sensor)


def collected(clusters: Clusters, gain: float, resolution_ps: float | None) -> Clusters:
    """The clusters with charges times `gain` and times as a clock of `resolution_ps` records them.

    Each time keeps its own draw: its distance from the true time grows or shrinks (None: times
    stay). Groups stay. Raises `DataError` where the true time is needed and missing.
    """
    changes: dict[str, Any] = {}
    if gain != 1:
        changes["group_id"] = clusters.groups().astype(np.int64)
        changes["pixels_e"] = clusters.pixels_e * np.float32(gain)
    if resolution_ps is not None:
        changes |= _times(clusters, resolution_ps)
    return clusters.replace(**changes) if changes else clusters


def _times(clusters: Clusters, resolution_ps: float) -> dict[str, Any]:
    if "hit_time_ns" not in clusters.truth:
        msg = (
            f"{clusters.origin}: column 'hit_time_ns' is missing; a changed time_resolution_ps "
            "starts from it"
        )
        raise DataError(msg)
    true, changes = clusters.truth["hit_time_ns"], {}
    for feature, recorded_ps in _RECORDED_PS.items():
        recorded = getattr(clusters, f"{feature}_ns")
        if recorded is not None and resolution_ps != recorded_ps:
            scale = resolution_ps / recorded_ps
            changes[f"{feature}_ns"] = (true + scale * (recorded - true)).astype(np.float32)
    return changes
