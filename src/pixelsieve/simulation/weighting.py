"""The weighting potential of one pixel of a planar sensor (Shockley and Ramo)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["weighting_potential"]

_REACH = 2.0  # pixels from the middle that the table covers
_REPEAT = 16  # pixels after which the solution repeats


def weighting_potential(
    pitch_x_um: float, pitch_y_um: float, thickness_um: float, step_um: float
) -> NDArray[np.float32]:
    """Potential at |x|, |y| from the pixel's middle and depth s, shape (nx, ny, ns).

    1 on the pixel (s = thickness), 0 on the other pixels and on the back (s = 0). Laplace's
    equation in Fourier space on a plane that repeats after 16 pixels: each wave of the electrode
    plane decays as sinh(k s) / sinh(k thickness). `step_um` is the grid of all three axes.
    """
    depths = np.arange(int(np.ceil(thickness_um / step_um - 1e-9)) + 1) * step_um
    x, wave_x = _axis(pitch_x_um, step_um)
    y, wave_y = _axis(pitch_y_um, step_um)
    # Cosine series of a centred box, an axis: sin(k p / 2) / (k p / 2) * p / period.
    series_x = np.cos(np.outer(x, wave_x)) * _box(wave_x, pitch_x_um)
    series_y = np.cos(np.outer(y, wave_y)) * _box(wave_y, pitch_y_um)
    k = np.hypot(wave_x[:, None], wave_y[None, :])
    out = np.empty((len(x), len(y), len(depths)), np.float32)
    for i, s in enumerate(np.minimum(depths, thickness_um)):
        out[:, :, i] = series_x @ _decay(k, s, thickness_um) @ series_y.T
    return out


def _axis(pitch_um: float, step_um: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    points = np.arange(int(_REACH * pitch_um / step_um) + 1, dtype=np.float64) * step_um
    n_waves = int(_REPEAT * pitch_um / (2 * step_um))  # shorter waves the grid cannot show
    return points, 2 * np.pi / (_REPEAT * pitch_um) * np.arange(n_waves, dtype=np.float64)


def _box(wave: NDArray[np.float64], pitch_um: float) -> NDArray[np.float64]:
    weight = np.where(wave == 0, 1.0, 2.0) / _REPEAT
    return np.asarray(weight * np.sinc(wave * pitch_um / (2 * np.pi)))


def _decay(k: NDArray[np.float64], s: float, thickness_um: float) -> NDArray[np.float64]:
    # sinh(k s) / sinh(k d) without overflow.
    safe = np.where(k == 0, 1.0, k)
    ratio = np.exp(-safe * (thickness_um - s)) * (1 - np.exp(-2 * safe * s))
    return np.where(k == 0, s / thickness_um, ratio / (1 - np.exp(-2 * safe * thickness_um)))
