"""`inspect` on data of every kind, whole or not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pixelsieve.data.clusters import concatenate
from pixelsieve.formats import parquet
from pixelsieve.formats.dataset import Dataset, read_parts
from pixelsieve.front_end import FrontEnd
from pixelsieve.studies.inspect import SharedGroups, duplicates, inspect_parts, shared_groups
from tests.conftest import make_clusters
from tests.format_files import full_clusters
from tests.test_cli import pixelsieve, refused


def inspected(*arguments: object) -> dict[str, Any]:
    result = pixelsieve("inspect", *arguments, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_a_lone_file_of_one_class_is_shown_whole(tmp_path: Path) -> None:
    path = tmp_path / "[red]muons.parquet"
    parquet.write(make_clusters(90, signal=np.ones(90, np.int8)), path, provenance={"seed": 4})
    found = inspected(path)
    assert found["splits"] == {"all": {"clusters": 90, "signal": 90, "bib": 0, "groups": 45}}
    assert found["notes"] == ["no splits: too few clusters, or one class alone"]
    assert found["provenance"] == {path.name: {"seed": 4}}
    assert found["features"]["x_size"]["bib"] is None
    assert found["displays"]["bib"] == []
    shown = pixelsieve("inspect", path, "--out", tmp_path / "out")
    assert shown.exit_code == 0, shown.output
    assert "no splits" in shown.output
    assert "[red]muons.parquet: seed 4" in shown.output


def test_what_is_shown(dataset_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "shown"
    result = pixelsieve("inspect", dataset_file, "--out", out, "--events", 2)
    assert result.exit_code == 0, result.output
    for words in ("muon-collider-vxd", "signal share", "identical clusters inside BIB", "on the"):
        assert words in result.output
    names = {f"{n}.{k}" for n in ("distributions", "event_display") for k in ("png", "pdf")}
    assert {p.name for p in out.iterdir()} == names | {"inspection.json"}
    found = json.loads((out / "inspection.json").read_text())
    clusters = read_parts([dataset_file]).parts["train"]
    for one in found["distributions"].values():
        assert len(one["edges"]) == len(one["signal"]) + 1
    sizes = found["distributions"]["x_size"]
    assert sum(sizes["signal"]) + sizes["outside"]["signal"] == clusters.n_signal
    widths = (clusters.pixels_e > 0).any(axis=1).sum(axis=1)
    assert sizes["bib"][2] == np.sum((widths == 3) & (clusters.signal == 0))
    for label, kind in ((1, "signal"), (0, "bib")):
        for one in found["displays"][kind]:
            assert clusters.signal[one["row"]] == label
            np.testing.assert_array_equal(one["pixels_e"], clusters.pixels_e[one["row"]])
    assert found["features"]["x_size"]["hardware_cost"]


def test_overlaps_are_counted_instead_of_refused() -> None:
    a, b = make_clusters(100, seed=1), make_clusters(100, seed=2)
    repeated = concatenate([a, a.select(np.arange(10)).replace(signal=1 - a.signal[:10])])
    parts = {"train": repeated, "test": concatenate([b, a.select(np.arange(20, 25))])}
    large = (a.pixels_e > 0).sum(axis=(1, 2)) > 2
    found = duplicates(parts)
    assert found.between_classes == np.sum(large[:10])
    assert found.between_splits == {"train, test": np.sum(large[20:25])}
    assert sum(found.inside.values()) == np.sum(large[20:25])
    assert shared_groups(parts) == SharedGroups("group_id", {"train, test": 50})
    without = {n: p.replace(group_id=None) for n, p in parts.items()}
    assert shared_groups(without).pairs == {"train, test": np.sum(large[20:25])}


def test_a_front_end_changes_what_is_described_and_not_what_is_compared() -> None:
    parts = Dataset.of({"test": make_clusters(300)}, "file name")
    plain = inspect_parts(parts)
    front_end = FrontEnd(threshold_e=2300, adc="codes", adc_codes_e=(2300.0,))
    chip = inspect_parts(parts, front_end)
    for same in ("splits", "duplicates", "shared_groups"):
        assert getattr(chip, same) == getattr(plain, same)
    assert chip.features["n_pixels"].signal != plain.features["n_pixels"].signal
    assert chip.front_end is not None
    read_out = chip.front_end.clusters["test"]["signal"].read_out
    assert read_out < plain.splits["test"].signal


def test_what_cannot_be_shown_is_one_line(dataset_file: Path, tmp_path: Path) -> None:
    assert "no such Parquet or ROOT file" in refused(
        pixelsieve("inspect", tmp_path / "nothing.parquet")
    )
    (tmp_path / "bad.parquet").write_bytes(b"PAR1")
    assert "not a whole Parquet" in refused(pixelsieve("inspect", tmp_path / "bad.parquet"))
    below_a_file = dataset_file / "out"
    assert "cannot be written" in refused(
        pixelsieve("inspect", dataset_file, "--out", below_a_file)
    )


@pytest.mark.parametrize("sample", ["simA", "simB"])
def test_the_real_sample_repeats_no_cluster(muc_real: Path, sample: str) -> None:
    parts = read_parts([str(muc_real / f"{sample}_*.parquet")]).parts
    found = duplicates(parts)
    assert found.inside == {"signal": 0, "bib": 0}
    assert found.between_classes == 0
    assert set(found.between_splits.values()) == {0}
    assert set(shared_groups(parts).pairs.values()) == {0}


def test_slices_that_are_one_image_and_constant_columns_are_named(tmp_path: Path) -> None:
    clusters = full_clusters(40, slices=3)
    assert clusters.slices_e is not None
    same = clusters.replace(
        slices_e=np.repeat(clusters.pixels_e[:, None], 3, axis=1),
        z_global_mm=np.full(40, 12.5, np.float32),
    )
    path = tmp_path / "same.parquet"
    parquet.write(same, path)
    notes = inspected(path)["notes"]
    assert (
        f"{path}: the 3 time slices of each cluster are identical: they tell no more than one"
        in notes
    )
    assert "column 'z_global_mm' is 12.5 in every cluster: it tells nothing" in notes
    parquet.write(clusters, path)
    assert not any("identical" in note or "in every" in note for note in inspected(path)["notes"])
