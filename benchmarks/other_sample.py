"""The networks of a run on data that they were not trained on: mean and spread over seeds.

    python benchmarks/other_sample.py runs/first --data '../shared/data/muc-real/simB_*.parquet'

prints figures of merit of every approach on the validation split; `--split test` for the test
split, which chooses nothing.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pixelsieve.errors import RunError
from pixelsieve.evaluation.scores import score, summarize
from pixelsieve.formats.dataset import read_parts
from pixelsieve.model_file import load_model
from pixelsieve.studies.evaluate import only
from pixelsieve.studies.trained import as_trained

SPLITS = {"val": "validation", "test": "test"}
SHOWN = ("accuracy", "auc", "rejection_95", "rejection_98")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", required=True, nargs="+")
    parser.add_argument("--split", choices=SPLITS, default="val")
    options = parser.parse_args()
    paths = sorted((options.run / "models").glob("*_seed*.keras"))
    if not paths:
        msg = f"{options.run}: no models; expected a run of compare or train"
        raise RunError(msg)
    print(f"| data, {options.split} | approach | seeds | {' | '.join(SHOWN)} |")
    print(f"|---|---|---|{'---|' * len(SHOWN)}")
    for pattern in options.data:
        part = only(read_parts([pattern]), SPLITS[options.split])
        found: dict[str, list[dict[str, float]]] = {}
        for path in paths:
            model = load_model(path)
            (clusters,) = as_trained(model, part).parts.values()
            logits = model.logits(model.features.table(clusters))
            approach = path.stem.rsplit("_seed", 1)[0]
            found.setdefault(approach, []).append(score(logits, clusters.signal))
        for approach, figures in found.items():
            summary = summarize(figures)
            cells = [f"{summary[m]['mean']:.4f} ± {summary[m]['spread']:.4f}" for m in SHOWN]
            name = Path(pattern).name.split("_")[0]
            print(f"| {name} | {approach} | {len(figures)} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
