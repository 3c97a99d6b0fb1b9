"""Which window and which detector a file's numbers belong to, where the file does not say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pixelsieve.detector import MUON_COLLIDER_VXD, SMART_PIXEL_LHC, Detector
from pixelsieve.errors import ConfigError, DataError

__all__ = ["detector_of_pixels", "fitted", "window_of_columns"]

_SLICES = 20
# Windows of the public sets (rows, columns), with the detector of each.
_WINDOWS = {273: (13, 21), 256: (16, 16), 1024: (32, 32)}


def fitted(detector: Detector, rows: int, columns: int) -> Detector:
    """The detector with another window; raises `DataError` for a window that no sensor has."""
    if (detector.sensor.rows, detector.sensor.columns) == (rows, columns):
        return detector
    try:
        return replace(detector, sensor=replace(detector.sensor, rows=rows, columns=columns))
    except ConfigError as error:
        raise DataError(str(error)) from error


def detector_of_pixels(path: Path, pixels: int, detector: Detector | None) -> Detector:
    """The detector of flat images of `pixels` charges.

    A `detector` that the user named keeps its window if that fits, else gets the public sets'
    window of that size (13 x 21, 16 x 16, 32 x 32). Without one, 13 x 21 is the muon collider's
    and the square windows are the LHC's. Raises `DataError` for other sizes.
    """
    if detector and detector.sensor.n_pixels == pixels:
        return detector
    if pixels not in _WINDOWS:
        known = ", ".join(f"{n} ({r} x {c})" for n, (r, c) in _WINDOWS.items())
        msg = f"{path}: {pixels} pixel columns; expected {known}, or those of --detector"
        raise DataError(msg)
    default = MUON_COLLIDER_VXD if pixels == MUON_COLLIDER_VXD.sensor.n_pixels else SMART_PIXEL_LHC
    return fitted(detector or default, *_WINDOWS[pixels])


def window_of_columns(
    path: Path, columns: int, pixels: int | None, detector: Detector | None
) -> int:
    """Pixels of a slice in a table of `columns` charges that holds all slices.

    `pixels` is what a file of the last slice has. Raises `DataError` where no whole number of
    slices fits.
    """
    if pixels is None:
        candidates = [detector.sensor.n_pixels] if detector else []
        candidates += list(_WINDOWS)
        fits = [c for c in candidates if columns == _SLICES * c]
        fits += [c for c in candidates if columns and columns % c == 0]
        pixels = fits[0] if fits else None
    if not pixels or not columns or columns % pixels:
        of = f"{pixels} pixels" if pixels else "a known window (273, 256 or 1024 pixels)"
        msg = f"{path}: {columns} pixel columns; expected whole time slices of {of}"
        msg += f" ({_SLICES} slices of 13 x 21 make 5460)"
        raise DataError(msg)
    return pixels
