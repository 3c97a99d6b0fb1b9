"""`FrontEnd`: the settings of a chip's analog and digital front end, as frozen data."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import inf
from pathlib import Path
from typing import Literal

from pixelsieve.core.config import from_mapping, read_toml
from pixelsieve.core.errors import ConfigError
from pixelsieve.display.shown import ShowsFields, changes, one_line

_MOST_BITS = 16
_WIDEST_JITTER = 64


@dataclass(frozen=True, slots=True)
class FrontEnd(ShowsFields):
    """A front end, in the order in which a signal meets it; the defaults change nothing.

    - `noise_e`: Gaussian width, on every pixel of the window.
    - `gain_dispersion`: relative Gaussian width of the pixels' gains.
    - `saturation_e`: the amplifier gives no more than this.
    - `dead_pixel_share`: share of pixels that never fire, drawn anew for each cluster, since it
      may lie anywhere on the sensor.
    - `threshold_e`, `threshold_dispersion_e`: a pixel fires where its charge is at or above its
      own threshold, and above 0.
    - `adc`: `none` keeps the charge; `linear` has 2^`adc_bits` equal steps up to
      `adc_full_scale_e`; `codes` has the lower edges of codes 1, 2, ... in `adc_codes_e`. A code
      stands for the middle of its step, so charges stay in electrons; a pixel that fires has at
      least the lowest code (code 0 of `linear`, code 1 of `codes`).
    - `time_resolution_ps`: Gaussian width of the measured arrival time.
    - `window`: `keep`, `centroid` (centred on what was read out) or `jitter` (shifted by up to
      `window_jitter_px` whole pixels in each direction).

    Raises `ConfigError` for values out of range and for values that the chosen `adc` or `window`
    does not use.

    Examples
    --------
    >>> front_end = ps.FrontEnd(noise_e=80, threshold_e=400, time_resolution_ps=50)
    >>> data.through(front_end)
    Dataset(1 file, not read yet; behind a front end; split by hash of group_id)
    """

    noise_e: float = 0.0
    gain_dispersion: float = 0.0
    saturation_e: float | None = None
    dead_pixel_share: float = 0.0
    threshold_e: float = 0.0
    threshold_dispersion_e: float = 0.0
    adc: Literal["none", "linear", "codes"] = "none"
    adc_bits: int | None = None
    adc_full_scale_e: float | None = None
    adc_codes_e: tuple[float, ...] = ()
    time_resolution_ps: float | None = None
    window: Literal["keep", "centroid", "jitter"] = "keep"
    window_jitter_px: int = 0
    seed: int = 0

    def __repr__(self) -> str:
        return one_line("FrontEnd", *(changes(self) or ["changes nothing"]))

    def __post_init__(self) -> None:
        for name in ("noise_e", "threshold_e", "threshold_dispersion_e"):
            self._require(name, 0 <= getattr(self, name) < inf, "0 or more electrons")
        for name in ("gain_dispersion", "dead_pixel_share"):
            self._require(name, 0 <= getattr(self, name) < 1, "from 0, below 1")
        for name in ("saturation_e", "adc_full_scale_e"):
            value = getattr(self, name)
            above = value is None or self.threshold_e < value < inf
            self._require(name, above, f"more than threshold_e ({self.threshold_e:g})")
        time = self.time_resolution_ps
        self._require("time_resolution_ps", time is None or 0 < time < inf, "above 0 (or 'none')")
        self._require("seed", 0 <= self.seed < 2**63, "0 to 2^63 - 1")
        self._check_adc()
        if self.window == "jitter":
            jitter = self.window_jitter_px
            self._require("window_jitter_px", 1 <= jitter <= _WIDEST_JITTER, "1 to 64 pixels")
        else:
            unused = self.window_jitter_px == 0
            self._require("window_jitter_px", unused, "none, since window is not 'jitter'")

    def _check_adc(self) -> None:
        used = {"linear": ("adc_bits", "adc_full_scale_e"), "codes": ("adc_codes_e",)}
        for adc, names in used.items():
            for name in names:
                given = getattr(self, name) not in (None, ())
                if adc == self.adc and not given:
                    msg = f"'{name}' is missing; expected a value, since adc is '{adc}'"
                    raise ConfigError(msg)
                if adc != self.adc:
                    self._require(name, not given, f"none, since adc is '{self.adc}'")
        bits, edges = self.adc_bits, self.adc_codes_e
        self._require("adc_bits", bits is None or 1 <= bits <= _MOST_BITS, "1 to 16")
        rising = all(a < b for a, b in pairwise((0.0, *edges, inf)))
        self._require("adc_codes_e", rising, "rising edges above 0")
        if edges:
            enough = self.threshold_e >= edges[0]
            expected = f"at least the edge of code 1 ({edges[0]:g}); what lies below has no code"
            self._require("threshold_e", enough, expected)

    def _require(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            msg = f"'{name}' is {getattr(self, name)!r}; expected {expected}"
            raise ConfigError(msg)

    @property
    def code_values_e(self) -> tuple[float, ...]:
        """The charge that each code stands for, from code 0; empty without an ADC.

        The middle of its step; code 0 of `codes` is a silent pixel. The last of `adc_codes_e` is
        open upwards: it counts as wide as the one below (and a single code stands for its edge).
        """
        if self.adc == "linear":
            assert self.adc_bits is not None
            assert self.adc_full_scale_e is not None
            step = self.adc_full_scale_e / 2**self.adc_bits
            return tuple((code + 0.5) * step for code in range(2**self.adc_bits))
        edges = self.adc_codes_e
        widths = [b - a for a, b in pairwise(edges)]
        widths += widths[-1:] or [0.0] * len(edges)
        middles = (edge + width / 2 for edge, width in zip(edges, widths, strict=True))
        return (0.0, *middles) if edges else ()


def read_front_end(path: Path) -> FrontEnd:
    """Read a TOML file of `FrontEnd`'s fields; `ConfigError` names the file and the key."""
    return from_mapping(FrontEnd, read_toml(path), str(path))
