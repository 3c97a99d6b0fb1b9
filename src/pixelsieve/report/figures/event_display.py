"""A few clusters of each class, pixel by pixel."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pixelsieve.report.plot import CLASS_COLOURS, canvas

__all__ = ["event_display"]

_LOWEST_E = 10.0


def event_display(summary: Mapping[str, Any], path: Path) -> None:
    """Signal above, BIB below, pixels without charge are blank; one logarithmic scale."""
    from matplotlib.colors import LogNorm

    shown = {kind: summary["displays"][kind] for kind in CLASS_COLOURS if summary["displays"][kind]}
    columns = max(len(each) for each in shown.values())
    every = [np.array(one["pixels_e"]) for each in shown.values() for one in each]
    norm = LogNorm(_LOWEST_E, max(2 * _LOWEST_E, *(float(p.max()) for p in every)), clip=True)
    with canvas(path, (4.2 * columns, 3.1 * len(shown)), len(shown), columns) as figure:
        grid = np.array(figure.axes).reshape(len(shown), columns)
        image = None
        for line, (kind, each) in zip(grid, shown.items(), strict=True):
            for unused in line[len(each) :]:
                unused.remove()
            for axes, one in zip(line, each, strict=False):
                pixels = np.array(one["pixels_e"])
                image = axes.imshow(
                    np.ma.masked_less_equal(pixels, 0), norm=norm, cmap="viridis_r", origin="lower"
                )
                place = f"z {one['z_global_mm']:.1f} mm, y {one['y_local_mm']:.1f} mm"
                axes.set_title(f"{CLASS_COLOURS[kind][0]}, {place}", loc="left")
                axes.set_xlabel("column (x)")
                axes.set_ylabel("row (y)")
        if image is not None:
            figure.colorbar(image, ax=figure.axes, label="charge (e)")
