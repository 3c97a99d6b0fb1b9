"""A few clusters of each class, pixel by pixel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pixelsieve.report.plot import CLASS_COLOURS, canvas

if TYPE_CHECKING:
    from pixelsieve.studies.inspect import Display

__all__ = ["event_display"]

_LOWEST_E = 10.0


def event_display(displays: Mapping[str, Sequence[Display]], path: Path) -> None:
    """Draw signal above, BIB below, pixels without charge blank; one logarithmic scale."""
    from matplotlib.colors import LogNorm

    shown = {kind: displays[kind] for kind in CLASS_COLOURS if displays[kind]}
    columns = max(len(each) for each in shown.values())
    every = [np.array(one.pixels_e) for each in shown.values() for one in each]
    norm = LogNorm(_LOWEST_E, max(2 * _LOWEST_E, *(float(p.max()) for p in every)), clip=True)
    with canvas(path, (4.2 * columns, 3.1 * len(shown)), len(shown), columns) as figure:
        grid = np.array(figure.axes).reshape(len(shown), columns)
        image = None
        for line, (kind, each) in zip(grid, shown.items(), strict=True):
            for unused in line[len(each) :]:
                unused.remove()
            for axes, one in zip(line, each, strict=False):
                pixels = np.ma.masked_less_equal(np.array(one.pixels_e), 0)
                image = axes.imshow(pixels, norm=norm, cmap="viridis_r", origin="lower")
                place = f"z {one.z_global_mm:.1f} mm, y {one.y_local_mm:.1f} mm"
                axes.set_title(f"{CLASS_COLOURS[kind][0]}, {place}", loc="left")
                axes.set_xlabel("column (x)")
                axes.set_ylabel("row (y)")
        if image is not None:
            figure.colorbar(image, ax=figure.axes, label="charge (e)")
