"""Mean charge of the clusters that a network keeps and loses."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pixelsieve.report.figures.canvas import canvas

__all__ = ["mean_clusters"]

_LOWEST_E = 1.0


def mean_clusters(seen: Mapping[str, Any], path: Path) -> None:
    """`seen` of curves.json: signal above, BIB below, one logarithmic scale."""
    from matplotlib.colors import LogNorm

    groups = seen["groups"]
    images = [np.array(g["mean_e"]) for g in groups.values() if g["mean_e"]]
    norm = LogNorm(_LOWEST_E, max(2 * _LOWEST_E, *(float(i.max()) for i in images)), clip=True)
    with canvas(path, (9.0, 6.4), 2, 2) as figure:
        image = None
        for axes, (name, group) in zip(list(figure.axes), groups.items(), strict=True):
            kind, fate = name.split("_")
            title = f"{'BIB' if kind == 'bib' else kind}, {fate}: {group['clusters']} clusters"
            axes.set_title(title, loc="left")
            axes.set_xlabel("column (x)")
            axes.set_ylabel("row (y)")
            if group["mean_e"]:
                shown = np.ma.masked_less(np.array(group["mean_e"]), _LOWEST_E)
                image = axes.imshow(shown, norm=norm, cmap="viridis_r", origin="lower")
        if image is not None:
            figure.colorbar(image, ax=figure.axes, label="mean charge (e)")
