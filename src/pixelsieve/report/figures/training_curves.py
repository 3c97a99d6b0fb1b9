"""How training went: loss, AUC, learning rate, flipped codes, by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pixelsieve.networks.precision import bits_text
from pixelsieve.report.figures.canvas import canvas, colour_of

__all__ = ["training_curves"]

_PANELS = (
    ("validation_loss", "validation loss", "linear"),
    ("validation_auc", "validation AUC", "linear"),
    ("learning_rate", "learning rate", "log"),
    ("flip_share", "share of weight codes flipped", "log"),
    ("gradient_norm", "gradient norm before clipping", "log"),
    ("roughness", "roughness of validation loss", "log"),
)
_HIGHEST_LOSS = 0.7


def training_curves(history: Sequence[Mapping[str, Any]], bits: int | str, path: Path) -> None:
    """Curves of one width, a colour an approach, a line a seed. `history` is history.parquet."""
    approaches = list(dict.fromkeys(str(r["approach"]) for r in history))
    wanted = [r for r in history if r["bits"] in (bits, None)]
    with canvas(path, (13.0, 7.0), 2, 3) as figure:
        for axes, (name, label, scale) in zip(figure.axes, _PANELS, strict=True):
            for job in dict.fromkeys(r["job"] for r in wanted):
                rows = [r for r in wanted if r["job"] == job]
                float_flips = name == "flip_share" and rows[0]["bits"] is None
                if float_flips or rows[0].get(name) is None:  # learned bits tell other figures
                    continue
                values = np.array([r[name] for r in rows], dtype=float)
                if scale == "log":
                    values[values <= 0] = np.nan
                recipe = str(rows[0]["approach"])
                label_once = recipe if rows[0]["seed"] == 0 else None
                axes.plot(
                    [r["epoch"] for r in rows],
                    values,
                    color=colour_of(recipe, approaches),
                    lw=0.9,
                    alpha=0.8,
                    label=label_once,
                )
            axes.set_yscale(scale)
            axes.set_xlabel("epoch")
            axes.set_ylabel(label)
            if name == "validation_loss":
                axes.set_ylim(top=min(_HIGHEST_LOSS, axes.get_ylim()[1]))
        figure.axes[1].legend(loc="lower right", title=bits_text(bits))
