"""Fit the kinematics that `pixelsieve.simulation` ships: background origins and secondaries.

    python benchmarks/fit_kinematics.py --data ../shared/data/muc-real > model.py

reads the truth columns of simB train alone, maximises likelihoods, and prints the values of
`bib_sample.py` and `muons.Secondaries` as Python. Particle groups (loopers) enter once per hit,
because hits are what is simulated. About a minute on one core.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow.parquet as pq
from jax.scipy.special import logsumexp, ndtri
from jax.scipy.stats import norm
from numpy.typing import NDArray
from scipy.optimize import minimize

from pixelsieve.data.detector import LIGHT_MM_PER_NS, MUON_COLLIDER_VXD, straight_flight_ns
from pixelsieve.simulation.bib import BibModel, Origin
from pixelsieve.simulation.burr import Burr

Floats = NDArray[np.float64]
BARREL = MUON_COLLIDER_VXD.barrel
COLUMNS = ["signal", "truth_pdg", "truth_pt_gev", "truth_cot_alpha", "truth_cot_beta"]
COLUMNS += ["z_global_mm", "y_local_mm", "hit_time_ns", "group_id"]
PROMPT_NS = 1e-3
Y_OF_B_MM = 0.09  # simB counts y from elsewhere than simA
EARLIEST_NS, LATEST_NS, STEEPEST, SOFTEST_GEV = -0.06, 21.0, 10.0, 2e-5

STARTS = {
    # name: drift (of c), delay's scale in ns, rise, tail
    "incoming beam": (-1.0, 0.12, 2.0, 1.0),
    "outgoing beam": (1.0, 0.15, 2.0, 1.0),
    "peak": (0.0, 1.3, 7.0, 0.5),
    "slanted": (0.0, 0.9, 3.0, 1.0),
    "late": (0.0, 2.0, 2.5, 1.0),
    "flat": (0.0, 0.5, 3.0, 1.0),
}
SHAPES = {"share": 3, "delay": 3, "trend": 2, "cot": 3, "cot_trend": 1, "psi": 3, "rho": 3}


def read(path: Path) -> dict[str, Floats]:
    """Truth and position of every row; y in simA's frame."""
    table = pq.read_table(path, columns=COLUMNS)
    data = {n: table.column(n).to_numpy().astype(np.float64) for n in COLUMNS}
    data["y_local_mm"] -= Y_OF_B_MM
    return data


def fit_simple(data: dict[str, Floats]) -> dict[str, float]:
    """Laws of |z| and y, share of positrons and of equal signs, bend of the crossing angle."""
    x = np.clip(data["z_global_mm"] / BARREL.half_length_mm, 0, 1)
    low, high = BARREL.y_low_mm, BARREL.y_high_mm
    v = np.clip((data["y_local_mm"] - low) / (high - low), 0, 1)

    def z_loss(p: Floats) -> float:
        rise, power = np.exp(p)
        return float(-np.mean(np.log((1 + rise * x**power) / (1 + rise / (power + 1)))))

    z_rise, z_power = np.exp(minimize(z_loss, [-0.7, 1.4], method="Nelder-Mead").x)
    tilt = minimize(lambda p: -np.mean(np.log(1 + p[0] * (2 * v - 1))), [0.0], method="BFGS").x[0]
    beta = np.arctan(data["truth_cot_beta"])

    def bend_loss(p: Floats) -> float:
        bend, width, *law = p
        psi = unbend(beta, data["y_local_mm"], bend, width)
        foot = np.arctan(data["y_local_mm"] / BARREL.ladder_distance_mm)
        slope = 1 + bend * foot * np.exp(-((psi / width) ** 2)) * 2 * psi / width**2
        tangent = np.abs(np.tan(np.clip(psi, -1.57, 1.57))) + 1e-9
        scale, rise, tail = np.exp(law)
        density = burr_log_density(tangent, scale, rise, tail) + np.log1p(tangent**2)
        return float(np.mean(np.log(np.abs(slope) + 1e-6) - density))

    start = [0.4, 0.8, 0.1, 0.1, 0.9]
    bent = minimize(bend_loss, start, method="Nelder-Mead", options={"maxiter": 3000})
    return {
        "z_rise": float(z_rise),
        "z_power": float(z_power),
        "y_tilt": float(tilt),
        "bend": float(bent.x[0]),
        "bend_width": float(bent.x[1]),
        "positron_share": float(np.mean(data["truth_pdg"] < 0)),
        "same_sign_share": float(np.mean(data["truth_cot_alpha"] * data["truth_cot_beta"] > 0)),
    }


def unbend(beta: Floats, y_mm: Floats, bend: float, width: float) -> Floats:
    """psi, whose bent angle is `beta` (fixed point; see `BibModel`)."""
    foot = np.arctan(y_mm / BARREL.ladder_distance_mm)
    psi = beta.copy()
    for _ in range(40):
        psi = beta + bend * foot * np.exp(-((psi / width) ** 2))
    return psi


def log_burr(x: jax.Array, law: Sequence[jax.Array]) -> tuple[jax.Array, jax.Array]:
    """Log density and normal score of a Burr law given by the logarithms of its constants."""
    scale, rise, tail = law[0], jnp.exp(law[1]), jnp.exp(law[2])
    log_ratio = jnp.log(jnp.maximum(x, 1e-9)) - scale
    log_sum = jnp.logaddexp(0.0, rise * log_ratio)
    density = law[1] + law[2] - scale + (rise - 1) * log_ratio - (tail + 1) * log_sum
    share = jnp.clip(-jnp.expm1(-tail * log_sum), 1e-6, 1 - 1e-6)
    return density, ndtri(share)


def unpack(p: jax.Array | Floats) -> dict[str, jax.Array]:
    """The flat vector of the fit by name, each (origins, length)."""
    table = jnp.asarray(p).reshape(len(STARTS), -1)
    ends = np.cumsum(list(SHAPES.values()))
    return dict(zip(SHAPES, jnp.split(table, ends[:-1], axis=1), strict=True))


def factor(rho: jax.Array) -> tuple[jax.Array, ...]:
    """Rows 2 and 3 of a Cholesky factor from three unbounded numbers."""
    a, b, c = (0.9 * jnp.tanh(r) for r in rho)
    l32 = c * jnp.sqrt(1 - b * b)
    return a, jnp.sqrt(1 - a * a), b, l32, jnp.sqrt(1 - b * b - l32**2)


def log_joint(p: jax.Array, d: dict[str, jax.Array]) -> tuple[jax.Array, list[list[jax.Array]]]:
    """Log density of each origin (origins, n) for delay, cot theta, tan psi; the normal scores."""
    o, x = unpack(p), d["x"]
    share = o["share"] @ jnp.stack([jnp.ones_like(x), x, 2 * x * x - 1])
    share = jax.nn.log_softmax(share, axis=0)
    parts, scores = [], []
    for k, (drift, *_) in enumerate(STARTS.values()):
        delay = d["raw_ns"] - EARLIEST_NS - drift * d["x"] * BARREL.half_length_mm / LIGHT_MM_PER_NS
        trend, bow = o["trend"][k]
        scale = o["delay"][k, 0] + trend * (x - 0.5) + bow * (2 * x - 1) ** 2
        f1, n1 = log_burr(delay, (scale, o["delay"][k, 1], o["delay"][k, 2]))
        cot_scale = o["cot"][k, 0] + o["cot_trend"][k, 0] * (x - 0.5)
        f2, n2 = log_burr(d["cot_theta"], (cot_scale, o["cot"][k, 1], o["cot"][k, 2]))
        f3, n3 = log_burr(d["tan_psi"], tuple(o["psi"][k]))
        l21, l22, l31, l32, l33 = factor(o["rho"][k])
        e2 = (n2 - l21 * n1) / l22
        e3 = (n3 - l31 * n1 - l32 * e2) / l33
        copula = (n2**2 + n3**2 - e2**2 - e3**2) / 2 - jnp.log(l22 * l33)
        parts.append(share[k] + jnp.where(delay > 0, f1, -60.0) + f2 + f3 + copula)
        scores.append([n1, n2, n3])
    return jnp.stack(parts), scores


def penalty(p: jax.Array) -> jax.Array:
    """A weak pull to featureless laws, so that small origins stay smooth."""
    o = unpack(p)
    strong = [o["share"][:, 1:], o["trend"], o["cot_trend"], o["rho"], 0.55 * o["delay"][:, 1:]]
    weak = [o["cot"][:, 2] - 1.2, o["psi"][:, 2] - 1.2, o["share"][:, 0]]
    strength = [(1e-3, v) for v in strong] + [(1e-4, v) for v in weak]
    return jnp.sum(jnp.stack([pull * jnp.sum(v**2) for pull, v in strength]))


def descend(
    loss: Callable[[jax.Array], jax.Array],
    start: Floats,
    bounds: Sequence[tuple[float, float]] | None = None,
) -> Floats:
    """Minimise a differentiable function from `start`."""
    gradient = jax.jit(jax.value_and_grad(loss))

    def both(p: Floats) -> tuple[float, Floats]:
        value, slope = gradient(jnp.asarray(p))
        return float(value), np.asarray(slope)

    options = {"maxiter": 600, "maxfun": 5000}
    found = minimize(both, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    print(f"# {found.nit} rounds, loss {found.fun:.4f}", file=sys.stderr)
    return np.asarray(found.x)


def fit_origins(d: dict[str, jax.Array]) -> Floats:
    """Maximum likelihood of the mixture; the flat vector of `unpack`."""
    flat = (np.log(2), 0.05, np.log(4))
    start = [(0, 0, 0, *np.log(law), 0, 0, *flat, 0, *flat, 0, 0, 0) for _, *law in STARTS.values()]

    def loss(p: jax.Array) -> jax.Array:
        return -jnp.mean(logsumexp(log_joint(p, d)[0], axis=0)) + penalty(p)

    return descend(loss, np.ravel(start))


def fit_pt(pt: Floats, scores: Sequence[jax.Array], rho: jax.Array, weight: Floats) -> Floats:
    """Law of 1/pT (logarithms) and its three couplings to the other normals of one origin."""
    l21, l22, l31, l32, l33 = factor(rho)
    e1, n2, n3 = scores
    e2 = (n2 - l21 * e1) / l22
    e3 = (n3 - l31 * e1 - l32 * e2) / l33

    def loss(p: jax.Array) -> jax.Array:
        density, normal = log_burr(1 / jnp.asarray(pt), tuple(p[:3]))
        normal = -normal  # 1/pT falls where pT rises
        a, b, c = 0.55 * jnp.tanh(p[3:])
        rest = jnp.sqrt(1 - a * a - b * b - c * c)
        copula: jax.Array = norm.logpdf((normal - a * e1 - b * e2 - c * e3) / rest) - norm.logpdf(
            normal
        )
        total: jax.Array = jnp.sum(weight * (density + copula - jnp.log(rest)))
        return jnp.negative(total / weight.sum())

    start = np.array([np.log(100.0), 1.0, 0.0, 0.0, 0.0, 0.0])
    bounds = [(0, 9), (-1, 2.5), (-3, 3), (-3, 3), (-3, 3), (-3, 3)]
    return descend(loss, start, bounds)


def rank_correlations(rho: jax.Array, couplings: Floats) -> tuple[float, ...]:
    """The six Spearman correlations of an `Origin` from both parts of the fit."""
    lower = np.eye(4)
    lower[1, :2], lower[2, :3] = np.split(np.array(factor(rho)), [2])
    lower[3, :3] = 0.55 * np.tanh(couplings)
    lower[3, 3] = np.sqrt(1 - np.sum(lower[3, :3] ** 2))
    pearson = (lower @ lower.T)[np.tril_indices(4, -1)]
    return tuple(round(float(r), 3) for r in 6 / np.pi * np.arcsin(pearson / 2))


def law(logarithms: Sequence[float] | jax.Array | Floats) -> Burr:
    """A Burr law of rounded constants."""
    scale, rise, tail = (float(f"{np.exp(v):.4g}") for v in np.asarray(logarithms))
    return Burr(scale, rise, tail)


def fit_bib(data: dict[str, Floats]) -> BibModel:
    """The background model of the electrons and positrons in `data`."""
    simple = fit_simple(data)
    beta = np.arctan(data["truth_cot_beta"])
    psi = unbend(beta, data["y_local_mm"], simple["bend"], simple["bend_width"])
    secant = np.hypot(1, data["truth_cot_beta"])
    z = data["z_global_mm"]
    d = {
        "x": jnp.asarray(z / BARREL.half_length_mm),
        "raw_ns": jnp.asarray(data["hit_time_ns"] + straight_flight_ns(BARREL.radius_mm, z)),
        "cot_theta": jnp.asarray(np.abs(data["truth_cot_alpha"]) / secant),
        "tan_psi": jnp.asarray(np.abs(np.tan(psi))),
    }
    p = fit_origins(d)
    parts, scores = log_joint(jnp.asarray(p), d)
    weights = np.asarray(jax.nn.softmax(parts, axis=0))
    o = unpack(p)
    origins = []
    for k, (name, (drift, *_)) in enumerate(STARTS.items()):
        pt = fit_pt(data["truth_pt_gev"], scores[k], o["rho"][k], weights[k])
        print(f"# {name}: {weights[k].mean():.3f} of the hits", file=sys.stderr)
        origins.append(
            Origin(
                name=name,
                log_share=tuple(round(float(v), 4) for v in o["share"][k]),
                drift=drift,
                delay_ns=law(o["delay"][k]),
                delay_trend=tuple(round(float(v), 4) for v in o["trend"][k]),
                cot_theta=law(o["cot"][k]),
                cot_theta_trend=round(float(o["cot_trend"][k, 0]), 4),
                tan_psi=law(o["psi"][k]),
                inverse_pt=law(pt[:3]),
                rank_correlations=rank_correlations(o["rho"][k], pt[3:]),
            )
        )
    rounded = {n: float(f"{v:.4g}") for n, v in simple.items()}
    return BibModel(
        tuple(origins),
        EARLIEST_NS,
        LATEST_NS,
        steepest_slope=STEEPEST,
        softest_pt_gev=SOFTEST_GEV,
        **rounded,
    )


def burr_log_density(x: Floats, scale: float, rise: float, tail: float) -> Floats:
    """Logarithm of the density at `x` > 0, in one over the unit of `scale`."""
    log_ratio = np.log(x / scale)
    result: Floats = (
        np.log(rise * tail / scale)
        + (rise - 1) * log_ratio
        - (tail + 1) * np.logaddexp(0, rise * log_ratio)
    )
    return result


def fit_law(values: Floats) -> Burr:
    """Maximum likelihood Burr law of positive values up to its steepest slope."""

    def loss(p: Floats) -> float:
        return -float(np.mean(burr_log_density(values, *np.exp(p))))

    return law(minimize(loss, [np.log(np.median(values)), 0.1, 0.5], method="Nelder-Mead").x)


def secondary_laws(data: dict[str, Floats]) -> str:
    """The three laws of `Secondaries`: muon hits that lie off the muon's line."""
    y, z = data["y_local_mm"], data["z_global_mm"]
    d = BARREL.ladder_distance_mm
    chord = np.hypot(d, y)
    charge = -np.sign(data["truth_pdg"])
    radius = data["truth_pt_gev"] / (LIGHT_MM_PER_NS * 1e-6 * BARREL.field_T)
    turn = np.arcsin(np.minimum(chord / (2 * radius), 1))
    off_y = np.abs(data["truth_cot_beta"] - np.tan(charge * turn - np.arctan(y / d)))
    off_z = np.abs(z - d * np.abs(data["truth_cot_alpha"]))
    rows = (off_y > 1e-2) | (off_z > 0.3)
    tan_beta = np.abs(data["truth_cot_beta"])
    cot_theta = np.abs(data["truth_cot_alpha"]) / np.hypot(1, tan_beta)
    prompt = np.hypot(chord, z) / LIGHT_MM_PER_NS - straight_flight_ns(BARREL.radius_mm, z)
    delay = (data["hit_time_ns"] - prompt)[rows]
    late = delay > PROMPT_NS
    laws = [fit_law(v) for v in (cot_theta[rows], tan_beta[rows], delay[late])]
    share = f"share {rows.mean():.4f} of {len(rows)} muon hits, {1 - late.mean():.4f} prompt\n"
    return share + "\n".join(map(repr, laws))


def select(data: dict[str, Floats], rows: NDArray[np.bool_]) -> dict[str, Floats]:
    return {n: v[rows] for n, v in data.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/muc-real"))
    arguments = parser.parse_args()
    jax.config.update("jax_enable_x64", True)  # type: ignore[no-untyped-call]  # noqa: FBT003
    data = read(arguments.data / "simB_train.parquet")
    is_muon = data["signal"] == 1
    print(secondary_laws(select(data, is_muon)))
    print(repr(fit_bib(select(data, ~is_muon & (np.abs(data["truth_pdg"]) == 11)))))


if __name__ == "__main__":
    main()
