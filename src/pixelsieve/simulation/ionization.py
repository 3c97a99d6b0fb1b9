"""Electron-hole pairs along a track: straggling from single collisions with electrons."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from pixelsieve.core.config import require_between
from pixelsieve.core.errors import ConfigError
from pixelsieve.data.detector import ELECTRON_MASS_EV
from pixelsieve.simulation.compilation import compiled

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
    """Collisions per um and eV, `density` (m,), at transferred energies `energy_ev` (m,)."""

    energy_ev: Array
    density: Array

    def rate(self, low_ev: float, high_ev: float) -> float:
        """Return the collisions per um with an energy between two bounds."""
        inside = (self.energy_ev >= low_ev) & (self.energy_ev < high_ev)
        density = np.where(inside, self.density, 0)
        return float(np.trapezoid(density * self.energy_ev, np.log(self.energy_ev)))


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


STEP_UM = 2.0
"""Path of one step in um; the soft loss of a step is one draw."""

_PAIRS = 8192  # numbers of pairs a step that are told apart
_HEAD = 512  # of them, those in the table that most draws end in
_QUANTILES = 512
_SINGLE_POINTS = 500  # energies between which the pairs of one collision are interpolated


@dataclass(frozen=True, slots=True)
class Ionization:
    """The energy loss of tracks.

    `mode` "sample" is what the muc-real sample shows: straight tracks near minimum ionization,
    with the loss of beta gamma `effective_share` times the true one, at least `least_beta_gamma`
    (fitted to simB train). "physical" takes the true beta gamma, scatters, bends and stops
    particles. `fano` is the variance of the number of pairs over its mean (1: Poisson, as in the
    sample's simulation; silicon has 0.115). `delta_rays` off deposits hard collisions on the spot.
    """

    mode: str = "sample"
    effective_share: float = 0.35
    least_beta_gamma: float = 3.0
    fano: float = 1.0
    charge_scale: float = 1.0
    delta_rays: bool = True

    def __post_init__(self) -> None:
        if self.mode not in ("sample", "physical"):
            msg = f"'mode' is {self.mode!r}; expected 'sample' or 'physical'"
            raise ConfigError(msg)
        for name, low, high in (
            ("effective_share", 0.0, 1.0),
            ("least_beta_gamma", 0.1, 100.0),
            ("fano", 0.05, 1.0),
            ("charge_scale", 0.8, 1.25),
        ):
            require_between(self, name, low, high)


class AliasTable(NamedTuple):
    """Rows (m, numbers) to draw from: number i as often as `keep` says, else its `alias`."""

    keep: NDArray[np.float32]
    alias: NDArray[np.uint16]


class Tables(NamedTuple):
    """Tables that the compiled loops draw from, on an even grid of log(beta gamma), and options.

    `head` and `tail` draw the pairs of one step of `step_um`: the tail where the head gives its
    last number. `hard_rate` (m,) is the number of hard collisions per um, `hard_energy_ev`
    (m, quantiles) their energies, even in the logarithm of the probability above.
    """

    step_um: float
    first_log_beta_gamma: float
    log_beta_gamma_step: float
    head: AliasTable
    tail: AliasTable
    hard_rate: Array
    hard_energy_ev: Array
    pair_ev: float
    delta_rays: bool


@lru_cache(maxsize=4)
def ionization_tables(
    fano: float = 1.0, charge_scale: float = 1.0, delta_rays: bool = True
) -> Tables:
    """Return the tables for beta gamma from 0.3 to 1000."""
    grid = np.linspace(np.log(0.3), np.log(1000), 28)
    spectra = [collision_spectrum(float(bg)) for bg in np.exp(grid)]
    pairs = np.array([pairs_of_a_step(s, STEP_UM, fano, charge_scale) for s in spectra])
    # Almost all draws end in the head, which stays in the fastest memory.
    head, tail = pairs[:, :_HEAD].copy(), pairs.copy()
    head[:, -1] = pairs[:, _HEAD - 1 :].sum(axis=1)
    tail[:, : _HEAD - 1] = 0
    tail[:, -1] += tail.sum(axis=1) == 0
    hard = [_hard(s) for s in spectra]
    return Tables(
        step_um=STEP_UM,
        first_log_beta_gamma=float(grid[0]),
        log_beta_gamma_step=float(grid[1] - grid[0]),
        head=_alias_table(head),
        tail=_alias_table(tail / tail.sum(axis=1, keepdims=True)),
        hard_rate=np.array([rate for rate, _ in hard]),
        hard_energy_ev=np.array([energy for _, energy in hard]),
        pair_ev=PAIR_EV / charge_scale,
        delta_rays=delta_rays,
    )


def pairs_of_a_step(
    spectrum: CollisionSpectrum, step_um: float, fano: float = 1.0, charge_scale: float = 1.0
) -> Array:
    """Probability of 0, 1, 2, ... pairs from the soft collisions along `step_um`; sums to 1."""
    energy = np.geomspace(spectrum.energy_ev[0], HARD_EV, _SINGLE_POINTS)
    density = np.interp(energy, spectrum.energy_ev, spectrum.density)
    weight = density * np.gradient(energy)
    # The integral is kept exactly; only the shape between points is interpolated.
    rate = spectrum.rate(0, HARD_EV) * step_um
    weight *= rate / weight.sum()
    single = weight @ _pairs_of_collisions(float(energy[0]), fano, charge_scale)
    transform = np.fft.rfft(single)
    step = np.fft.irfft(np.exp(transform - rate), _PAIRS)
    step = np.maximum(step, 0)
    return np.asarray(step / step.sum())


@lru_cache(maxsize=4)
def _pairs_of_collisions(lowest_ev: float, fano: float, charge_scale: float) -> Array:
    """Probability of each number of pairs, for each energy of a collision: (points, pairs)."""
    means = np.geomspace(lowest_ev, HARD_EV, _SINGLE_POINTS) * charge_scale / PAIR_EV
    probability = np.zeros((_SINGLE_POINTS, _PAIRS))
    for row, mean in zip(probability, means, strict=True):
        reach = 8 * np.sqrt(mean) + 20
        counts = np.arange(max(0, int(mean - reach)), min(_PAIRS, int(mean + reach)))
        row[counts] = _pairs_of_one(counts, float(mean), fano)
    return probability


def _pairs_of_one(counts: NDArray[np.int64], mean: float, fano: float) -> Array:
    if fano == 1:
        return np.asarray(stats.poisson.pmf(counts, mean))
    width = np.sqrt(fano * mean)
    edges = stats.norm.cdf((np.append(counts, counts[-1] + 1) - 0.5 - mean) / width)
    edges[0] = 0
    return np.asarray(np.diff(edges))


def _hard(spectrum: CollisionSpectrum) -> tuple[float, Array]:
    hard = spectrum.energy_ev >= HARD_EV
    energy, density = spectrum.energy_ev[hard], spectrum.density[hard]
    steps = _steps(density * energy, np.log(energy))
    total = float(steps.sum())
    if total == 0:
        return 0.0, np.full(_QUANTILES, HARD_EV)
    below = np.concatenate([[0.0], np.cumsum(steps)]) / total
    # Even steps of probability leave out the tail, which carries charge: space by its logarithm.
    missing = np.geomspace(1, 1e-5, _QUANTILES)
    return total, np.exp(np.interp(1 - missing, below, np.log(energy)))


def _alias_table(probabilities: Array) -> AliasTable:
    keep = np.ones(probabilities.shape, np.float32)
    alias = np.broadcast_to(np.arange(probabilities.shape[1]), keep.shape).astype(np.uint16)
    for row, probability in enumerate(probabilities):
        scaled = probability * len(probability)
        small, large = np.flatnonzero(scaled < 1), np.flatnonzero(scaled >= 1)
        stack = np.concatenate([small, np.empty_like(large)])
        _fill_alias(scaled, stack, len(small), large, keep[row], alias[row])
    return AliasTable(keep, alias)


@compiled
def _fill_alias(
    scaled: Array,
    small: NDArray[np.int64],
    n_small: int,
    large: NDArray[np.int64],
    keep: NDArray[np.float32],
    alias: NDArray[np.uint16],
) -> None:
    """Vose's construction; `scaled` and the stack `small` are used up."""
    n_large = len(large)
    while n_small and n_large:
        low, high = small[n_small - 1], large[n_large - 1]
        n_small -= 1
        keep[low], alias[low] = scaled[low], high
        scaled[high] -= 1 - scaled[low]
        if scaled[high] < 1:
            small[n_small] = high
            n_small += 1
            n_large -= 1
