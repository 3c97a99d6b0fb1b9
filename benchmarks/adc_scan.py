"""What ADCs are worth on validation, and what the logic of the features costs behind them.

    python benchmarks/adc_scan.py '../shared/data/muc-real/simA_*.parquet'

Boosted trees on sums of codes and counts of hit pixels by line, position and |z|, behind front ends
without noise whose edges rise by an equal factor; LUTs (alkaid's estimate) that make all elements
of the four profiles, on inputs of 8 bits.
"""

from __future__ import annotations

import argparse

import numpy as np

from pixelsieve.evaluation.baselines import boosted_trees
from pixelsieve.features import FeatureSet
from pixelsieve.formats.dataset import load
from pixelsieve.front_end import FrontEnd
from pixelsieve.integer.pixel_logic import feature_cost
from pixelsieve.metrics.statistics import score
from pixelsieve.networks.fixed_point import FixedPoint

LOGS = ("x_profile", "z_global", "y_profile", "y_local")
CODES = ("x_code_profile", "x_count_profile", "z_global", "y_code_profile", "y_count_profile")
INPUTS = FixedPoint(signed=True, bits=8)
ADCS = (
    *((200, 4000, 3), (200, 8000, 4), (200, 10000, 6)),
    *((100, 8000, 4),),
    *((50, 4000, 3), (50, 8000, 4)),
    *((20, 4000, 3), (20, 8000, 4), (20, 10000, 6)),
)
"""Threshold and first edge, last edge (e), bits."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", help="quoted pattern of Parquet files")
    dataset = load([parser.parse_args().data])
    print("| inputs | threshold | bits | LUTs of features | val AUC | val rejection at 98 % |")
    print("|---|---|---|---|---|---|")
    for adc in (None, *ADCS):
        chip, cells = None, ["logarithms", "none", "-", "none"]
        features = FeatureSet(LOGS, mirror_x=True)
        if adc:
            first, last, bits = adc
            edges = np.geomspace(first, last, (1 << bits) - 1).round()
            chip = FrontEnd(threshold_e=first, adc="codes", adc_codes_e=tuple(edges.tolist()))
            features = FeatureSet((*CODES, "y_local"), mirror_x=True)
            luts = feature_cost(FeatureSet(CODES), bits, INPUTS)
            cells = ["codes and counts", f"{first} e", str(bits), f"{luts:.0f}"]
        seen = dataset.through(chip)
        training, validation = (features.table(c) for c in (seen.train, seen.validation))
        scores = boosted_trees(training, validation, validation, seed=0).scores
        found = score(scores, validation.labels)
        cells += [f"{found['auc']:.4f}", f"{found['rejection_98']:.3f}"]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
