from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

import pixelsieve as ps
from pixelsieve.core.config import read_toml
from pixelsieve.features.registry import LARGEST_INPUT, REGISTRY
from pixelsieve.formats import root
from pixelsieve.formats.dataset import load
from pixelsieve.networks.spec import read_network
from pixelsieve.simulation.generate import sample_from_mapping
from pixelsieve.training.recipe import read_recipes
from tests.conftest import make_clusters

DOCS = Path(__file__).parents[1] / "docs"


def blocks(page: str, kind: str) -> dict[str, str]:
    """The titled code blocks of a page, by title."""
    text = (DOCS / page).read_text()
    return dict(re.findall(rf'```{kind} title="(.*?)"\n(.*?)```', text, re.DOTALL))


def run_block(page: str, title: str, folder: Path) -> str:
    command = [sys.executable, "-W", "error", "-c", blocks(page, "python")[title]]
    done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_map_of_the_house_names_every_room() -> None:
    text = (DOCS.parent / "CONTRIBUTING.md").read_text()
    house = DOCS.parent / "src" / "pixelsieve"
    rooms = [p.stem for p in house.glob("[!_]*.py")]
    rooms += [f"{p.parent.name}/" for p in house.glob("*/__init__.py")]
    assert len(rooms) > 14
    assert [room for room in rooms if f"`{room}`" not in text] == []


def test_the_reference_has_every_public_name_and_nothing_twice() -> None:
    pages = "\n".join(page.read_text() for page in (DOCS / "reference").glob("*.md"))
    found = Counter(re.findall(r"^::: pixelsieve\.(\S+)", pages, re.MULTILINE))
    assert {name: times for name, times in found.items() if times > 1} == {}
    assert {*ps.__all__} - {"__version__"} <= found.keys()


@pytest.mark.parametrize("script", ["cli", "notebook", "tutorial"])
def test_generated_pages_are_fresh(script: str) -> None:
    command = [sys.executable, str(DOCS / "generate" / f"{script}.py"), "--check"]
    checked = subprocess.run(command, check=False, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize(
    ("page", "title"),
    [
        ("explanation/bit_exact.md", "grid.py"),
        ("explanation/failed_warm_start.md", "warm_start.py"),
        ("explanation/few_bits.md", "oscillation.py"),
        ("explanation/rejection.md", "ties.py"),
    ],
)
def test_examples_print_what_the_page_says(page: str, title: str, tmp_path: Path) -> None:
    assert run_block(page, title, tmp_path) == blocks(page, "text")[title]


def test_own_parquet(tmp_path: Path) -> None:
    run_block("how_to/own_parquet.md", "write.py", tmp_path)
    data = load([tmp_path / "clusters.parquet"])
    assert sum(len(part) for part in data.parts.values()) == 2000


def test_a_flat_tree(tmp_path: Path) -> None:
    run_block("formats.md", "flat_tree.py", tmp_path)
    data = load([tmp_path / "clusters.root"])
    assert sum(len(part) for part in data.parts.values()) == 2000


class _Hit:
    """What `edm4hep::SimTrackerHit` offers: a muon's pixels in a row, 368 eV in each."""

    def __init__(self, number: int) -> None:
        self._number = number

    def getCellID(self) -> int:  # noqa: N802
        return (200 << 48) | ((100 + self._number) << 32) | 7

    def getEDep(self) -> float:  # noqa: N802
        return 368e-9

    def getTime(self) -> float:  # noqa: N802
        return 0.5 + self._number

    def getPosition(self) -> SimpleNamespace:  # noqa: N802
        return SimpleNamespace(x=30.0, y=1.0, z=40.0)

    def getParticle(self) -> SimpleNamespace:  # noqa: N802
        return SimpleNamespace(getObjectID=lambda: SimpleNamespace(index=4), getPDG=lambda: -13)

    def isOverlay(self) -> bool:  # noqa: N802
        return False


def test_from_edm4hep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    event = {"VertexBarrelCollection": [_Hit(0), _Hit(1), _Hit(2)]}
    reading = ModuleType("podio.reading")
    monkeypatch.setattr(
        reading, "get_reader", lambda _: SimpleNamespace(get=lambda _: [event]), raising=False
    )
    monkeypatch.setitem(sys.modules, "podio", ModuleType("podio"))
    monkeypatch.setitem(sys.modules, "podio.reading", reading)
    monkeypatch.chdir(tmp_path)
    exec(blocks("formats.md", "python")["edm4hep_to_root.py"], {})
    (clusters,) = root.iterate(tmp_path / "clusters.root")
    assert clusters.pixels_e.shape == (1, 13, 21)
    np.testing.assert_allclose(clusters.pixels_e[0, 6, 9:12], 100, rtol=1e-6)
    assert clusters.pixels_e.sum() == pytest.approx(300)
    assert (clusters.signal[0], clusters.z_global_mm[0]) == (1, 40)
    assert clusters.truth["hit_time_ns"] == pytest.approx(0.5 - 50 / 299.792458)


def test_own_sensor(tmp_path: Path) -> None:
    run_block("how_to/own_sensor.md", "write_sensor.py", tmp_path)
    data = load([tmp_path / "mine.parquet"])
    assert data.train.detector.sensor.pitch_x_um == 50
    settings = tmp_path / "sensor.toml"
    settings.write_text(blocks("how_to/own_sensor.md", "toml")["sensor.toml"])
    sample = sample_from_mapping(read_toml(settings), "sensor.toml", n_signal=1, n_bib=1)
    sensor = sample.detector.sensor
    assert (sensor.rows, sensor.columns, sensor.lorentz_tangent) == (15, 31, None)


def test_add_a_feature() -> None:
    found: dict[str, Any] = {}
    exec(blocks("how_to/add_feature.md", "python")["feature.py"], found)
    feature, clusters = found["largest_charge"], make_clusters(50)
    assert feature.name not in REGISTRY
    assert feature.instead in REGISTRY
    values = feature.compute(clusters)
    np.testing.assert_array_equal(values, clusters.pixels_e.reshape(50, -1).max(axis=1))
    assert (values / feature.divisor).max() <= LARGEST_INPUT


def test_add_a_network_and_recipes(tmp_path: Path) -> None:
    network, recipes = tmp_path / "small.toml", tmp_path / "mine.toml"
    network.write_text(blocks("how_to/add_network.md", "toml")["small.toml"])
    spec = read_network(network)
    assert (spec.name, spec.time_layer, spec.layers[-1].name) == ("small", "hidden", "output")
    recipes.write_text(blocks("how_to/add_recipe.md", "toml")["mine.toml"])
    found = read_recipes(recipes)
    assert (found["gentle"].initial_rate, found["gentle"].clip_norm) == (3e-4, 1.0)
    assert found["wide_teacher"].distillation == 0.5
