"""Input codes on which the gate compares: clusters, and corners of the range."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pixelsieve.features import FeatureTable
from pixelsieve.integer.pixels import PixelNetwork, Program, pixel_corners
from pixelsieve.networks.fixed_point import Codes

__all__ = ["Vectors", "corner_codes", "edge_codes", "vectors"]

_FIRST_CORNERS = 5
"""Of the corners, those at the threshold, at both ends of the range and at zero."""


@dataclass(frozen=True, slots=True)
class Vectors:
    """Input codes by port, (n, elements) each: clusters first, corners after them.

    `features` are those of the clusters, as Keras takes them in use; without them, and for the
    corners, it gets the values that the codes stand for.
    """

    codes: dict[str, Codes]
    clusters: int
    corners: int
    features: FeatureTable | None = None

    @property
    def size(self) -> int:
        """Clusters and corners."""
        return self.clusters + self.corners

    def at_most(self, most: int) -> Vectors:
        """So many of them: the first ones of the corners, and the others evenly out of all.

        Without features where some are left out.
        """
        if self.size <= most:
            return self
        first = np.arange(self.clusters, min(self.size, self.clusters + _FIRST_CORNERS))
        spread = np.linspace(0, self.size - 1, most - len(first)).astype(np.int64)
        rows = np.union1d(first, spread)
        clusters = int((rows < self.clusters).sum())
        codes = {name: values[rows] for name, values in self.codes.items()}
        return Vectors(codes, clusters, len(rows) - clusters)


def corner_codes(network: Program, n_random: int = 2000, seed: int = 0) -> dict[str, Codes]:
    """All at the smallest code, all at the largest, zeros, then random codes over the full range.

    A quarter of the random vectors holds only smallest and largest codes. From pixels there are
    also sparse windows, and windows with a single pixel (see `pixel_corners`).
    """
    rng = np.random.default_rng(seed)
    corners: dict[str, Codes] = {}
    for one in network.inputs:
        low, high = one.grid.lowest_code, one.grid.highest_code
        uniform = rng.integers(low, high + 1, (n_random, one.width))
        ends = rng.choice(np.array([low, high]), (n_random // 4, one.width))
        uniform[: len(ends)] = ends
        fixed = np.repeat(np.array([low, high, 0]), one.width).reshape(3, one.width)
        corners[one.name] = np.concatenate([fixed, uniform]).astype(np.int64)
    return pixel_corners(corners, seed) if isinstance(network, PixelNetwork) else corners


def edge_codes(network: Program, codes: Mapping[str, Codes], threshold: int) -> dict[str, Codes]:
    """Those of `codes` that tell the threshold best: a logit on it, and the nearest below it."""
    logits = network.run(codes)
    rows = [int((logits == threshold).argmax())]
    if (below := logits < threshold).any():
        rows.append(int(np.where(below, logits, logits.min()).argmax()))
    return {name: values[rows] for name, values in codes.items()}


def vectors(
    network: Program,
    clusters: Mapping[str, Codes],
    *,
    features: FeatureTable | None = None,
    edges: Mapping[str, Codes] | None = None,
    n_random: int = 2000,
    seed: int = 0,
) -> Vectors:
    """Codes of clusters, then `edges` (see `edge_codes`) and the corners (see `corner_codes`).

    `features` of the clusters (see `Vectors`); refused where they are scaled another way.
    """
    if features is not None:
        features.require(network.features, network.name)
    corners = corner_codes(network, n_random, seed)
    if edges is not None:
        corners = {name: np.concatenate([edges[name], c]) for name, c in corners.items()}
    names = [i.name for i in network.inputs]
    n_clusters, n_corners = (len(c[names[0]]) for c in (clusters, corners))
    codes = {name: np.concatenate([clusters[name], corners[name]]) for name in names}
    return Vectors(codes, n_clusters, n_corners, features)
