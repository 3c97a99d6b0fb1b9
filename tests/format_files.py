"""Small files of the field's formats, for tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pixelsieve.data.clusters import Clusters
from pixelsieve.data.detector import MUON_COLLIDER_VXD, straight_flight_ns
from tests.conftest import make_clusters

HEADER = "dot1_25x25:BPix@-50V,3.57T@90deg,253K\n25.000000  25.000000  50.000000  200.000000\n"


def full_clusters(n: int = 6, seed: int = 0, slices: int = 20, **columns: Any) -> Clusters:
    """Clusters with slices, times and all truth that triples and PixelAV files hold.

    Charges are whole tenths of an electron; |PDG| is 13 for signal, 11 for BIB.
    """
    rng = np.random.default_rng(seed)
    base = make_clusters(n, seed)
    share = np.minimum(1, (1 + np.arange(slices, dtype=np.float32)) / 6)
    images = np.round(base.pixels_e[:, None] * share[:, None, None], 1).astype(np.float32)
    images[:, : slices - 1, 6, 12] = -32.5  # induced, gone when all is collected
    alpha, beta = rng.uniform(-2, 2, (2, n)).astype(np.float32)
    z_entry = np.full(n, 50, np.float32)
    n_z = -rng.uniform(1, 60, n).astype(np.float32)
    truth = {
        "truth_x_entry_um": rng.uniform(-37, 37, n).astype(np.float32),
        "truth_y_entry_um": rng.uniform(-37, 37, n).astype(np.float32),
        "truth_z_entry_um": z_entry,
        "truth_n_x": alpha * n_z,
        "truth_n_y": beta * n_z,
        "truth_n_z": n_z,
        "total_charge_e": images[:, -1].sum(axis=(1, 2)).round().astype(np.int32),
        "truth_pt_gev": rng.uniform(1, 90, n).astype(np.float32),
        "truth_hit_time_ns": rng.uniform(0.1, 0.3, n).astype(np.float32),
        "truth_pdg": np.where(base.signal == 1, 13, 11).astype(np.int32),
        "truth_cot_alpha": alpha,
        "truth_cot_beta": beta,
    }
    flight = straight_flight_ns(MUON_COLLIDER_VXD.barrel.radius_mm, base.z_global_mm)
    truth["hit_time_ns"] = (truth["truth_hit_time_ns"] - flight).astype(np.float32)
    return base.replace(
        pixels_e=np.ascontiguousarray(images[:, -1]),
        slices_e=images,
        truth=truth,
        hit_time_60ps_ns=base.hit_time_30ps_ns,
        **columns,
    )


def pixelav_text(clusters: Clusters, header: str = HEADER) -> str:
    """The clusters as PixelAV prints them."""
    assert clusters.slices_e is not None
    t = clusters.truth
    names = ["truth_x_entry_um", "truth_y_entry_um", "truth_z_entry_um"]
    names += ["truth_n_x", "truth_n_y", "truth_n_z"]
    lines = [header.rstrip("\n")]
    for i, images in enumerate(clusters.slices_e):
        lines.append("<cluster>")
        numbers = " ".join(f"{t[name][i]:f}" for name in names)
        numbers += f" {t['total_charge_e'][i]} {clusters.y_local_mm[i]:f}"
        numbers += f" {clusters.z_global_mm[i]:f} {t['truth_pt_gev'][i]:f}"
        lines.append(f"{numbers} {t['truth_hit_time_ns'][i]:f} {t['truth_pdg'][i]} ")
        for k, image in enumerate(images, start=1):
            lines.append(f"<time slice {200.0 * k:f} ps>")
            lines += [" ".join(f"{q:2.1f}" for q in row) for row in image]
    return "\n".join(lines) + "\n"


def rewrite(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    pq.write_table(change(pq.read_table(path)), path, row_group_size=4)


def set_value(column: str, row: int, value: float | None) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        values = table.column(column).to_pylist()
        values[row] = value
        at = table.schema.get_field_index(column)
        return table.set_column(at, column, pa.array(values, type=pa.float64()))

    return change


def assert_same(one: Clusters, other: Clusters, rtol: float = 0, atol: float = 0) -> None:
    """All columns equal (truth included), and the detector."""
    assert one.columns().keys() == other.columns().keys()
    for name, values in other.columns().items():
        np.testing.assert_allclose(one.columns()[name], values, rtol=rtol, atol=atol, err_msg=name)
    assert set(one.truth) == set(other.truth)
    assert one.detector == other.detector


def flat(images: NDArray[Any]) -> dict[str, NDArray[Any]]:
    return {str(i): column for i, column in enumerate(images.reshape(len(images), -1).T)}
