"""A run is a folder: one command fills it, and the same command resumes it."""

from __future__ import annotations

import contextlib
import importlib.metadata
import platform
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from pixelsieve import __version__
from pixelsieve.core.config import fingerprint, to_plain
from pixelsieve.core.errors import ConfigError, RunError, nearest
from pixelsieve.core.files import read_document, remove_leftovers, telling_unwritable, write_json
from pixelsieve.core.locks import locked

_PACKAGES = ("jax", "jaxlib", "keras", "hgq2", "numpy", "optax", "pyarrow", "scikit-learn", "scipy")
_SUBFOLDERS = ("models", "jobs", "figures")
_OTHER_OUT = "choose another --out"
_ON_THE_WAY = re.compile(r"_\d\d+$")


class _Inside:
    """The path of a file or folder of that name in a run folder."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, run: RunFolder, owner: object) -> Path:
        return run.path / self._name


@dataclass(frozen=True, slots=True)
class RunFolder:
    """A run folder: the places of all that is in it. No other module joins its names.

    Making the value touches no disk; `claimed` makes the folder and locks it.
    """

    path: Path

    manifest = _Inside("manifest.json")
    """Configuration, its hash, versions, git state and command."""
    metrics = _Inside("metrics.json")
    """Figures of merit of a comparison or of a search."""
    curves = _Inside("curves.json")
    """Histograms, slices and single clusters of the test split, for figures."""
    history = _Inside("history.parquet")
    """Every epoch of every training."""
    predictions = _Inside("predictions.parquet")
    """Logits of the test clusters, a column per network."""
    resources = _Inside("resources.json")
    """LUTs and levels of the models, estimated and counted."""
    vendor_reports = _Inside("vendor_reports.json")
    """Figures of vendor tools that the user brought."""
    import_report = _Inside("import.json")
    """The fate of each layer of an imported model."""
    test_read = _Inside("test_read.json")
    """Which networks were scored on the test split, once."""
    study = _Inside("study.journal")
    """The trials of a search as Optuna reads them."""
    page = _Inside("report.html")
    """The report of the run, unless the user names another file."""
    robustness = _Inside("robustness/robustness.json")
    """Figures at a frozen threshold, unless the user names another folder."""
    figures = _Inside("figures")
    """The folder of figures, each as PNG and PDF."""

    def model(self, name: str) -> Path:
        """The model file of that name; its integers are `integers`."""
        return self.path / "models" / f"{name}.keras"

    def integers(self, name: str) -> Path:
        """The integer network of a model."""
        return self.model(name).with_suffix(".json")

    def models(self, name: str | None = None) -> dict[str, Path]:
        """The model files by name, or the one named.

        Raise `RunError` for a folder without any, `ConfigError` for a name that is not there.
        """
        paths = {p.stem: p for p in sorted((self.path / "models").glob("[!.]*.keras"))}
        if not paths:
            msg = f"{self.path}: no models in it; expected the folder of a run (models/NAME.keras)"
            raise RunError(msg)
        if name is None:
            return paths
        wanted = name.removesuffix(".keras")
        if wanted not in paths:
            raise self.unknown_model(name, paths)
        return {wanted: paths[wanted]}

    def unknown_model(
        self, name: str, known: Iterable[str], more: Iterable[str] = ()
    ) -> ConfigError:
        """The error for `--model NAME` of none of `known`; `more` are also taken, but not told."""
        known = list(known)
        near = nearest(name.removesuffix(".keras"), [*known, *more])
        return ConfigError(f"--model {name}{near}: not in {self.path}; it has {', '.join(known)}")

    def job(self, name: str) -> Path:
        """The result of a training."""
        return self.path / "jobs" / f"{name}.json"

    def jobs(self) -> list[Path]:
        """The results of all trainings, by name."""
        return sorted((self.path / "jobs").glob("[!.]*.json"))

    def trials(self) -> list[Path]:
        """The results of all trials of a search, by number."""
        return sorted((self.path / "trials").glob("[!.]*.json"))

    def firmware_folders(self) -> list[Path]:
        """The firmware folders of its models, by name."""
        return sorted((self.path / "firmware").glob("[!.]*"))

    def checkpoint(self, name: str) -> Path:
        """The state of a training that is under way."""
        return self.path / "jobs" / f"{name}.npz"

    def teacher(self, name: str) -> Path:
        """The logits of boosted trees that teach."""
        return self.path / "teachers" / f"{name}.npz"

    def trial(self, name: str) -> Path:
        """The result of a trial of a search."""
        return self.path / "trials" / f"{name}.json"

    def firmware(self, name: str) -> Path:
        """The firmware folder of a model, unless the user names another one."""
        return self.path / "firmware" / name

    @contextlib.contextmanager
    def claimed(self, config: Mapping[str, Any]) -> Iterator[Self]:
        """Lock the folder for a run with that configuration, and give it.

        The folder is made if it is not there, and what killed processes left half-written is
        removed. Raise `RunError` if it cannot be written, is in use by another process, or belongs
        to a run with another configuration.
        """
        with telling_unwritable(self.path, _OTHER_OUT):
            self.path.mkdir(parents=True, exist_ok=True)
        with locked(self.path / ".lock", self.path):
            with telling_unwritable(self.path, _OTHER_OUT):
                self._claim(to_plain(config))
                remove_leftovers(self.path)
            yield self

    def _claim(self, config: dict[str, Any]) -> None:
        if not self.manifest.exists():
            others = [p.name for p in self.path.iterdir() if not p.name.startswith(".")]
            if others:
                msg = f"{self.path}: holds other files ({others[0]}, ...); {_OTHER_OUT}"
                raise RunError(msg)
            write_json(self.manifest, _manifest(config))
            return
        saved = read_document(self.manifest)
        theirs = saved.get("config")
        if not isinstance(theirs, dict):
            msg = f"{self.manifest}: no manifest of a run; {_OTHER_OUT}"
            raise RunError(msg)
        if saved.get("pixelsieve") != __version__:
            msg = (
                f"{self.path}: made by pixelsieve {saved.get('pixelsieve')}, this is "
                f"{__version__}; {_OTHER_OUT}"
            )
            raise RunError(msg)
        if saved.get("config_hash") != fingerprint(config):
            keys = sorted(
                k for k in theirs.keys() | config.keys() if theirs.get(k) != config.get(k)
            )
            msg = (
                f"{self.path}: holds a run with other settings ({', '.join(keys)}); "
                f"{_OTHER_OUT} or remove the folder"
            )
            raise RunError(msg)

    def make(self, *names: str) -> None:
        """Make these subfolders (default: those of a training) if they are not there."""
        for name in names or _SUBFOLDERS:
            path = self.path / name
            try:
                path.mkdir(exist_ok=True)
            except OSError as error:
                msg = f"{path}: cannot be made ({error.strerror or error}); {_OTHER_OUT}"
                raise RunError(msg) from error


def without_front(names: Iterable[str]) -> list[str]:
    """Leave out what a training of bits kept on its way (`NAME_00`, ... beside `NAME`)."""
    names = list(names)
    return [n for n in names if (base := _ON_THE_WAY.sub("", n)) == n or base not in names]


def _manifest(config: dict[str, Any]) -> dict[str, Any]:
    return {
        "schema": 1,
        "config": config,
        "config_hash": fingerprint(config),
        "pixelsieve": __version__,
        "versions": {p: importlib.metadata.version(p) for p in _PACKAGES},
        "python": platform.python_version(),
        "machine": platform.machine(),
        "git": _git_state(),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _git_state() -> dict[str, Any] | None:
    def git(*arguments: str) -> str:
        source = Path(__file__).parent
        done = subprocess.run(  # noqa: S603 (fixed arguments)
            ["git", "-C", str(source), *arguments],  # noqa: S607 (git from the user's PATH)
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
        return done.stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return None
