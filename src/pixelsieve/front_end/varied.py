"""A front end that is not what it was: what a changed setting means, in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pixelsieve.clusters import LOWEST_CHARGE_E, Clusters
from pixelsieve.errors import ConfigError
from pixelsieve.front_end.readout import Readout, read_out
from pixelsieve.front_end.settings import FrontEnd

__all__ = ["GAINS", "Chip", "changed"]

GAINS = (0.1, 10.0)
"""Smallest and largest gain."""


@dataclass(frozen=True, slots=True)
class Chip:
    """A front end (None: none), and a gain on all charges before it."""

    front_end: FrontEnd | None
    gain: float = 1.0

    def read_out(self, clusters: Clusters) -> Readout:
        """What it makes of collected clusters; draws are those of the gain 1.

        Without a front end all clusters stay; negative charges (see `LOWEST_CHARGE_E`) grow no
        further than what is taken as data. Raises as `front_end.read_out`.
        """
        if self.front_end is not None:
            return read_out(self.front_end, clusters, gain=self.gain)
        if self.gain != 1:
            gain, images = np.float32(self.gain), ("pixels_e", "slices_e")
            columns = clusters.columns()
            scaled: dict[str, Any] = {
                name: np.maximum(columns[name] * gain, LOWEST_CHARGE_E)
                for name in images
                if name in columns
            }
            clusters = clusters.replace(group_id=clusters.groups().astype(np.int64), **scaled)
        return Readout(clusters, np.arange(len(clusters)), 0, 0)


def changed(own: FrontEnd | None, values: Mapping[str, Any]) -> Chip:
    """The chip whose front end has those values in place of its `own`.

    `gain` multiplies all charges and their noise, `threshold_shift_e` is added to `threshold_e`;
    other names are fields of `FrontEnd`. No front end stays none where nothing of it changes.
    Raises `ConfigError` for values that a front end cannot have.
    """
    before = own or FrontEnd()
    fields = dict(values)
    gain, shift = fields.pop("gain", 1.0), fields.pop("threshold_shift_e", 0.0)
    if not GAINS[0] <= gain <= GAINS[1]:
        msg = f"'gain' is {gain:g}; expected {GAINS[0]:g} to {GAINS[1]:g}"
        raise ConfigError(msg)
    fields["noise_e"] = fields.get("noise_e", before.noise_e) * gain
    fields["threshold_e"] = fields.get("threshold_e", before.threshold_e) + shift
    after = replace(before, **fields)
    return Chip(own if after == before else after, gain)
