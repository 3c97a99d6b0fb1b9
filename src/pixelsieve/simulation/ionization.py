"""Electron-hole pairs along a track: compound-Poisson straggling from single collisions.

Soft collisions of one step are summed once and for all, by Fourier transform, into the
probability of each number of pairs, and drawn from an alias table (Walker, Electronics Letters
10, 127, 1974). Hard collisions are drawn one by one and become delta rays.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from pixelsieve.config import require_between
from pixelsieve.errors import ConfigError
from pixelsieve.simulation.collisions import HARD_EV, PAIR_EV, CollisionSpectrum, collision_spectrum
from pixelsieve.simulation.compilation import compiled

__all__ = [
    "STEP_UM",
    "AliasTable",
    "Ionization",
    "IonizationTables",
    "ionization_tables",
    "pairs_of_a_step",
]

STEP_UM = 2.0
"""Path of one step in um; the soft loss of a step is one draw."""

_PAIRS = 8192  # numbers of pairs a step that are told apart
_HEAD = 512  # of them, those in the table that most draws end in
_QUANTILES = 512
_SINGLE_POINTS = 500  # energies between which the pairs of one collision are interpolated

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Ionization:
    """How tracks lose energy.

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


@dataclass(frozen=True, slots=True)
class IonizationTables:
    """What the kernel draws from, on a grid of `log_beta_gamma` (m,), evenly spaced.

    `head` and `tail` draw the pairs of one step of `step_um`: the tail where the head gives its
    last number. `hard_rate` (m,) is the number of hard collisions a um, `hard_energy_ev`
    (m, quantiles) their energies, even in the logarithm of the probability above.
    """

    step_um: float
    log_beta_gamma: Array
    head: AliasTable
    tail: AliasTable
    hard_rate: Array
    hard_energy_ev: Array


@lru_cache(maxsize=4)
def ionization_tables(
    fano: float = 1.0, charge_scale: float = 1.0, step_um: float = STEP_UM
) -> IonizationTables:
    """Tables for beta gamma from 0.3 to 1000."""
    log_beta_gamma = np.linspace(np.log(0.3), np.log(1000), 28)
    spectra = [collision_spectrum(float(bg)) for bg in np.exp(log_beta_gamma)]
    pairs = np.array([pairs_of_a_step(s, step_um, fano, charge_scale) for s in spectra])
    # Almost all draws end in the head, which stays in the fastest memory.
    head, tail = pairs[:, :_HEAD].copy(), pairs.copy()
    head[:, -1] = pairs[:, _HEAD - 1 :].sum(axis=1)
    tail[:, : _HEAD - 1] = 0
    tail[:, -1] += tail.sum(axis=1) == 0
    hard = [_hard(s) for s in spectra]
    return IonizationTables(
        step_um,
        log_beta_gamma,
        _alias_table(head),
        _alias_table(tail / tail.sum(axis=1, keepdims=True)),
        np.array([rate for rate, _ in hard]),
        np.array([energy for _, energy in hard]),
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
    steps = (density[1:] * energy[1:] + density[:-1] * energy[:-1]) / 2 * np.diff(np.log(energy))
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
