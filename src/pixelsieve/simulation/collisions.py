"""Single collisions of a fast charged particle with the electrons of silicon.

The cross section of photoabsorption and ionization (Allison and Cobb, Ann. Rev. Nucl. Part. Sci.
30, 253, 1980) on a model of the oscillator strength: a plasmon for the valence electrons and
power laws above the L and K edges. It needs no published table.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pixelsieve.physics import ELECTRON_MASS_EV

__all__ = [
    "HARD_EV",
    "PAIR_EV",
    "CollisionSpectrum",
    "collision_spectrum",
]

PAIR_EV = 3.68
"""Mean energy for an electron-hole pair in silicon, in eV."""
HARD_EV = 6_000.0
"""Collisions above this energy send out a delta ray with a range of its own."""

_RUTHERFORD_EV_UM = 17.82  # 2 pi r_e^2 m_e c^2 times the electron density of silicon
_PLASMA_EV = 31.05
_LOWEST_EV, _HIGHEST_EV, _POINTS = 1.2, 1e6, 3000
_VALENCE, _L_SHELL, _K_SHELL = 4.0 / 14, 8.4 / 14, 1.6 / 14  # shares of the oscillator strength
_PLASMON_EV, _PLASMON_WIDTH_EV = 16.7, 4.0
_L_EDGE_EV, _L_ONSET_EV, _L_POWER = 99.8, 15.0, 2.2
_K_EDGE_EV, _K_POWER = 1839.0, 2.75

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CollisionSpectrum:
    """Collisions a um and eV, `density` (m,), at transferred energies `energy_ev` (m,)."""

    energy_ev: Array
    density: Array

    def rate(self, low_ev: float, high_ev: float) -> float:
        """Collisions a um with an energy between two bounds."""
        return self._integral(low_ev, high_ev, self.density)

    def mean_loss_ev(self, low_ev: float, high_ev: float) -> float:
        """Energy lost a um to collisions between two bounds, in eV."""
        return self._integral(low_ev, high_ev, self.density * self.energy_ev)

    def _integral(self, low_ev: float, high_ev: float, values: Array) -> float:
        inside = (self.energy_ev >= low_ev) & (self.energy_ev < high_ev)
        return float(np.trapezoid(np.where(inside, values, 0) * self.energy_ev, self._log_energy))

    @property
    def _log_energy(self) -> Array:
        return np.log(self.energy_ev)


def collision_spectrum(beta_gamma: float, highest_ev: float = _HIGHEST_EV) -> CollisionSpectrum:
    """The spectrum for a heavy particle of given beta gamma, cut off above `highest_ev`."""
    energy = np.geomspace(_LOWEST_EV, _HIGHEST_EV, _POINTS)
    strength = _oscillator_strength(energy)
    below = np.concatenate([[0.0], np.cumsum(_steps(strength * energy, np.log(energy)))])
    beta2 = beta_gamma**2 / (1 + beta_gamma**2)
    largest = 2 * ELECTRON_MASS_EV * beta_gamma**2
    shielding = np.where(
        energy > _PLASMA_EV,
        -np.log(1 / (1 + beta_gamma**2) + (_PLASMA_EV / energy) ** 2 * below),
        0.0,
    )
    logarithm = np.log(2 * ELECTRON_MASS_EV * beta2 / energy) + np.maximum(shielding - beta2, 0)
    resonant = strength / energy * np.maximum(logarithm, 0)
    free = below / energy**2 * (1 - beta2 * energy / largest)
    density = _RUTHERFORD_EV_UM / beta2 * (resonant + np.maximum(free, 0))
    return CollisionSpectrum(energy, np.where(energy <= min(largest, highest_ev), density, 0.0))


def _steps(values: Array, grid: Array) -> Array:
    return np.asarray((values[1:] + values[:-1]) / 2 * np.diff(grid))


def _oscillator_strength(energy: Array) -> Array:
    """Strength an eV and electron, normalised to 1."""
    resonance = (energy**2 - _PLASMON_EV**2) ** 2 + (energy * _PLASMON_WIDTH_EV) ** 2
    valence = 2 / np.pi * _PLASMON_WIDTH_EV * energy**2 / resonance
    onset = 1 - np.exp(-np.maximum(energy - _L_EDGE_EV, 0) / _L_ONSET_EV)
    l_shell = onset * energy**-_L_POWER
    k_shell = np.where(energy > _K_EDGE_EV, energy**-_K_POWER, 0.0)
    log_energy = np.log(energy)
    return np.asarray(
        sum(
            share * shell / np.trapezoid(shell * energy, log_energy)
            for share, shell in ((_VALENCE, valence), (_L_SHELL, l_shell), (_K_SHELL, k_shell))
        )
    )
