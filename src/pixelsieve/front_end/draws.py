"""Random numbers that belong to a cluster, whichever rows it is read with.

A counter-based generator: number i of stream s of a cluster is a hash of (seed, cluster, s, i),
so neither the order of the rows nor how a file is cut changes anything, and no draw depends on
whether another was made.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from pixelsieve.data.clusters import Clusters, hash_pixels, splitmix64


class Stream(IntEnum):
    """What a draw is for; each stream is independent of the others."""

    NOISE = 1
    GAIN = 2
    DEAD = 3
    THRESHOLD = 4
    TIME = 5
    WINDOW = 6


def derived_seed(*numbers: int) -> int:
    """A seed, 0 to 2^63 - 1, that follows from `numbers` (each 0 or more) and from their order."""
    state = np.random.SeedSequence(numbers).generate_state(1, np.uint64)
    return int(state[0] >> np.uint64(1))


def cluster_keys(clusters: Clusters, seed: int) -> NDArray[np.uint64]:
    """A key (n,) a cluster from the seed, its charges and its place; equal clusters, equal keys."""
    state = hash_pixels(clusters.pixels_e)
    for place in (clusters.z_global_mm, clusters.y_local_mm):
        words = (place.astype(np.float32) + np.float32(0)).view(np.uint32)
        state = splitmix64(state ^ words.astype(np.uint64))
    return splitmix64(state ^ splitmix64(np.array([seed], np.uint64)))


def uniforms(keys: NDArray[np.uint64], stream: Stream, count: int) -> NDArray[np.float64]:
    """Uniform numbers strictly between 0 and 1, (n, count)."""
    counters = splitmix64(np.arange(count, dtype=np.uint64) + np.uint64(int(stream) << 32))
    words = splitmix64(keys[:, None] ^ counters)
    # The middle of 2^52 equal steps is exact in float64 and never 0 or 1.
    return ((words >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52


def normals(keys: NDArray[np.uint64], stream: Stream, count: int) -> NDArray[np.float64]:
    """Standard normal numbers, (n, count)."""
    from scipy.special import ndtri

    return np.asarray(ndtri(uniforms(keys, stream, count)))
