"""What is known of the real sample, through our own readers and features."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy import stats

from pixelsieve.features import REGISTRY
from pixelsieve.formats import dataset, parquet


@pytest.mark.parametrize("name", ["x_size", "y_size", "n_pixels"])
@pytest.mark.parametrize("sample", ["simA_test", "simB_test"])
def test_sizes_agree_with_the_samples_own_columns(muc_real: Path, sample: str, name: str) -> None:
    path = muc_real / f"{sample}.parquet"
    ours = REGISTRY[name].compute(parquet.read(path))
    theirs = pq.read_table(path, columns=[name]).column(name).to_numpy()
    np.testing.assert_array_equal(ours, theirs)


def test_collected_charge_is_the_created_charge_but_for_cut_clusters(muc_real: Path) -> None:
    clusters = parquet.read(muc_real / "simA_test.parquet")
    share = REGISTRY["total_charge"].compute(clusters) / clusters.truth["total_charge_e"]
    assert np.quantile(share, 0.01) == pytest.approx(1, abs=0.01)
    assert share.max() < 1.001


def test_signal_is_as_long_as_its_z_says_and_bib_is_not(muc_real: Path) -> None:
    clusters = parquet.read(muc_real / "simA_val.parquet")
    x_size, z = REGISTRY["x_size"].compute(clusters), np.abs(clusters.z_global_mm)
    signal = clusters.signal > 0
    assert stats.pearsonr(x_size[signal], z[signal]).statistic == pytest.approx(0.86, abs=0.03)
    assert stats.pearsonr(x_size[~signal], z[~signal]).statistic == pytest.approx(-0.04, abs=0.06)


def test_both_samples_have_disjoint_splits(muc_real: Path) -> None:
    for sample in ("simA", "simB"):
        loaded = dataset.load([str(muc_real / f"{sample}_*.parquet")])
        assert loaded.split_by == "file name"
        assert all(part.n_signal for part in loaded.parts.values())
