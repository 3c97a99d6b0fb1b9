"""What `robustness` varies: lists of values for fields of the front end and of the detector."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from pixelsieve.config import from_mapping, read_toml
from pixelsieve.detector import Detector
from pixelsieve.errors import ConfigError

__all__ = [
    "ROBUSTNESS",
    "DetectorVariations",
    "FrontEndVariations",
    "Variations",
    "default_variations",
    "read_variations",
]

ROBUSTNESS = "robustness.json"
"""The file that holds what `studies.robustness` finds."""


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
    """A few values a field, about those of `detector`."""
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

    Raises `ConfigError`, which names the file, for unknown keys, values of another type, and a
    file that varies nothing.
    """
    found = from_mapping(Variations, read_toml(path), str(path))
    if found == Variations():
        msg = f"{path}: varies nothing; expected tables front_end or simulated with lists of values"
        raise ConfigError(msg)
    return found
