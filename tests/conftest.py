"""Shared material: small made-up clusters, and the real sample where it is at hand."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from numpy.typing import NDArray

from pixelsieve.core.errors import ToolError
from pixelsieve.core.programs import VERILATOR, Tool, Wanted, find
from pixelsieve.data.clusters import Clusters
from pixelsieve.features import FeatureSet, FeatureTable
from pixelsieve.formats import parquet

MUC_REAL = Path(os.environ.get("PIXELSIEVE_MUC_REAL", "../shared/data/muc-real"))


def pytest_configure(config: pytest.Config) -> None:
    # A busy machine is no defect of a test.
    settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("busy")
    # Boosted trees' threads wait for each other busily: on shared cores that takes minutes.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # Many tests train the same small network, each in a process of its own: compile it once.
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        cache = tempfile.TemporaryDirectory(prefix="jax_")
        config.add_cleanup(cache.cleanup)
        os.environ["JAX_COMPILATION_CACHE_DIR"] = cache.name
        os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
        os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    # The processes that share the tests must give each the same name, and an archive holds the
    # second in which it was packed.
    return argname if isinstance(val, bytes) else None


def make_clusters(n: int = 400, seed: int = 0, **columns: Any) -> Clusters:
    """Clusters that a small network can learn: signal is as long in x as |z| says, BIB is not.

    Cluster i is of particle group i // 2.
    """
    rng = np.random.default_rng(seed)
    signal = rng.integers(0, 2, n).astype(np.int8)
    signal[:2] = (0, 1)[:n]
    z = rng.uniform(-60, 60, n).astype(np.float32)
    expected = 1 + np.abs(z) / 12
    width = np.where(signal == 1, expected, rng.uniform(1, 9, n)).round().astype(int)
    height = np.where(signal == 1, 1, rng.integers(1, 5, n))
    x, y = np.arange(21), np.arange(13)
    in_x = np.abs(x[None, :] - 10) <= (width / 2)[:, None]
    in_y = np.abs(y[None, :] - 6) <= (height / 2)[:, None]
    charge = rng.gamma(5, 300, (n, 13, 21)).round()
    pixels = np.where(in_y[:, :, None] & in_x[:, None, :], charge, 0).astype(np.float32)
    time = np.where(signal == 1, 0.0, rng.exponential(1.0, n)) + rng.normal(0, 0.03, n)
    table: dict[str, Any] = {
        "pixels_e": pixels,
        "signal": signal,
        "z_global_mm": z,
        "y_local_mm": rng.uniform(-4, 8, n).astype(np.float32),
        "hit_time_30ps_ns": time.astype(np.float32),
        "group_id": np.arange(n, dtype=np.int64) // 2,
        "event_id": np.arange(n, dtype=np.int64),
        "truth": {"hit_time_ns": time.astype(np.float32)},
        **columns,
    }
    return Clusters(**table)


@pytest.fixture
def clusters() -> Clusters:
    return make_clusters()


@pytest.fixture
def table(clusters: Clusters) -> FeatureTable:
    return FeatureSet(("x_profile", "z_global", "y_profile", "y_local")).table(clusters)


@pytest.fixture(scope="session")
def dataset_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 1600 clusters that is split by the hash of group_id."""
    path = tmp_path_factory.mktemp("data") / "clusters.parquet"
    parquet.write(make_clusters(1600), path, row_group=500)
    return path


@pytest.fixture(scope="session")
def compared(tmp_path_factory: pytest.TempPathFactory, dataset_file: Path) -> Path:
    """The run folder of a small comparison: all recipes, 2 and 4 bits, two seeds.

    Processes that share the tests share its making; each has a copy.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with (shared / "compared.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / "compared").exists():
            made = _compared(base / "compared_new", dataset_file)
            made.rename(shared / "compared")
    return shutil.copytree(shared / "compared", tmp_path_factory.mktemp("runs") / "compared")


def _compared(out: Path, dataset_file: Path) -> Path:
    from tests.test_cli import QUICK, pixelsieve

    arguments = ["--bits", "2,4", "--seeds", "2", *QUICK]
    result = pixelsieve("compare", "--data", dataset_file, "--out", out, *arguments)
    assert result.exit_code == 0, result.output
    assert "first_attempt, 4 bits, seed 0: copied 5 of 6" in result.output
    assert "conservative, 4 bits, seed 0: copied 6 of 6" in result.output
    assert "Paired over seeds: AUC" in result.output
    return out


@pytest.fixture(scope="session")
def muc_real() -> Path:
    """The folder of the real sample."""
    if not (MUC_REAL / "simA_train.parquet").exists():
        pytest.skip(f"the muc-real sample is not at {MUC_REAL} (set PIXELSIEVE_MUC_REAL)")
    return MUC_REAL


def random_logits(n: int, seed: int = 0, steps: int = 50) -> tuple[NDArray[Any], NDArray[Any]]:
    """Scores with many ties, and labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    labels[:2] = (0, 1)
    return np.round((rng.normal(size=n) + labels) * steps) / steps, labels


def needs_tool(wanted: Wanted) -> Tool:
    """The tool, or a skip that says why there is none."""
    try:
        return find(wanted)
    except ToolError as error:
        pytest.skip(str(error))


def path_of_debian(folder: Path, *first: Path) -> str:
    """A PATH with all of this system's own programs but `python`, made in `folder`."""
    (folder / "bin").mkdir()
    for place in (Path("/usr/bin"), Path("/bin")):
        for program in place.iterdir():
            link = folder / "bin" / program.name
            if program.name != "python" and not link.is_symlink():
                link.symlink_to(program)
    return os.pathsep.join(map(str, [*first, folder / "bin"]))


@pytest.fixture(scope="session")
def verilator() -> Tool:
    pytest.importorskip("alkaid", reason="alkaid is not installed")
    return needs_tool(VERILATOR)


@pytest.fixture
def needs_alkaid() -> None:
    pytest.importorskip("alkaid", reason="alkaid is not installed")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, or a skip where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    program = next(filter(None, map(shutil.which, names)), None)
    with playwright.sync_playwright() as started:
        own = Path(started.chromium.executable_path)
        if program is None and not own.exists():
            pytest.skip("no Chromium: neither on PATH nor from 'playwright install chromium'")
        launched = started.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def values_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where what is trained for `values` is kept."""
    return tmp_path_factory.mktemp("values")


@pytest.fixture(scope="session")
def values(values_folder: Path) -> dict[str, Any]:
    """A small value of every public class by name."""
    from tests.public_values import public_values

    return public_values(values_folder)
