"""Random numbers inside compiled loops: one stream a cluster, whatever the chunk it is in.

The generator is splitmix64 (Steele, Lea and Flood, OOPSLA 2014); `state` is an array of one
uint64 that each draw advances.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import special

from pixelsieve.data.clusters import splitmix64
from pixelsieve.simulation.compilation import compiled, inlined

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, _S11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)
_STEP = 2.0**-53
_MOST_FEW = 40  # a count of mean 4 exceeds this once in 1e26 draws
_PER_COUNT = 1.0 / np.arange(1, _MOST_FEW + 1)
_MANY = 4.0  # means above this are drawn from an expansion about the normal law
_SERIES_REACH = 0.1  # below, six terms of the logarithm are exact to 1e-8
_QUANTILE_STEPS = 2048
_QUANTILES = special.ndtri(np.linspace(0, 1, _QUANTILE_STEPS + 1))


def start_states(seed: int, stream: int, first: int, count: int) -> NDArray[np.uint64]:
    """States (count,) of the streams of clusters `first`, `first` + 1, ...; pure in all four."""
    with np.errstate(over="ignore"):
        key = splitmix64(np.array([seed], np.uint64) * _MIX_1 + np.uint64(stream))
        return splitmix64(key ^ splitmix64(np.arange(first, first + count, dtype=np.uint64)))


def uniforms(seed: int, stream: int, first: int, count: int, width: int) -> NDArray[np.float64]:
    """Uniform numbers (count, width) in (0, 1); row i depends on `first` + i alone."""
    states = start_states(seed, stream, first, count)
    with np.errstate(over="ignore"):
        words = splitmix64(states[:, None] + np.arange(width, dtype=np.uint64) * _GAMMA)
    return ((words >> _S11).astype(np.float64) + 0.5) * _STEP


@compiled
def uniform(state: NDArray[np.uint64]) -> float:
    """A number in [0, 1)."""
    state[0] += _GAMMA
    z = state[0]
    z = (z ^ (z >> _S30)) * _MIX_1
    z = (z ^ (z >> _S27)) * _MIX_2
    return float((z ^ (z >> _S31)) >> _S11) * _STEP


@compiled
def normal(state: NDArray[np.uint64]) -> float:
    """A standard normal number from a table of quantiles; exact in the outer 1/2048."""
    u = uniform(state)
    position = u * _QUANTILE_STEPS
    i = int(position)
    if i in (0, _QUANTILE_STEPS - 1):
        # Beyond the edge of the table the tail is close to exponential in its square.
        edge = _QUANTILES[1]
        tail = max(position if i == 0 else _QUANTILE_STEPS - position, 1e-12)
        away = math.sqrt(edge * edge - 2.0 * math.log(tail))
        return -away if i == 0 else away
    return float(_QUANTILES[i] + (_QUANTILES[i + 1] - _QUANTILES[i]) * (position - i))


@compiled
def _near_normal(state: NDArray[np.uint64], mean: float, variance: float, skew: float) -> int:
    """A count by Cornish and Fisher's expansion to the third moment."""
    z = normal(state)
    # Rounding to whole numbers adds 1/12 to the variance.
    value = mean + math.sqrt(variance - 1.0 / 12.0) * (z + skew / 6.0 * (z * z - 1.0))
    return max(0, math.floor(value + 0.5))


@compiled
def poisson(state: NDArray[np.uint64], mean: float) -> int:
    """A count of that mean; to the third moment above a mean of 4."""
    if mean > _MANY:
        return _near_normal(state, mean, mean, 1.0 / math.sqrt(mean))
    limit, product, count = math.exp(-mean), uniform(state), 0
    while product > limit:
        product *= uniform(state)
        count += 1
    return count


@compiled
def binomial(state: NDArray[np.uint64], n: int, p: float) -> int:
    """A count out of `n` of probability `p` each; to the third moment above a mean of 4."""
    if n <= 0 or p <= 0.0:
        return 0
    if p >= 1.0:
        return n
    rare = min(p, 1.0 - p)
    mean = n * rare
    if mean > _MANY:
        variance = mean * (1.0 - rare)
        skew = (1.0 - 2.0 * rare) / math.sqrt(variance)
        count = min(n, _near_normal(state, mean, variance, skew))
    else:
        count = _few(state, n, rare, mean)
    return n - count if p > rare else count


@inlined
def _log_one_minus(p: float) -> float:
    if p > _SERIES_REACH:
        return math.log1p(-p)
    return -p * (1.0 + p * (1 / 2 + p * (1 / 3 + p * (1 / 4 + p * (1 / 5 + p / 6)))))


@compiled
def _few(state: NDArray[np.uint64], n: int, p: float, mean: float) -> int:
    """A binomial count by inversion of one uniform number."""
    left = uniform(state)
    # The probability of 0 is at least 1 - mean: most draws of rare outcomes end here.
    if left < 1.0 - mean:
        return 0
    odds = p / (1.0 - p)
    probability = math.exp(n * _log_one_minus(p))
    count = 0
    while left > probability and count < n and count < _MOST_FEW:
        left -= probability
        probability *= odds * (n - count) * _PER_COUNT[count]
        count += 1
    return count
