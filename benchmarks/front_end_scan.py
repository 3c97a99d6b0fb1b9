"""What a front end costs: boosted trees on model2's inputs after several chips."""

from __future__ import annotations

import argparse
from dataclasses import replace

from pixelsieve.evaluation.baselines import boosted_trees
from pixelsieve.features import FeatureSet
from pixelsieve.formats.dataset import load
from pixelsieve.front_end import FrontEnd
from pixelsieve.metrics.statistics import score
from pixelsieve.networks.spec import network

CHIP = FrontEnd(noise_e=60, threshold_e=400, threshold_dispersion_e=90)
TWO_BITS = replace(CHIP, adc="codes", adc_codes_e=(400.0, 1600.0, 2400.0))
CHIPS = {
    "none": None,
    "threshold 200 e": FrontEnd(threshold_e=200),
    "threshold 400 e": FrontEnd(threshold_e=400),
    "threshold 800 e": FrontEnd(threshold_e=800),
    "noise 60 e, threshold 200 +- 90 e": replace(CHIP, threshold_e=200),
    "noise 60 e, threshold 400 +- 90 e": CHIP,
    "noise 60 e, threshold 800 +- 90 e": replace(CHIP, threshold_e=800),
    "docs/front_end.toml (2 bits)": TWO_BITS,
    "and windows off by up to 1 pixel": replace(TWO_BITS, window="jitter", window_jitter_px=1),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", help="quoted pattern of Parquet files")
    dataset = load([parser.parse_args().data])
    spec = network("model2").with_window(dataset.window)
    features = FeatureSet(spec.features, window=spec.window)
    print("| front end | accuracy | AUC | rejection at 95 % | rejection at 98 % |")
    print("|---|---|---|---|---|")
    for name, chip in CHIPS.items():
        seen = dataset.through(chip)
        training, validation, test = (features.table(part) for part in seen.parts.values())
        scores = boosted_trees(training, validation, test, seed=0).scores
        figures = score(scores, test.labels)
        values = [figures[m] for m in ("accuracy", "auc", "rejection_95", "rejection_98")]
        print(f"| {name} | {' | '.join(f'{v:.4f}' for v in values)} |", flush=True)


if __name__ == "__main__":
    main()
