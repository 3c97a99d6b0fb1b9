"""How well generated tracks agree with the muc-real sample: two-sample tests and a trained filter.

    OMP_NUM_THREADS=2 python benchmarks/kinematics_fidelity.py --data ../shared/data/muc-real

1. Two-sample test (C2ST): gradient boosting tells real from generated tracks; area under its curve
   on tracks it has not seen, 0.5 is perfect. Real tracks are simB val + test, never used in the
   fit, split in halves by particle group. "floor" puts simB train in the place of the generator.
2. End to end: gradient boosting tells muons from background by |z|, y, the time smeared by 30 ps
   and two lengths, |cot alpha| and |cot beta + 0.305| in pixels smeared like a cluster's size. It
   is trained on generated or real (simB train) tracks, tested on real ones (simB val + test).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from pixelsieve.data.detector import MUON_COLLIDER_VXD
from pixelsieve.simulation.bib import BIB_UNIFORMS, SAMPLE_BIB, bib
from pixelsieve.simulation.muons import MUON_UNIFORMS, MuonGun, muons

Floats = NDArray[np.float64]
NAMES = {
    "signal": "signal",
    "group": "group_id",
    "cot_alpha": "truth_cot_alpha",
    "cot_beta": "truth_cot_beta",
    "z": "z_global_mm",
    "y": "y_local_mm",
    "t": "hit_time_ns",
    "pt": "truth_pt_gev",
}
Y_OF_B_MM = 0.09
SETS = {
    "|cot a|, cot b, |z|, y": ("cot_alpha", "cot_beta", "z", "y"),
    "+ time": ("cot_alpha", "cot_beta", "z", "y", "t"),
    "+ time smeared by 30 ps": ("cot_alpha", "cot_beta", "z", "y", "t30"),
    "+ time and pT": ("cot_alpha", "cot_beta", "z", "y", "t", "pt"),
}

Sample = dict[str, Floats]


def real(paths: list[Path]) -> Sample:
    """Rows with truth; y in simA's frame."""
    parts = [pq.read_table(path, columns=list(NAMES.values())) for path in paths]
    sample = {
        n: np.concatenate([p.column(c).to_numpy() for p in parts]).astype(np.float64)
        for n, c in NAMES.items()
    }
    sample["y"] -= Y_OF_B_MM
    return rows_of(sample, np.isfinite(sample["cot_alpha"]))


def generated(n_muons: int, n_bib: int, seed: int) -> Sample:
    """Muons, then background."""
    rng = np.random.default_rng(seed)
    barrel = MUON_COLLIDER_VXD.barrel
    parts = [
        muons(MuonGun(), barrel, rng.random((n_muons, MUON_UNIFORMS))),
        bib(SAMPLE_BIB, barrel, rng.random((n_bib, BIB_UNIFORMS))),
    ]
    sources = {
        "signal": "signal",
        "cot_alpha": "cot_alpha",
        "cot_beta": "cot_beta",
        "z": "z_global_mm",
        "y": "y_local_mm",
        "t": "hit_time_ns",
        "pt": "pt_gev",
    }
    sample = {n: np.concatenate([getattr(p, a) for p in parts]) for n, a in sources.items()}
    sample["signal"] = sample["signal"].astype(np.float64)
    sample["group"] = -1.0 - np.arange(n_muons + n_bib)
    return sample


def rows_of(sample: Sample, rows: NDArray[np.bool_]) -> Sample:
    return {n: v[rows] for n, v in sample.items()}


def prepared(sample: Sample, seed: int) -> Sample:
    """Without the signs that simB lacks; with the smeared time and the two lengths."""
    rng = np.random.default_rng(seed)
    n = len(sample["z"])
    absolute = {n: np.abs(sample[n]) for n in ("cot_alpha", "z")}
    return (
        sample
        | absolute
        | {
            "t30": sample["t"] + rng.normal(0, 0.03, n),
            "x_length": 2 * absolute["cot_alpha"] + rng.normal(0, 0.4, n),
            "y_length": 2 * np.abs(sample["cot_beta"] + 0.305) + rng.normal(0, 0.45, n),
        }
    )


def matrix(sample: Sample, names: tuple[str, ...]) -> Floats:
    return np.stack([sample[n] for n in names], axis=1)


def c2st(a: Sample, b: Sample, names: tuple[str, ...], repeats: int) -> tuple[float, float]:
    """Mean area under the curve and its spread over splits in halves by group."""
    areas = []
    for seed in range(repeats):
        rng = np.random.default_rng(seed)
        halves = []
        for sample in (a, b):
            groups, index = np.unique(sample["group"], return_inverse=True)
            halves.append(rng.permutation(len(groups))[index] < len(groups) // 2)
        x = np.concatenate([matrix(a, names), matrix(b, names)])
        label = np.repeat([1, 0], [len(a["z"]), len(b["z"])])
        weight = np.where(label == 1, 1 / len(a["z"]), 1 / len(b["z"])) * len(x)
        half = np.concatenate(halves)
        for train in (half, ~half):
            model = HistGradientBoostingClassifier(max_iter=100, early_stopping=False)
            model.fit(x[train], label[train], sample_weight=weight[train])
            areas.append(roc_auc_score(label[~train], model.predict_proba(x[~train])[:, 1]))
    return float(np.mean(areas)), float(np.std(areas))


def rejections(train: Sample, test: Sample, seed: int, *, time: bool) -> list[float]:
    """Area under the curve and background rejection at 95 and 98 % signal efficiency."""
    names = ("z", "y", "x_length", "y_length", *(("t30",) if time else ()))
    model = HistGradientBoostingClassifier(
        max_iter=300, learning_rate=0.06, early_stopping=False, random_state=seed
    )
    model.fit(matrix(train, names), train["signal"])
    score = model.decision_function(matrix(test, names))
    signal = test["signal"] == 1
    cuts = np.quantile(score[signal], [0.05, 0.02])
    area = roc_auc_score(signal, score)
    return [float(area), *(float(np.mean(score[~signal] < cut)) for cut in cuts)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/muc-real"))
    parser.add_argument("--seeds", type=int, default=4)
    arguments = parser.parse_args()
    folder, seeds = arguments.data, arguments.seeds
    train = real([folder / "simB_train.parquet"])
    test = real([folder / "simB_val.parquet", folder / "simB_test.parquet"])
    is_muon = test["signal"] == 1
    n_muons, n_bib = int(is_muon.sum()), int((~is_muon).sum())
    made = generated(4 * n_muons, 4 * n_bib, seed=1)

    print(f"C2ST on simB val + test ({n_muons} muons, {n_bib} background), spread over splits")
    print(f"{'inputs':26s} {'class':10s}  generated          floor (simB train)")
    for inputs, names in SETS.items():
        for name, label in (("signal", 1), ("background", 0)):
            a, b, c = (
                prepared(rows_of(s, s["signal"] == label), seed)
                for seed, s in enumerate((test, made, train))
            )
            mine = "{:.4f} +- {:.4f}".format(*c2st(a, b, names, seeds))
            floor = "{:.4f} +- {:.4f}".format(*c2st(a, c, names, seeds))
            print(f"{inputs:26s} {name:10s}  {mine}   {floor}", flush=True)

    m, k = int((train["signal"] == 1).sum()), int((train["signal"] == 0).sum())
    print("\nend to end on simB val + test, mean and spread over seeds of training and smearing")
    print(f"{'trained on':30s} time  AUC              rej 95 %         rej 98 %")
    for time in (False, True):
        for name, factor in (("real (simB train)", 0), ("generated", 1), ("generated, 5 times", 5)):
            table = []
            for seed in range(seeds):
                source = generated(factor * m, factor * k, 100 + seed) if factor else train
                sets = (prepared(source, 200 + seed), prepared(test, 300 + seed))
                table.append(rejections(*sets, seed, time=time))
            mean, spread = np.mean(table, axis=0), np.std(table, axis=0)
            cells = "  ".join(f"{a:.4f} +- {b:.4f}" for a, b in zip(mean, spread, strict=True))
            print(f"{name:30s} {'yes' if time else 'no ':4s}  {cells}", flush=True)


if __name__ == "__main__":
    main()
