"""`Sample`: what to simulate, as data; and any stretch of its clusters, the same in any chunk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from pixelsieve.core import config
from pixelsieve.core.config import Document, from_mapping
from pixelsieve.core.errors import ConfigError
from pixelsieve.data.clusters import Clusters
from pixelsieve.data.detector import MUON_COLLIDER_VXD, Barrel, Detector, Sensor, straight_flight_ns
from pixelsieve.simulation.bib import BIB_UNIFORMS, SAMPLE_BIB, BibModel, bib
from pixelsieve.simulation.ionization import Ionization
from pixelsieve.simulation.muons import MUON_UNIFORMS, MuonGun, muons
from pixelsieve.simulation.sensor_response import respond
from pixelsieve.simulation.streams import start_states, uniforms
from pixelsieve.simulation.tracks import Tracks
from pixelsieve.simulation.transport import Transport, diffusion_um, drift_velocity_um_ns

_TRACK_STREAM, _SENSOR_STREAM, _GROUP_STREAM = 1, 2, 3
_RESOLUTIONS_NS = {"hit_time_30ps_ns": 0.030, "hit_time_60ps_ns": 0.060}
_MOST_CLUSTERS = 2 * 10**9  # their products fit 64 bits
_MOST_SEED = 2**63
_WIDEST_DIFFUSION = 0.35  # of the pitch: charge is shared with the next pixels only


@dataclass(frozen=True, slots=True)
class Sample:
    """Clusters to simulate: how many of each class, from which particles, in which detector.

    Classes are interleaved evenly, so every stretch holds both in proportion. Cluster i depends
    on `seed`, i and the settings alone.
    """

    n_signal: int
    n_bib: int
    seed: int = 0
    detector: Detector = MUON_COLLIDER_VXD
    ionization: Ionization = field(default_factory=Ionization)
    transport: Transport = field(default_factory=Transport)
    gun: MuonGun = field(default_factory=MuonGun)
    bib: BibModel = SAMPLE_BIB

    def __post_init__(self) -> None:
        for name, most in (
            ("n_signal", _MOST_CLUSTERS),
            ("n_bib", _MOST_CLUSTERS),
            ("seed", _MOST_SEED),
        ):
            if not 0 <= getattr(self, name) < most:
                msg = f"'{name}' is {getattr(self, name)}; expected 0 to {most - 1}"
                raise ConfigError(msg)
        if not 0 < self.n_signal + self.n_bib < _MOST_CLUSTERS:
            msg = f"{self.n_signal + self.n_bib} clusters asked for; expected 1 to {_MOST_CLUSTERS}"
            raise ConfigError(msg)
        self._require_narrow_diffusion()
        self._require_whole_pulses()
        muons(self.gun, self.detector.barrel, np.full((1, MUON_UNIFORMS), 0.5))

    def _require_narrow_diffusion(self) -> None:
        sensor = self.detector.sensor
        width, pitch = diffusion_um(sensor), min(sensor.pitch_x_um, sensor.pitch_y_um)
        if width > _WIDEST_DIFFUSION * pitch:
            msg = (
                f"detector: charge diffuses by {width:.3g} um, more than {_WIDEST_DIFFUSION:g} of "
                f"the pitch of {pitch:g} um, which this simulator does not model; raise 'bias_V' "
                "or the pitch"
            )
            raise ConfigError(msg)

    def _require_whole_pulses(self) -> None:
        sensor, slices = self.detector.sensor, self.transport.n_slices
        slowest = min(drift_velocity_um_ns(sensor), drift_velocity_um_ns(sensor, "hole"))
        needed = int(np.ceil(sensor.thickness_um / slowest / (sensor.slice_ps / 1000)))
        if 0 < slices < needed:
            msg = (
                f"transport: 'n_slices' is {slices}; charge drifts for up to "
                f"{sensor.thickness_um / slowest:.3g} ns, expected at least {needed} slices of "
                f"{sensor.slice_ps:g} ps (or 0)"
            )
            raise ConfigError(msg)

    def __len__(self) -> int:
        return self.n_signal + self.n_bib

    def is_signal(self, index: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether clusters at `index` (n,) are signal: spread evenly, exact in number."""
        whole = len(self)
        return np.asarray((index + 1) * self.n_signal // whole > index * self.n_signal // whole)


def generate(sample: Sample, first: int, count: int) -> Clusters:
    """Clusters `first` to `first` + `count` - 1 of the sample; pure.

    Every particle is of its own: `event_id` is its index, `group_id` a hash of seed and index, so
    that samples of other seeds and real ones share no group with it. Positions are those of the
    window's middle, on the pixel grid.
    """
    index = np.arange(first, first + count, dtype=np.int64)
    signal = sample.is_signal(index)
    width = max(MUON_UNIFORMS, BIB_UNIFORMS)
    u = uniforms(sample.seed, _TRACK_STREAM, first, count, width + len(_RESOLUTIONS_NS))
    tracks = _join(
        signal,
        muons(sample.gun, sample.detector.barrel, u[signal, :MUON_UNIFORMS]),
        bib(sample.bib, sample.detector.barrel, u[~signal, :BIB_UNIFORMS]),
    )
    response = respond(
        sample.detector,
        sample.ionization,
        sample.transport,
        start_states(sample.seed, _SENSOR_STREAM, first, count),
        tracks.pdg,
        tracks.p_gev,
        tracks.cot_alpha,
        tracks.cot_beta,
    )
    sensor, barrel = sample.detector.sensor, sample.detector.barrel
    z = _on_grid(tracks.z_global_mm, sensor.pitch_x_um, response.shifts[:, 1])
    y = _on_grid(tracks.y_local_mm, sensor.pitch_y_um, response.shifts[:, 0])
    smeared = {
        name: (tracks.hit_time_ns + special.ndtri(u[:, width + i]) * sigma).astype(np.float32)
        for i, (name, sigma) in enumerate(_RESOLUTIONS_NS.items())
    }
    flight = straight_flight_ns(barrel.radius_mm, tracks.z_global_mm)
    return Clusters(
        pixels_e=response.pixels_e,
        slices_e=response.slices_e,
        signal=tracks.signal,
        z_global_mm=z,
        y_local_mm=y,
        **smeared,
        group_id=(start_states(sample.seed, _GROUP_STREAM, first, count) >> np.uint64(1)).astype(
            np.int64
        ),
        event_id=index,
        truth={
            "hit_time_ns": tracks.hit_time_ns.astype(np.float32),
            "total_charge_e": response.total_charge_e,
            "truth_pdg": tracks.pdg,
            "truth_pt_gev": tracks.pt_gev.astype(np.float32),
            "truth_cot_alpha": tracks.cot_alpha.astype(np.float32),
            "truth_cot_beta": tracks.cot_beta.astype(np.float32),
            "truth_hit_time_ns": (tracks.hit_time_ns + flight).astype(np.float32),
        },
        detector=sample.detector,
        origin="simulation",
        first_row=first,
    )


def _join(signal: NDArray[np.bool_], ours: Tracks, theirs: Tracks) -> Tracks:
    columns = {}
    for column in fields(Tracks):
        a, b = getattr(ours, column.name), getattr(theirs, column.name)
        joined = np.empty(len(signal), a.dtype)
        joined[signal], joined[~signal] = a, b
        columns[column.name] = joined
    return Tracks(**columns)


def _on_grid(
    position_mm: NDArray[np.float64], pitch_um: float, shift: NDArray[np.int16]
) -> NDArray[np.float32]:
    pitch_mm = pitch_um / 1000
    return ((np.round(position_mm / pitch_mm) + shift) * pitch_mm).astype(np.float32)


def sample_from_mapping(mapping: Document, where: str, **given: Any) -> Sample:
    """A `Sample` from plain data (TOML), with `given` values in place of what it says.

    Tables `ionization`, `transport`, `gun`, `bib`; `detector` is a preset's name, or a table with
    `preset` and the values of `sensor` and `barrel` that differ. Where field, bias, temperature
    or thickness differ, measured Lorentz tangent and diffusion give way to the formulas unless
    given too. Raise `ConfigError`.
    """
    plain = {**mapping, **{k: v for k, v in given.items() if v is not None}}
    detector = _detector(plain.pop("detector", MUON_COLLIDER_VXD.name), where)
    if isinstance(plain.get("bib"), Mapping):
        plain["bib"] = _overlay(SAMPLE_BIB, BibModel, plain["bib"], f"{where}: bib")
    counts = {name: plain.get(name, 0) for name in ("n_signal", "n_bib")}
    return from_mapping(Sample, {**plain, **counts, "detector": detector}, where)


def differences(sample: Sample) -> Document:
    """Settings that differ from the defaults, by dotted name; numbers and seed left out."""
    usual = Sample(sample.n_signal, sample.n_bib, sample.seed)
    return {name: ours for name, (ours, _) in config.differences(sample, usual).items()}


def _detector(value: Any, where: str) -> Detector:
    if isinstance(value, Detector):
        return value
    table: Document = {"preset": value} if isinstance(value, str) else _table(value, where)
    name = table.pop("preset", MUON_COLLIDER_VXD.name)
    try:
        base = Detector.preset(name)
    except ConfigError as error:
        msg = f"{where}: {error}"
        raise ConfigError(msg) from error
    if not table:
        return base
    sensor = _table(table.pop("sensor", {}), f"{where}: detector.sensor")
    barrel = _table(table.pop("barrel", {}), f"{where}: detector.barrel")
    label = str(table.pop("name", f"{name}, changed"))
    if table:
        msg = f"{where}: detector: unknown key '{next(iter(table))}'; "
        raise ConfigError(msg + "known: preset, name, sensor, barrel")
    measured = {"lorentz_tangent", "diffusion_um"}
    if {"bias_V", "temperature_K", "thickness_um"} & set(sensor) or "field_T" in barrel:
        sensor = {**dict.fromkeys(measured), **sensor}
    return Detector(
        label,
        _overlay(base.sensor, Sensor, sensor, f"{where}: detector.sensor"),
        _overlay(base.barrel, Barrel, barrel, f"{where}: detector.barrel"),
    )


def _table(value: Any, where: str) -> Document:
    if not isinstance(value, Mapping):
        msg = f"{where} is {value!r}; expected a table"
        raise ConfigError(msg)
    return dict(value)


def _overlay(base: Any, cls: type[Any], changes: Document, where: str) -> Any:
    values = {f.name: getattr(base, f.name) for f in fields(cls)}
    return from_mapping(cls, {**values, **changes}, where)
