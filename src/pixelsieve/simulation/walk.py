"""Compiled: particles that cross the sensor and leave pairs behind.

Coordinates as in `charge`. Directions are unit vectors (x, y, s).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pixelsieve.data.detector import ELECTRON_MASS_EV, LIGHT_MM_PER_NS
from pixelsieve.simulation.charge import Exposure, Geometry, State, collect, collect_inlined
from pixelsieve.simulation.compilation import compiled, inlined
from pixelsieve.simulation.ionization import Tables
from pixelsieve.simulation.streams import binomial, poisson, uniform

_DELTA_STEPS = 14
_RANGE_UM, _RANGE_POWER, _RANGE_BEND = 0.030, 1.73, -0.28  # practical range of 1 keV and its rise
_RADIATION_LENGTH_UM = 93_700.0
_HIGHLAND_EV = 13.6e6
_HIGHLAND_LOG = 0.038
_BEND_KEV = 100.0  # where the range's power law bends
_STRAIGHT = 1e-9  # a direction along y has no plane with the field
_SLOW_EV = 50_000.0  # below, an electron's range is a few steps: it walks as a delta ray does
_END_PARTS = 3  # of the first and the last step of a straight track
_MOST_STEPS = 5_000  # a particle that turns along the sensor is followed for 5 mm
_TAIL = math.log(1e5)

Floats = NDArray[np.float64]


class Particle(NamedTuple):
    """A particle at a point: position in um, direction, mass and kinetic energy in eV, charge."""

    x: float
    y: float
    s: float
    ux: float
    uy: float
    us: float
    mass_ev: float
    kinetic_ev: float
    charge: float


@compiled
def _grid_index(state: State, tables: Tables, beta_gamma: float) -> int:
    """A neighbouring grid point, drawn so that the mean over draws interpolates."""
    position = (math.log(beta_gamma) - tables.first_log_beta_gamma) / tables.log_beta_gamma_step
    position = min(max(position, 0.0), len(tables.hard_rate) - 1.0)
    i = int(position)
    return i + 1 if uniform(state) < position - i else i


@inlined
def _draw(state: State, keep: NDArray[np.float32], alias: NDArray[np.uint16]) -> int:
    position = uniform(state) * len(keep)
    i = int(position)
    return i if position - i < keep[i] else int(alias[i])


@inlined
def _pairs(
    state: State,
    head_keep: NDArray[np.float32],
    head_alias: NDArray[np.uint16],
    tables: Tables,
    index: int,
) -> int:
    """Pairs of one step; the head's row is given, as taking it costs more than drawing from it."""
    count = _draw(state, head_keep, head_alias)
    if count == len(head_keep) - 1:
        count = _draw(state, tables.tail.keep[index], tables.tail.alias[index])
    return count


@compiled
def _hard_energy(state: State, tables: Tables, index: int) -> float:
    last = tables.hard_energy_ev.shape[1] - 1
    position = min(-math.log(1.0 - uniform(state)) / _TAIL * last, last - 1e-6)
    i = int(position)
    low = tables.hard_energy_ev[index, i]
    return float(low + (tables.hard_energy_ev[index, i + 1] - low) * (position - i))


@compiled
def delta_range_um(kinetic_ev: float) -> float:
    """Path of an electron in silicon, 1 keV to 1 MeV, in um (power laws near NIST ESTAR)."""
    energy = kinetic_ev / 1000.0
    path = _RANGE_UM * energy**_RANGE_POWER
    return float(path * (energy / _BEND_KEV) ** _RANGE_BEND if energy > _BEND_KEV else path)


@compiled
def _energy_of_range(path_um: float) -> float:
    energy = (path_um / _RANGE_UM) ** (1.0 / _RANGE_POWER)
    if energy > _BEND_KEV:
        above = path_um / (_RANGE_UM * _BEND_KEV**-_RANGE_BEND)
        energy = above ** (1.0 / (_RANGE_POWER + _RANGE_BEND))
    return float(energy * 1000.0)


@compiled
def _turn(
    state: State, ux: float, uy: float, us: float, cosine: float
) -> tuple[float, float, float]:
    """Deflect a direction by an angle of that cosine, at a random azimuth."""
    sine = math.sqrt(max(0.0, 1.0 - cosine * cosine))
    azimuth = 2.0 * math.pi * uniform(state)
    a, b = sine * math.cos(azimuth), sine * math.sin(azimuth)
    across = math.sqrt(ux * ux + us * us)
    if across < _STRAIGHT:
        return a, uy * cosine, b
    # Two axes across the direction: one in the plane of x and s, one completing the frame.
    px, ps = us / across, -ux / across
    qx, qy, qs = uy * ps, us * px - ux * ps, -uy * px
    return (
        ux * cosine + a * px + b * qx,
        uy * cosine + b * qy,
        us * cosine + a * ps + b * qs,
    )


@compiled
def _scatter(
    state: State, ux: float, uy: float, us: float, width: float
) -> tuple[float, float, float]:
    """Multiple scattering: `width` is the projected angle's, in rad."""
    angle = width * math.sqrt(-2.0 * math.log(1.0 - uniform(state)))
    return _turn(state, ux, uy, us, math.cos(min(angle, math.pi)))


@compiled
def _bend(ux: float, uy: float, us: float, angle: float) -> tuple[float, float, float]:
    """Turn about the field, which is along x."""
    c, n = math.cos(angle), math.sin(angle)
    return ux, uy * c + us * n, us * c - uy * n


@compiled
def _momentum_ev(mass_ev: float, kinetic_ev: float) -> float:
    return math.sqrt(kinetic_ev * (kinetic_ev + 2.0 * mass_ev))


@compiled
def _inside(s: float, geometry: Geometry) -> bool:
    return 0.0 <= s <= geometry.thickness_um


@compiled
def walk_delta(to: Exposure, tables: Tables, electron: Particle) -> int:
    """An electron that ends in the sensor or leaves it: 14 steps of its range; pairs left behind.

    Energy follows the residual range, scattering Highland's width without the logarithm.
    """
    state, geometry = to.state, to.geometry
    x, y, s = electron.x, electron.y, electron.s
    ux, uy, us = electron.ux, electron.uy, electron.us
    energy, total = electron.kinetic_ev, 0
    path = delta_range_um(energy)
    step = path / _DELTA_STEPS
    for i in range(_DELTA_STEPS):
        left = _energy_of_range(path - (i + 1) * step) if i < _DELTA_STEPS - 1 else 0.0
        part = uniform(state)
        sx, sy, ss = x + ux * step * part, y + uy * step * part, s + us * step * part
        if not _inside(ss, geometry):
            break
        count = poisson(state, (energy - left) / tables.pair_ev)
        collect(to, count, sx, sy, ss)
        total += count
        x, y, s = x + ux * step, y + uy * step, s + us * step
        energy = left
        if energy <= 0.0 or not _inside(s, geometry):
            break
        momentum = _momentum_ev(ELECTRON_MASS_EV, energy)
        beta = momentum / (energy + ELECTRON_MASS_EV)
        width = _HIGHLAND_EV / (momentum * beta) * math.sqrt(step / _RADIATION_LENGTH_UM)
        ux, uy, us = _bend(
            ux, uy, us, electron.charge * LIGHT_MM_PER_NS * geometry.field_T * step / momentum
        )
        ux, uy, us = _scatter(state, ux, uy, us, width)
    return total


@compiled
def _eject(to: Exposure, tables: Tables, parent: Particle, energy_ev: float) -> int:
    """A hard collision: a delta ray at the angle that energy and momentum ask for."""
    state, x, y, s = to.state, parent.x, parent.y, parent.s
    if not tables.delta_rays:
        count = poisson(state, energy_ev / tables.pair_ev)
        collect(to, count, x, y, s)
        return count
    cosine = math.sqrt(energy_ev / (energy_ev + 2.0 * ELECTRON_MASS_EV))
    ux, uy, us = _turn(state, parent.ux, parent.uy, parent.us, cosine)
    ray = Particle(x, y, s, ux, uy, us, ELECTRON_MASS_EV, energy_ev, -1.0)
    return walk_delta(to, tables, ray)


@compiled
def walk_straight(to: Exposure, tables: Tables, particle: Particle, beta_gamma: float) -> int:
    """A straight track at constant beta gamma, from `particle` on the entry face; pairs made."""
    state, path = to.state, to.geometry.thickness_um / particle.us
    index = _grid_index(state, tables, beta_gamma)
    n_steps = int(path / tables.step_um + uniform(state))
    keep, alias = tables.head.keep[index], tables.head.alias[index]
    total = 0
    for i in range(n_steps):
        count = _pairs(state, keep, alias, tables, index)
        total += count
        # Where a track ends decides which pixels fire at all: there, steps are cut finer.
        parts = _END_PARTS if i in (0, n_steps - 1) else 1
        for part in range(parts):
            share = binomial(state, count, 1.0 / (parts - part)) if part < parts - 1 else count
            count -= share
            along = (i + (part + uniform(state)) / parts) / n_steps * path
            x, y = particle.x + particle.ux * along, particle.y + particle.uy * along
            collect_inlined(to, share, x, y, particle.us * along)
    for _ in range(poisson(state, path * tables.hard_rate[index])):
        along = uniform(state) * path
        x, y = particle.x + particle.ux * along, particle.y + particle.uy * along
        here = Particle(x, y, particle.us * along, *particle[3:])
        energy = _hard_energy(state, tables, index)
        total += _eject(to, tables, here, energy)
    return total


@compiled
def walk_physical(to: Exposure, tables: Tables, particle: Particle, end: Floats) -> int:
    """A particle that loses energy, scatters (Highland), bends and may stop; pairs made.

    `end` (7,) receives the position, direction and kinetic energy with which it leaves.
    """
    state, geometry = to.state, to.geometry
    x, y, s = particle.x, particle.y, particle.s
    ux, uy, us = particle.ux, particle.uy, particle.us
    mass, energy, total = particle.mass_ev, particle.kinetic_ev, 0
    step = tables.step_um
    thickness = geometry.thickness_um / _RADIATION_LENGTH_UM
    highland = _HIGHLAND_EV * (1.0 + _HIGHLAND_LOG * math.log(thickness))
    width_one = highland * math.sqrt(step / _RADIATION_LENGTH_UM)
    for _ in range(_MOST_STEPS):
        if energy < _SLOW_EV:
            slow = Particle(x, y, s, ux, uy, us, mass, max(energy, 0.0), particle.charge)
            if energy > 0.0:
                total += walk_delta(to, tables, slow)
            energy = 0.0
            break
        momentum = _momentum_ev(mass, energy)
        beta = momentum / (energy + mass)
        index = _grid_index(state, tables, momentum / mass)
        # The last step is cut at the face; its loss is thinned in proportion.
        ahead = geometry.thickness_um - s if us > 0.0 else s
        part = min(1.0, ahead / (abs(us) * step + 1e-12))
        keep, alias = tables.head.keep[index], tables.head.alias[index]
        count = _pairs(state, keep, alias, tables, index) if uniform(state) < part else 0
        along = uniform(state) * part * step
        depth = min(max(s + us * along, 0.0), geometry.thickness_um)
        collect(to, count, x + ux * along, y + uy * along, depth)
        total += count
        energy -= count * tables.pair_ev
        for _ in range(poisson(state, part * step * tables.hard_rate[index])):
            lost = min(_hard_energy(state, tables, index), energy / 2.0)
            here = Particle(x, y, s, ux, uy, us, mass, energy, particle.charge)
            total += _eject(to, tables, here, lost)
            energy -= lost
        x, y, s = x + ux * part * step, y + uy * part * step, s + us * part * step
        if part < 1.0:
            break
        angle = particle.charge * LIGHT_MM_PER_NS * geometry.field_T * step / momentum
        ux, uy, us = _bend(ux, uy, us, angle)
        ux, uy, us = _scatter(state, ux, uy, us, width_one / (momentum * beta))
    end[0], end[1], end[2], end[3], end[4], end[5], end[6] = x, y, s, ux, uy, us, energy
    return total
