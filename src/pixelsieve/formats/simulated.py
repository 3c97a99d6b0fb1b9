"""Simulated samples of which clusters are missing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pixelsieve.core.errors import DataError, RunError
from pixelsieve.core.files import read_document
from pixelsieve.formats import parquet

__all__ = ["incomplete_samples", "refuse_unfinished"]


def refuse_unfinished(folder: Path) -> None:
    """Raise `DataError` where `simulate` began to fill the folder and files of it are missing."""
    manifest = folder / "manifest.json"
    if not manifest.exists():
        return
    try:
        said = read_document(manifest).get("config")
    except RunError:  # of somebody else, or damaged: the clusters have their own checks
        return
    wanted = _clusters_of(said)
    there = sum(map(_rows, folder.glob("clusters-*.parquet")))
    if there < wanted:
        msg = (
            f"{folder}: {there} of the {wanted} clusters of its simulation are there; give the "
            "same `pixelsieve simulate` again to make the others, or take these as they are by "
            f"'{folder / '*.parquet'}'"
        )
        raise DataError(msg)


def incomplete_samples(files: Sequence[Path]) -> list[str]:
    """One line for each simulated sample of which `files` hold less than was simulated."""
    samples: dict[str, list[Path]] = {}
    wanted: dict[str, int] = {}
    for path in files:
        said = parquet.read_provenance(path)
        if clusters := _clusters_of(said):
            key = json.dumps(said["simulation"], sort_keys=True)
            samples.setdefault(key, []).append(path)
            wanted[key] = clusters
    found = []
    for key, paths in samples.items():
        there = sum(map(_rows, paths))
        if there < wanted[key]:
            more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
            found.append(
                f"{paths[0]}{more}: {there} of the {wanted[key]} clusters of the simulation; are "
                "files missing?"
            )
    return found


def _clusters_of(provenance: Any) -> int:
    """How many clusters were simulated, 0 where this is of no simulation."""
    sample = provenance.get("simulation") if isinstance(provenance, Mapping) else None
    if not isinstance(sample, Mapping):
        return 0
    counts = [sample.get(name) for name in ("n_signal", "n_bib")]
    return sum(n for n in counts if isinstance(n, int))


def _rows(path: Path) -> int:
    return int(parquet.open_file(path).metadata.num_rows)
