"""What the detector gains: data rate and slices, from the plain data of `evaluate`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

__all__ = ["data_rate_table", "slices_table"]


def data_rate_table(result: Mapping[str, Any]) -> Table:
    """Shares of the BIB that are left, and rates of the whole layer where they are known."""
    occupancy = result["occupancy"]
    title = "Data rate of the layer"
    if occupancy is not None:
        title += (
            f", assumed: {occupancy['clusters_per_cm2']:g} BIB clusters a cm² and crossing "
            "(--hit-density), "
            f"{occupancy['crossings_per_s']:g} crossings a second, "
            f"{occupancy['bits_per_pixel']:g} bits a pixel (--bits-per-pixel)"
        )
    table = Table(title=title, title_justify="left")
    table.add_column("signal efficiency")
    for column in ("BIB clusters left", "BIB pixels left"):
        table.add_column(column, justify="right")
    if occupancy is not None:
        for column in ("clusters a cm²", "pixels a cm²", "Gbit/s"):
            table.add_column(column, justify="right")
    for rate in result["data_rate"]:
        before = rate["efficiency"] == 1
        cells = ["no filter" if before else f"{rate['signal_efficiency']:.4f}"]
        of_pixels = rate["bib_pixels"]
        cells += [f"{rate['bib_clusters']:.4f}", "-" if of_pixels is None else f"{of_pixels:.4f}"]
        if occupancy is not None:
            cells += [f"{rate['clusters_per_cm2']:.1f}", f"{rate['pixels_per_cm2']:.1f}"]
            cells.append(f"{rate['gbit_per_s']:.1f}")
        table.add_row(*cells)
    return table


def slices_table(slices: Sequence[Mapping[str, Any]]) -> Table:
    """Signal efficiency and rejection by slices."""
    title = "By slices, at 98 % signal efficiency: share and its 68 % interval"
    table = Table(title=title, title_justify="left")
    table.add_column("slice")
    for column in ("signal", "efficiency", "BIB", "rejection"):
        table.add_column(column, justify="right", no_wrap=True)
    variable = None
    for one in slices:
        if one["variable"] != variable:
            table.add_section()
            variable = one["variable"]
            table.add_row(f"{variable} ({one['unit']})")
        table.add_row(
            f"  {_range(one)}",
            str(one["n_signal"]),
            _interval(one["signal_kept"]),
            str(one["n_bib"]),
            _interval(one["bib_kept"] and [1 - share for share in one["bib_kept"]]),
        )
    return table


def _range(one: Mapping[str, Any]) -> str:
    """A slice in the unit of its variable; whole numbers as the ones that are in it."""
    low, high = one["low"], one["high"]
    if low is None:
        return f"below {high:.3g}"
    if high is None:
        return f"{low:.3g} and above"
    if one["variable"] == "cluster_size":
        return f"{low:.0f}" if high == low + 1 else f"{low:.0f} to {high - 1:.0f}"
    return f"{low:.3g} to {high:.3g}"


def _interval(share: Sequence[float] | None) -> str:
    """Value, then low to high, whichever way round the ends are given."""
    if share is None:
        return "-"
    low, high = sorted(share[1:])
    return f"{share[0]:.3f} {low:.3f} to {high:.3f}".replace(" 0.", " .")
