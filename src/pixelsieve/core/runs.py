"""A run is a folder: one command fills it, and the same command goes on where it stopped."""

from __future__ import annotations

import contextlib
import importlib.metadata
import platform
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pixelsieve import __version__
from pixelsieve.core.config import fingerprint, to_plain
from pixelsieve.core.errors import RunError
from pixelsieve.core.files import read_document, remove_leftovers, telling_unwritable, write_json
from pixelsieve.core.locks import locked

__all__ = ["RunFolder"]

_PACKAGES = ("jax", "jaxlib", "keras", "hgq2", "numpy", "optax", "pyarrow", "scikit-learn", "scipy")
_SUBFOLDERS = ("models", "jobs", "figures")


class RunFolder:
    """A run folder, locked while it is open (a context manager).

    `manifest.json` holds the resolved configuration, its hash, the versions, the git state and
    the command. What killed processes left half-written is removed. Raises `RunError` where the
    folder cannot be written, is in use by another process, or belongs to a run with another
    configuration.
    """

    def __init__(self, path: Path, config: Mapping[str, Any]) -> None:
        self.path = path
        self._config = to_plain(config)
        self._lock = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with telling_unwritable(self.path, "choose another --out"):
            self.path.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            stack.enter_context(locked(self.path / ".lock", self.path))
            with telling_unwritable(self.path, "choose another --out"):
                self._claim()
                remove_leftovers(self.path)
            self._lock = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.close()

    def _claim(self) -> None:
        manifest_path = self.path / "manifest.json"
        if manifest_path.exists():
            saved = read_document(manifest_path)
            if not isinstance(saved.get("config"), dict):
                msg = f"{manifest_path}: no manifest of a run; choose another --out"
                raise RunError(msg)
            if saved.get("pixelsieve") != __version__:
                msg = (
                    f"{self.path}: made by pixelsieve {saved.get('pixelsieve')}, this is "
                    f"{__version__}; choose another --out"
                )
                raise RunError(msg)
            if saved.get("config_hash") != fingerprint(self._config):
                theirs = saved["config"]
                keys = sorted(
                    k
                    for k in theirs.keys() | self._config.keys()
                    if theirs.get(k) != self._config.get(k)
                )
                msg = (
                    f"{self.path}: holds a run with other settings ({', '.join(keys)}); "
                    "choose another --out or remove the folder"
                )
                raise RunError(msg)
            return
        others = [p.name for p in self.path.iterdir() if not p.name.startswith(".")]
        if others:
            msg = f"{self.path}: holds other files ({others[0]}, ...); choose another --out"
            raise RunError(msg)
        write_json(manifest_path, _manifest(self._config))

    def folder(self, name: str) -> Path:
        """The subfolder `name`, made where it is not there."""
        path = self.path / name
        try:
            path.mkdir(exist_ok=True)
        except OSError as error:
            msg = f"{path}: cannot be made ({error.strerror or error}); choose another --out"
            raise RunError(msg) from error
        return path

    def prepare(self) -> None:
        """Make the usual subfolders."""
        for name in _SUBFOLDERS:
            self.folder(name)


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
