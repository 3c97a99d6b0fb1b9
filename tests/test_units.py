from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pixelsieve.api.data import load
from pixelsieve.core.errors import PixelsieveWarning
from pixelsieve.data.clusters import Clusters
from pixelsieve.data.detector import SMART_PIXEL_LHC
from pixelsieve.features import FeatureSet
from pixelsieve.formats import parquet
from pixelsieve.formats.labels import doubtful_units
from pixelsieve.studies.jobs import training_data
from tests.conftest import make_clusters
from tests.test_cli import pixelsieve


def scaled(column: str, factor: float) -> Clusters:
    clusters = make_clusters()
    if column in clusters.truth:
        values = clusters.truth[column] * factor
        return clusters.replace(truth={**clusters.truth, column: values})
    return clusters.replace(**{column: (clusters.columns()[column] * factor).astype(np.float32)})


@pytest.mark.parametrize(
    ("column", "factor", "said"),
    [
        ("z_global_mm", 1000, "lie outside the -65 to 65 mm of muon-collider-vxd; is it in mm?"),
        ("y_local_mm", 1000, "lie outside the -4.5 to 8.5 mm of muon-collider-vxd; is it in mm?"),
        ("pixels_e", 1e-3, "(500 to 60000 e are usual); is it in electrons?"),
        ("pixels_e", 1e3, "(500 to 60000 e are usual); is it in electrons?"),
        ("hit_time_30ps_ns", 1e3, "of |t| are above 25 ns; is it in ns?"),
        ("hit_time_30ps_ns", 1e-9, "all |t| are below 1 ps; is it in ns?"),
        ("hit_time_ns", 1e3, "of |t| are above 25 ns; is it in ns?"),
    ],
)
def test_a_column_in_another_unit_is_doubted(column: str, factor: float, said: str) -> None:
    (line,) = doubtful_units([make_clusters(), scaled(column, factor)])
    assert f"column '{column}': " in line
    assert said in line


def test_one_line_a_column_of_all_splits() -> None:
    wrong = scaled("z_global_mm", 1000)
    assert len(doubtful_units([wrong, wrong, wrong])) == 1


@pytest.mark.parametrize("changes", [{}, {"detector": SMART_PIXEL_LHC}])
def test_what_the_detector_has_is_not_doubted(changes: dict[str, Any]) -> None:
    assert not doubtful_units([make_clusters(**changes)])
    silent = np.zeros((400, 13, 21), np.float32)
    assert not doubtful_units([make_clusters(pixels_e=silent, **changes)])


def test_simulated_clusters_are_not_doubted(tmp_path: Path) -> None:
    path = tmp_path / "c.parquet"
    made = pixelsieve("simulate", "--signal", 300, "--bib", 300, "--out", path)
    assert made.exit_code == 0, made.output
    assert "warning" not in pixelsieve("inspect", path).output


def test_the_real_sample_is_not_doubted(muc_real: Path) -> None:
    for name in ("simA_val", "simB_test"):
        assert not doubtful_units([parquet.read(muc_real / f"{name}.parquet")])


def test_the_program_warns_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "um.parquet"
    parquet.write(scaled("z_global_mm", 1000), path)
    shown = pixelsieve("inspect", path)
    assert shown.exit_code == 0, shown.output
    line = f"pixelsieve: warning: {path}"
    assert shown.stderr.startswith(line)
    assert len(shown.stderr.splitlines()) == 1
    told = re.escape(str(path))
    with pytest.warns(PixelsieveWarning, match=told):  # what firmware reads
        assert len(load(path).train) > 0
    with pytest.warns(PixelsieveWarning, match=told):  # what train and compare read
        training_data(load(path), FeatureSet(("z_global",)), [])
