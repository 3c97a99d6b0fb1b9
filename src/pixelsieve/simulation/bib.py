"""Beam-induced background: electrons and positrons of a few origins, each of closed-form laws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from pixelsieve.core.config import require_above_0, require_between
from pixelsieve.core.errors import ConfigError
from pixelsieve.data.detector import ELECTRON_PDG, LIGHT_MM_PER_NS, Barrel, straight_flight_ns
from pixelsieve.simulation.burr import Burr, cut_burr_quantile
from pixelsieve.simulation.tracks import Tracks

BIB_UNIFORMS = 11
"""Uniform numbers that one background particle takes."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Origin:
    """One origin of background: when its particles come and how they cross the ladder.

    With x = |z|/half length the share of the origin goes as exp of the polynomial `log_share` in
    1, x, 2x^2-1. A particle comes at `drift` |z|/c + `BibModel.earliest_ns` + a delay, where the
    delay follows the law `delay_ns`, its scale times exp(a (x-1/2) + b (2x-1)^2) with a, b =
    `delay_trend`. `cot_theta` is the law of |pz/pT|, its scale times exp(`cot_theta_trend`
    (x-1/2)), `tan_psi` that of |tan| of the crossing angle in the bending plane, `inverse_pt` that
    of 1/pT in 1/GeV. `rank_correlations` are Spearman's, of a Gaussian copula, in the order
    delay-cot theta, delay-psi, cot theta-psi, delay-pT, cot theta-pT, psi-pT. Raise `ConfigError`
    if lengths are wrong or no such correlations exist.
    """

    name: str
    log_share: tuple[float, ...]
    drift: float
    delay_ns: Burr
    delay_trend: tuple[float, ...]
    cot_theta: Burr
    cot_theta_trend: float
    tan_psi: Burr
    inverse_pt: Burr
    rank_correlations: tuple[float, ...]

    def __post_init__(self) -> None:
        for name, length in (("log_share", 3), ("delay_trend", 2), ("rank_correlations", 6)):
            if len(getattr(self, name)) != length:
                msg = f"origin '{self.name}': '{name}' has {len(getattr(self, name))} numbers; "
                raise ConfigError(msg + f"expected {length}")
        if not -1 <= self.drift <= 1:
            msg = f"origin '{self.name}': 'drift' is {self.drift:g}; expected -1 to 1 (of c)"
            raise ConfigError(msg)
        try:
            copula_factor(self.rank_correlations)
        except np.linalg.LinAlgError as error:
            msg = f"origin '{self.name}': 'rank_correlations' contradict each other"
            raise ConfigError(msg) from error


@dataclass(frozen=True, slots=True)
class BibModel:
    """The whole background on a layer: its origins and what they share.

    The density of x = |z|/half length is 1 + `z_rise` x^`z_power`, that of y linear, from
    1 - `y_tilt` to 1 + `y_tilt`, both up to a factor; the sign of z is random. The track's angle in
    the image's y is psi - `bend` arctan(y/d) exp(-(psi/`bend_width`)^2), psi of random sign. Slopes
    end near `steepest_slope`, delays at `latest_ns`, pT begins at `softest_pt_gev`. Raise
    `ConfigError` for values out of range.
    """

    origins: tuple[Origin, ...]
    earliest_ns: float
    latest_ns: float
    z_rise: float
    z_power: float
    y_tilt: float
    bend: float
    bend_width: float
    positron_share: float
    same_sign_share: float
    steepest_slope: float
    softest_pt_gev: float

    def __post_init__(self) -> None:
        if not self.origins:
            msg = "'origins' is empty; expected at least one origin of background"
            raise ConfigError(msg)
        for name in ("positron_share", "same_sign_share"):
            require_between(self, name, 0.0, 1.0)
        require_above_0(
            self, "latest_ns", "z_power", "bend_width", "steepest_slope", "softest_pt_gev"
        )
        if not (self.z_rise >= 0 and abs(self.y_tilt) <= 1):
            msg = "'z_rise' must be 0 or more and 'y_tilt' within -1 to 1"
            raise ConfigError(msg)


def copula_factor(rank_correlations: tuple[float, ...]) -> Floats:
    """Lower Cholesky factor (4, 4) of the Gaussian copula with these six rank correlations.

    Pearson's correlation of the normals is 2 sin(pi rank/6) (Kruskal 1958). Raise `LinAlgError`
    if no such copula exists.
    """
    matrix = np.eye(4)
    matrix[np.tril_indices(4, -1)] = 2 * np.sin(np.pi / 6 * np.array(rank_correlations))
    return np.asarray(np.linalg.cholesky(matrix))


def bib(model: BibModel, barrel: Barrel, uniforms: Floats) -> Tracks:
    """Background hits on the ladder, one per row of `uniforms` (n, `BIB_UNIFORMS`) in (0, 1).

    Row i depends on row i alone. Delays are those of the barrel that the model was fitted on;
    positions follow `barrel`.
    """
    columns = np.ascontiguousarray(uniforms.T)
    u_z, u_power, u_y, u_origin, u_signs, u_same, u_pdg, *u_laws = columns
    x = _rising(model, u_z, u_power)
    y_mm = barrel.y_low_mm + (barrel.y_high_mm - barrel.y_low_mm) * _tilted(model.y_tilt, u_y)
    origin = _choose_origin(model, x, u_origin)
    u_delay, u_cot, u_psi, u_pt = _dependent(model, origin, u_laws)
    trends, laws = _constants(model)
    drift, delay_trend, delay_bow, cot_trend = trends[:, origin]
    delay_law, cot_law, psi_law, inverse_pt_law = laws[:, :, origin]

    z_mm = barrel.half_length_mm * x
    delay_law[0] *= np.exp(delay_trend * (x - 0.5) + delay_bow * (2 * x - 1) ** 2)
    time_ns = cut_burr_quantile(u_delay, model.latest_ns, *delay_law)
    time_ns += model.earliest_ns + drift * z_mm / LIGHT_MM_PER_NS
    time_ns -= straight_flight_ns(barrel.radius_mm, z_mm)

    signs = (4 * u_signs).astype(np.int64)
    psi = np.arctan(cut_burr_quantile(u_psi, model.steepest_slope, *psi_law))
    psi *= 1 - 2 * (signs & 1)
    foot = np.arctan(y_mm / barrel.ladder_distance_mm)
    cot_beta = np.tan(psi - model.bend * foot * np.exp(-((psi / model.bend_width) ** 2)))
    secant = np.hypot(1, cot_beta)
    cot_law[0] *= np.exp(cot_trend * (x - 0.5))
    cot_theta = cut_burr_quantile(u_cot, model.steepest_slope / secant, *cot_law)
    cot_alpha = np.copysign(cot_theta * secant, cot_beta)
    pt_gev = 1 / cut_burr_quantile(1 - u_pt, 1 / model.softest_pt_gev, *inverse_pt_law)
    n = len(uniforms)
    positron = u_pdg < model.positron_share
    return Tracks(
        signal=np.zeros(n, dtype=np.int8),
        pdg=np.where(positron, -ELECTRON_PDG, ELECTRON_PDG).astype(np.int32),
        p_gev=pt_gev * np.hypot(1, cot_theta),
        pt_gev=pt_gev,
        cot_alpha=np.where(u_same < model.same_sign_share, cot_alpha, -cot_alpha),
        cot_beta=cot_beta,
        z_global_mm=np.where(signs & 2, z_mm, -z_mm),
        y_local_mm=y_mm,
        hit_time_ns=time_ns,
    )


def _rising(model: BibModel, u: Floats, u_power: Floats) -> Floats:
    """Quantile of the density 1 + z_rise x^z_power on 0..1: a mixture of two powers."""
    excess = model.z_rise / (model.z_power + 1)
    return np.where(u_power * (1 + excess) < 1, u, u ** (1 / (model.z_power + 1)))


def _tilted(tilt: float, u: Floats) -> Floats:
    """Quantile of the linear density 1 + tilt (2v - 1) on 0..1 (stable where tilt is 0)."""
    result: Floats = 2 * u / (1 - tilt + np.sqrt((1 - tilt) ** 2 + 4 * tilt * u))
    return result


def _choose_origin(model: BibModel, x: Floats, u: Floats) -> NDArray[np.int64]:
    """Index of the origin of each particle at x = |z|/half length."""
    shares = np.array([origin.log_share for origin in model.origins])
    basis = np.stack([np.ones_like(x), x, 2 * x * x - 1])
    running = np.cumsum(np.exp(shares @ basis), axis=0)
    return np.asarray(np.count_nonzero(running[:-1] <= u * running[-1], axis=0))


def _dependent(model: BibModel, origin: NDArray[np.int64], uniforms: list[Floats]) -> list[Floats]:
    """The four independent uniforms, made dependent by the copula of each particle's origin."""
    factors = np.array([copula_factor(o.rank_correlations) for o in model.origins])
    normals = [ndtri(u) for u in uniforms]
    result = [uniforms[0]]
    for row in range(1, 4):
        mixed = sum(factors[origin, row, i] * normals[i] for i in range(row + 1))
        result.append(ndtr(mixed))
    return result


def _constants(model: BibModel) -> tuple[Floats, Floats]:
    """Drift and trends (4, origins), and the four laws' constants (4, 3, origins)."""
    trends = [(o.drift, *o.delay_trend, o.cot_theta_trend) for o in model.origins]
    laws = [
        [
            (law.scale, law.rise, law.tail)
            for law in (o.delay_ns, o.cot_theta, o.tan_psi, o.inverse_pt)
        ]
        for o in model.origins
    ]
    return np.array(trends).T, np.moveaxis(np.array(laws), 0, -1)


SAMPLE_BIB = BibModel(
    origins=(
        Origin(
            name="incoming beam",
            log_share=(-0.865, -0.1126, 0.0332),
            drift=-1.0,
            delay_ns=Burr(scale=0.1317, rise=3.409, tail=1.041),
            delay_trend=(0.2938, 0.0867),
            cot_theta=Burr(scale=2.122, rise=1.594, tail=3.734),
            cot_theta_trend=-0.7052,
            tan_psi=Burr(scale=0.9681, rise=1.108, tail=2.281),
            inverse_pt=Burr(scale=63.05, rise=6.69, tail=0.1244),
            rank_correlations=(-0.365, 0.16, -0.097, -0.081, 0.167, -0.432),
        ),
        Origin(
            name="outgoing beam",
            log_share=(-1.3207, -0.0663, -0.0138),
            drift=1.0,
            delay_ns=Burr(scale=0.1131, rise=4.569, tail=0.8754),
            delay_trend=(0.0014, -0.1825),
            cot_theta=Burr(scale=5.556, rise=1.902, tail=5.573),
            cot_theta_trend=0.1609,
            tan_psi=Burr(scale=0.5229, rise=1.263, tail=1.765),
            inverse_pt=Burr(scale=59.08, rise=5.115, tail=0.2049),
            rank_correlations=(-0.562, 0.133, -0.245, -0.178, 0.301, -0.335),
        ),
        Origin(
            name="peak",
            log_share=(1.0124, 0.1959, -0.0366),
            drift=0.0,
            delay_ns=Burr(scale=1.301, rise=8.944, tail=0.3506),
            delay_trend=(-0.2225, -0.0953),
            cot_theta=Burr(scale=3.251, rise=1.041, tail=6.869),
            cot_theta_trend=0.0554,
            tan_psi=Burr(scale=1.913, rise=1.085, tail=3.296),
            inverse_pt=Burr(scale=82.39, rise=5.998, tail=0.2252),
            rank_correlations=(-0.217, -0.121, 0.088, 0.302, -0.249, -0.221),
        ),
        Origin(
            name="slanted",
            log_share=(-0.0615, -0.0707, -0.1169),
            drift=0.0,
            delay_ns=Burr(scale=1.269, rise=6.304, tail=1.662),
            delay_trend=(-0.8419, -0.2491),
            cot_theta=Burr(scale=0.9729, rise=1.655, tail=4.708),
            cot_theta_trend=-0.3937,
            tan_psi=Burr(scale=2.352, rise=1.091, tail=9.551),
            inverse_pt=Burr(scale=82.47, rise=6.048, tail=0.3087),
            rank_correlations=(-0.426, 0.114, 0.043, -0.003, -0.128, -0.186),
        ),
        Origin(
            name="late",
            log_share=(0.9241, 0.176, 0.4996),
            drift=0.0,
            delay_ns=Burr(scale=3.84, rise=1.594, tail=3.039),
            delay_trend=(-0.5392, 0.1685),
            cot_theta=Burr(scale=1.324, rise=1.073, tail=4.011),
            cot_theta_trend=-0.2541,
            tan_psi=Burr(scale=1.031, rise=1.155, tail=2.274),
            inverse_pt=Burr(scale=75.9, rise=6.136, tail=0.2396),
            rank_correlations=(0.003, 0.001, 0.125, 0.318, -0.154, -0.25),
        ),
        Origin(
            name="flat",
            log_share=(0.3108, -0.1222, -0.3655),
            drift=0.0,
            delay_ns=Burr(scale=2.382, rise=1.445, tail=3.232),
            delay_trend=(0.3502, 0.26),
            cot_theta=Burr(scale=1.118, rise=2.274, tail=4.293),
            cot_theta_trend=-0.0043,
            tan_psi=Burr(scale=2.445, rise=1.232, tail=8.574),
            inverse_pt=Burr(scale=81.17, rise=6.025, tail=0.2771),
            rank_correlations=(-0.489, 0.179, -0.168, 0.128, -0.126, -0.181),
        ),
    ),
    earliest_ns=-0.06,
    latest_ns=21.0,
    z_rise=0.5225,
    z_power=4.069,
    y_tilt=-0.08303,
    bend=0.4862,
    bend_width=0.8185,
    positron_share=0.2913,
    same_sign_share=0.5446,
    steepest_slope=10.0,
    softest_pt_gev=2e-5,
)
"""Background of the muc-real sample: constants, fitted, with their provenance.

Fitted by maximum likelihood to the truth columns of the 19 379 electrons and positrons of simB
train (1923 particle groups) by `benchmarks/fit_kinematics.py`, which repeats every number. No
validation or test row and no row of simA took part. The sample itself comes from FLUKA decay
products of 5 TeV beams at the first barrel layer (r = 30 mm, 3.57 T).

Two origins come with the bunch, at -|z|/c or +|z|/c after the crossing and up to a few tenths of a
nanosecond later: they are steep along the beam and fill the readout's time window. "peak" is the
maximum near 1.2 ns after the crossing, "slanted" comes earlier the larger |z|, "flat" and "late"
are the broad rest. The last four are shapes, not processes that could be told apart.
"""
