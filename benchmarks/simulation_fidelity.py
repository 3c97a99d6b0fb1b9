"""Whether boosted trees can tell simulated clusters from those of the muc-real sample.

    python benchmarks/simulation_fidelity.py [--data ../shared/data/muc-real] [--seeds 3]

C2ST: area under the curve of gradient boosting that tells real from simulated, on clusters it has
not seen; 0.5 is perfect. Rows with the same truth, or of the same particle group, sit in the same
half. "Given slopes" takes the true slopes of simB (the constants were fitted to simB train; shown
is validation + test); "own kinematics" generates everything and compares with simA validation +
test, which chose nothing. Also prints means of the clusters and what "physical" ionization changes.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from pixelsieve.data.clusters import Clusters, concatenate
from pixelsieve.data.detector import MUON_COLLIDER_VXD
from pixelsieve.data.windows import recenter
from pixelsieve.formats import parquet
from pixelsieve.simulation.generate import Sample, generate
from pixelsieve.simulation.ionization import Ionization
from pixelsieve.simulation.sensor_response import respond
from pixelsieve.simulation.streams import start_states
from pixelsieve.simulation.transport import Transport

Floats = NDArray[np.float64]
CLASSES = (("signal", 1), ("BIB", 0))


def read(folder: Path, names: Sequence[str]) -> Clusters:
    return concatenate([parquet.read(folder / f"{name}.parquet") for name in names])


def with_truth(clusters: Clusters) -> Clusters:
    return clusters.select(clusters.truth["truth_pdg"] != 0)


def resimulate(real: Clusters, ionization: Ionization, seed: int) -> Clusters:
    """The same particles once more: true slopes and momenta, new charge."""
    slopes = [real.truth[f"truth_{n}"].astype(np.float64) for n in ("cot_alpha", "cot_beta")]
    p_gev = real.truth["truth_pt_gev"] * np.hypot(1, slopes[0])
    response = respond(
        MUON_COLLIDER_VXD,
        ionization,
        Transport(),
        start_states(seed, 0, 0, len(real)),
        real.truth["truth_pdg"].astype(np.int32),
        p_gev.astype(np.float64),
        *slopes,
    )
    truth = {**real.truth, "total_charge_e": response.total_charge_e}
    return real.replace(pixels_e=response.pixels_e, truth=truth)


def sizes(clusters: Clusters) -> Floats:
    """x_size, y_size, n_pixels, charge in the window, charge made: (n, 5)."""
    hit = clusters.pixels_e > 0
    return np.column_stack(
        [
            hit.any(axis=1).sum(axis=1),
            hit.any(axis=2).sum(axis=1),
            hit.sum(axis=(1, 2)),
            clusters.pixels_e.sum(axis=(1, 2)),
            clusters.truth["total_charge_e"],
        ]
    ).astype(np.float64)


def profiles(clusters: Clusters) -> Floats:
    log_charge = np.log2(1 + np.maximum(clusters.pixels_e, 0))
    return np.hstack([log_charge.sum(axis=1), log_charge.sum(axis=2)]).astype(np.float64)


def given_slopes(clusters: Clusters) -> Floats:
    slopes = [clusters.truth["truth_cot_alpha"], clusters.truth["truth_cot_beta"]]
    return np.column_stack([profiles(clusters), sizes(clusters), *slopes])


def own_kinematics(clusters: Clusters) -> Floats:
    return np.column_stack([profiles(clusters), clusters.z_global_mm, clusters.y_local_mm])


def c2st(
    real: Floats, simulated: Floats, ours: NDArray[np.bool_], theirs: NDArray[np.bool_]
) -> float:
    """Train on the rows that the masks choose of each, test on the others."""
    x = np.vstack([real[ours], simulated[theirs]])
    y = np.repeat([1, 0], [ours.sum(), theirs.sum()])
    model = HistGradientBoostingClassifier(max_iter=100, learning_rate=0.08, random_state=0)
    model.fit(x, y)
    unseen = np.vstack([real[~ours], simulated[~theirs]])
    truth = np.repeat([1, 0], [(~ours).sum(), (~theirs).sum()])
    return float(roc_auc_score(truth, model.predict_proba(unseen)[:, 1]))


def halves(groups: NDArray[np.uint64], seed: int) -> NDArray[np.bool_]:
    """A random half of the particle groups, as a mask of rows."""
    unique = np.unique(groups)
    chosen = np.random.default_rng(seed).permutation(len(unique)) < len(unique) // 2
    return np.asarray(chosen[np.searchsorted(unique, groups)])


def spread(values: list[float]) -> str:
    return f"{np.mean(values):.4f} ± {np.std(values, ddof=1) if len(values) > 1 else 0:.4f}"


def table(title: str, real: Clusters, simulated: list[Clusters]) -> None:
    print(f"\n{title}\n\n| mean (simulated / real) | signal | BIB |\n|---|---|---|")
    names = ("x_size", "y_size", "n_pixels")
    for i, name in enumerate(names):
        cells = []
        for _, label in CLASSES:
            ours = np.mean([sizes(s.select(s.signal == label))[:, i].mean() for s in simulated])
            cells.append(
                f"{ours:.3f} / {sizes(real.select(real.signal == label))[:, i].mean():.3f}"
            )
        print(f"| {name} | {' | '.join(cells)} |")
    for quantile in (0.05, 0.5, 0.95):
        cells = []
        for _, label in CLASSES:
            ours = np.mean(
                [np.quantile(sizes(s.select(s.signal == label))[:, 4], quantile) for s in simulated]
            )
            theirs = np.quantile(sizes(real.select(real.signal == label))[:, 4], quantile)
            cells.append(f"{ours:.0f} / {theirs:.0f}")
        print(f"| charge, {quantile:.0%} quantile (e) | {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/muc-real"))
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    seeds = range(arguments.seeds)
    sim_b = {
        "simB train": with_truth(recenter(read(arguments.data, ["simB_train"]))),
        "simB val + test": with_truth(recenter(read(arguments.data, ["simB_val", "simB_test"]))),
    }
    sim_a = read(arguments.data, ["simA_val", "simA_test"])

    print("| C2ST | signal | BIB |\n|---|---|---|")
    again: dict[str, list[Clusters]] = {}
    for name, real in sim_b.items():
        again[name] = [resimulate(real, Ionization(), seed) for seed in seeds]
        cells = []
        for _, label in CLASSES:
            rows = real.signal == label
            ours = given_slopes(real.select(rows))
            values = []
            for seed, simulated in zip(seeds, again[name], strict=True):
                half = np.random.default_rng(seed).permutation(len(ours)) < len(ours) // 2
                values.append(c2st(ours, given_slopes(simulated.select(rows)), half, half))
            cells.append(spread(values))
        print(f"| given slopes, {name} | {' | '.join(cells)} |", flush=True)
    n_signal, n_bib = sim_a.n_signal, len(sim_a) - sim_a.n_signal
    generated = [
        generate(Sample(n_signal, n_bib, seed=100 + seed), 0, len(sim_a)) for seed in seeds
    ]
    for what in (profiles, own_kinematics):
        cells = []
        for _, label in CLASSES:
            real = sim_a.select(sim_a.signal == label)
            values = []
            for seed, simulated in zip(seeds, generated, strict=True):
                theirs = own = what(simulated.select(simulated.signal == label))
                values.append(
                    c2st(
                        what(real),
                        own,
                        halves(real.groups(), seed),
                        np.arange(len(theirs)) % 2 == 0,
                    )
                )
            cells.append(spread(values))
        inputs = "profiles" if what is profiles else "profiles + z + y"
        print(f"| own kinematics, simA val + test, {inputs} | {' | '.join(cells)} |", flush=True)

    table("Given slopes, simB val + test", sim_b["simB val + test"], again["simB val + test"])
    table("Own kinematics, simA val + test", sim_a, generated)
    physical(len(sim_a))


def physical(n: int) -> None:
    """The same tracks with both ionization modes, in bins of the momentum."""
    sample = Sample(0, 4 * n, seed=200)
    plain = generate(sample, 0, len(sample))
    other = generate(replace(sample, ionization=Ionization("physical")), 0, len(sample))
    slopes = plain.truth["truth_cot_alpha"], plain.truth["truth_cot_beta"]
    path = 50 * np.sqrt(1 + slopes[0] ** 2 + slopes[1] ** 2)
    p_mev = plain.truth["truth_pt_gev"] * np.hypot(1, slopes[0]) * 1e3
    print("\nBIB, ionization 'sample' / 'physical', the same tracks\n")
    print("| p (MeV) | share | charge a path (e/um), median | x_size | y_size | C2ST |")
    print("|---|---|---|---|---|---|")
    for low, high in ((0, 1), (1, 2), (2, 5), (5, 20), (20, np.inf), (0, np.inf)):
        rows = (p_mev >= low) & (p_mev < high)
        a, b = sizes(plain.select(rows)), sizes(other.select(rows))
        half = np.random.default_rng(0).permutation(len(a)) < len(a) // 2
        told = c2st(given_slopes(plain.select(rows)), given_slopes(other.select(rows)), half, half)
        density = [np.median(v[:, 4] / path[rows]) for v in (a, b)]
        print(
            f"| {low:g} to {high:g} | {rows.mean():.3f} | {density[0]:.1f} / {density[1]:.1f} | "
            f"{a[:, 0].mean():.2f} / {b[:, 0].mean():.2f} | "
            f"{a[:, 1].mean():.2f} / {b[:, 1].mean():.2f} | {told:.3f} |"
        )


if __name__ == "__main__":
    main()
