"""Numba's compiler with a cache on disk that sees changes in any module of this package."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., Any])


def inlined(function: F) -> F:
    """`compiled`, and copied into its callers: for the few calls that cost more than their work."""
    return _compiled(function, forceinline=True)


def compiled(function: F) -> F:
    """Compile to machine code that allocates nothing: no interpreter lock, kept on disk.

    Numba takes a cached function for fresh while its own file is unchanged, though it may have
    swallowed functions of other files; so the cache folder is named after all of them.
    """
    return _compiled(function)


def _compiled(function: F, *, forceinline: bool = False) -> F:
    settings: Any = numba.config
    before = settings.CACHE_DIR
    settings.CACHE_DIR = str(_cache_folder())
    try:
        # Without Numba's run-time the code cannot allocate, and counts no references: the
        # counting took a third of the time. Arrays come from the caller, who keeps them alive.
        njit: Any = numba.njit
        decorated: F = njit(
            nogil=True, cache=True, error_model="numpy", forceinline=forceinline, _nrt=False
        )(function)
    finally:
        settings.CACHE_DIR = before
    return decorated


@lru_cache(maxsize=1)
def _cache_folder() -> Path:
    here = Path(__file__).parent
    digest = hashlib.sha256(numba.__version__.encode())
    for path in sorted(here.glob("*.py")):
        digest.update(path.read_bytes())
    name = f"numba-{digest.hexdigest()[:16]}"
    beside = here / "__pycache__"
    for stale in beside.glob("numba-*"):
        if stale.name != name:
            shutil.rmtree(stale, ignore_errors=True)
    if os.access(beside if beside.exists() else here, os.W_OK):
        return beside / name
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "pixelsieve" / name
