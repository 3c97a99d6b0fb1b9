"""The signal: muons of a particle gun at the beam crossing, and the few secondaries they make."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from pixelsieve.core.config import require_between
from pixelsieve.core.errors import ConfigError
from pixelsieve.data.detector import (
    LIGHT_MM_PER_NS,
    MUON_MASS_GEV,
    MUON_PDG,
    Barrel,
    straight_flight_ns,
)
from pixelsieve.simulation.burr import Burr
from pixelsieve.simulation.tracks import (
    Tracks,
    arc_length_mm,
    half_turn_angle,
    radius_of_curvature_mm,
)

MUON_UNIFORMS = 10
"""Uniform numbers that one muon takes."""

MID_DEPTH_MM = 0.025
"""Depth at which the sample takes the hit time: it is late by this path over c (0.08 to 0.2 ps)."""

STEEPEST_SLOPE = 10.0
TINY = 1e-15
ACCEPTANCE_ROUNDS = 3

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Secondaries:
    """Signal hits whose slopes are not the muon's: delta electrons and other crossings.

    Their position is the muon's; |pz/pT|, |tan| of the crossing angle and delay are independent
    Burr laws, fitted on the 456 such hits of simB train by `benchmarks/fit_kinematics.py`
    (rank correlations below 0.12), slopes up to 10. The share `prompt_share` has no delay. Raise
    `ConfigError` for shares outside 0 to 1.
    """

    prompt_share: float = 0.2149

    cot_theta: Burr = field(default_factory=lambda: Burr(1.88, 1.139, 3.633))
    tan_beta: Burr = field(default_factory=lambda: Burr(4.519, 0.9879, 5.44))
    delay_ns: Burr = field(default_factory=lambda: Burr(0.02347, 1.682, 1.183))

    def __post_init__(self) -> None:
        require_between(self, "prompt_share", 0.0, 1.0)

    def delays_ns(self, u: Floats) -> Floats:
        """Delays of the uniforms `u`: none for the prompt ones, rising beyond."""
        late = np.maximum(u - self.prompt_share, 0) / max(1 - self.prompt_share, TINY)
        return self.delay_ns.quantile(np.minimum(late, 1 - TINY))


@dataclass(frozen=True, slots=True)
class MuonGun:
    """Muons and antimuons with p and polar angle uniform, from (0, 0, `vertex_z_mm`-wide z).

    p, not pT, is uniform and the vertex has no width in the sample (measured on simB train).
    `secondary_share` of the hits are `secondaries`. Raise `ConfigError` for ranges that are empty
    or unphysical.
    """

    p_min_gev: float = 1.0
    p_max_gev: float = 100.0
    theta_min_deg: float = 10.0
    theta_max_deg: float = 170.0
    vertex_z_mm: float = 0.0
    secondary_share: float = 0.018
    secondaries: Secondaries = field(default_factory=Secondaries)

    def __post_init__(self) -> None:
        for low, high, end in (
            ("p_min_gev", "p_max_gev", float("inf")),
            ("theta_min_deg", "theta_max_deg", 180.0),
        ):
            first, last = getattr(self, low), getattr(self, high)
            if not 0 < first <= last < end:
                msg = f"'{low}' is {first:g} and '{high}' {last:g}; expected 0 < {low} <= {high}"
                raise ConfigError(msg + f" < {end:g}")
        require_between(self, "vertex_z_mm", 0.0, 1000.0)
        require_between(self, "secondary_share", 0.0, 1.0)


def muons(gun: MuonGun, barrel: Barrel, uniforms: Floats) -> Tracks:
    """Muon hits on the ladder, one per row of `uniforms` (n, `MUON_UNIFORMS`) in (0, 1).

    Every row hits: the angles are drawn inside the acceptance |z| < half length, so row i depends
    on row i alone. Azimuth at the ladder is uniform. Raise `ConfigError` if the gun's range of
    angles misses the ladder, or where a muon cannot reach it.
    """
    _require_reach(gun, barrel)
    columns = np.ascontiguousarray(uniforms.T)
    u_p, u_charge, u_y, u_theta, u_vertex, u_secondary, *u_rest = columns
    p_gev = gun.p_min_gev + (gun.p_max_gev - gun.p_min_gev) * u_p
    charge = np.where(u_charge < 0.5, -1.0, 1.0)  # noqa: PLR2004 (one half)
    y_mm = _uniform_in_azimuth(barrel, u_y)
    vertex_mm = gun.vertex_z_mm * ndtri(u_vertex)
    cot_theta = _cot_theta_in_acceptance(gun, barrel, p_gev, y_mm, vertex_mm, u_theta)

    chord = np.hypot(barrel.ladder_distance_mm, y_mm)
    pt_gev = p_gev / np.hypot(1, cot_theta)
    turn = half_turn_angle(chord, radius_of_curvature_mm(pt_gev, barrel.field_T))
    arc = arc_length_mm(chord, turn)
    z_mm = vertex_mm + arc * cot_theta
    cot_beta = np.tan(charge * turn - np.arctan2(y_mm, barrel.ladder_distance_mm))
    cot_alpha = -cot_theta * np.hypot(1, cot_beta)

    path = arc * np.hypot(1, cot_theta) + MID_DEPTH_MM * np.sqrt(1 + cot_alpha**2 + cot_beta**2)
    flight_ns = path / LIGHT_MM_PER_NS * np.hypot(1, MUON_MASS_GEV / p_gev)
    time_ns = flight_ns - straight_flight_ns(barrel.radius_mm, z_mm)

    rows = np.flatnonzero(u_secondary < gun.secondary_share)
    if len(rows):
        u_cot, u_tan, u_delay, u_signs = (u[rows] for u in u_rest)
        tan_beta = gun.secondaries.tan_beta.cut_quantile(u_tan, STEEPEST_SLOPE)
        secant = np.hypot(1, tan_beta)
        steepness = gun.secondaries.cot_theta.cut_quantile(u_cot, STEEPEST_SLOPE / secant)
        signs = (4 * u_signs).astype(np.int64)
        cot_beta[rows] = tan_beta * (1 - 2 * (signs & 1))
        cot_alpha[rows] = steepness * secant * (1 - (signs & 2))
        time_ns[rows] += gun.secondaries.delays_ns(u_delay)
    n = len(uniforms)
    return Tracks(
        signal=np.ones(n, dtype=np.int8),
        pdg=(-MUON_PDG * charge).astype(np.int32),
        p_gev=p_gev,
        pt_gev=pt_gev,
        cot_alpha=cot_alpha,
        cot_beta=cot_beta,
        z_global_mm=z_mm,
        y_local_mm=y_mm,
        hit_time_ns=time_ns,
    )


def _uniform_in_azimuth(barrel: Barrel, u: Floats) -> Floats:
    low = np.arctan2(barrel.y_low_mm, barrel.ladder_distance_mm)
    high = np.arctan2(barrel.y_high_mm, barrel.ladder_distance_mm)
    return np.asarray(barrel.ladder_distance_mm * np.tan(low + (high - low) * u))


def _cot_theta_in_acceptance(
    gun: MuonGun, barrel: Barrel, p_gev: Floats, y_mm: Floats, vertex_mm: Floats, u: Floats
) -> Floats:
    """cot(theta) with theta uniform where the gun's range meets |z| < half length."""
    ends_mm = barrel.half_length_mm
    first = _theta_reaching(barrel, p_gev, y_mm, ends_mm - vertex_mm)
    last = _theta_reaching(barrel, p_gev, y_mm, -ends_mm - vertex_mm)
    first = np.maximum(first, np.deg2rad(gun.theta_min_deg))
    last = np.minimum(last, np.deg2rad(gun.theta_max_deg))
    if np.any(first > last):
        msg = (
            f"'theta_min_deg' {gun.theta_min_deg:g} to 'theta_max_deg' {gun.theta_max_deg:g} "
            f"misses the ladder of half length {ends_mm:g} mm; widen the range"
        )
        raise ConfigError(msg)
    return np.asarray(1 / np.tan(first + (last - first) * u))


def _theta_reaching(barrel: Barrel, p_gev: Floats, y_mm: Floats, reach_mm: Floats) -> Floats:
    """Polar angle of the helix that advances by `reach_mm` along z on its way to the ladder.

    The arc depends on pT = p sin(theta): a fixed point, found in a few rounds because the arc
    exceeds its chord by very little.
    """
    chord = np.hypot(barrel.ladder_distance_mm, y_mm)
    cot = reach_mm / chord
    for _ in range(ACCEPTANCE_ROUNDS if barrel.field_T else 0):
        radius = radius_of_curvature_mm(p_gev / np.hypot(1, cot), barrel.field_T)
        cot = reach_mm / arc_length_mm(chord, half_turn_angle(chord, radius))
    return np.asarray(np.arctan2(1, cot))


def _require_reach(gun: MuonGun, barrel: Barrel) -> None:
    """Raise `ConfigError` if the softest muon curls up before the ladder's far corner."""
    steepest = min(
        (barrel.half_length_mm + 5 * gun.vertex_z_mm) / barrel.ladder_distance_mm,
        1 / np.tan(np.deg2rad(min(gun.theta_min_deg, 180 - gun.theta_max_deg))),
    )
    pt_gev = np.asarray(gun.p_min_gev / np.hypot(1, steepest))
    corner_mm = np.hypot(
        barrel.ladder_distance_mm, max(abs(barrel.y_low_mm), abs(barrel.y_high_mm))
    )
    if 2 * radius_of_curvature_mm(pt_gev, barrel.field_T) < corner_mm:
        msg = (
            f"'p_min_gev' is {gun.p_min_gev:g}; such muons do not reach the ladder in "
            f"{barrel.field_T:g} T; expected more"
        )
        raise ConfigError(msg)
