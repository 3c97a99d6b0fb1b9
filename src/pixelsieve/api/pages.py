"""Runs as one page, and what is installed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from pixelsieve.api.arguments import Place, public
from pixelsieve.api.progress import Bars
from pixelsieve.core.config import Document
from pixelsieve.core.errors import ConfigError
from pixelsieve.core.runs import RunFolder
from pixelsieve.display.shown import Shown, ShowsTable, one_line
from pixelsieve.display.spec import Table
from pixelsieve.display.spec import table as make_table
from pixelsieve.reporting.figures import figures_of_run
from pixelsieve.reporting.page import write_report
from pixelsieve.reporting.record import read_run
from pixelsieve.studies.installation import Installation, installation


class HasFolder(Protocol):
    """A value with a run folder."""

    @property
    def folder(self) -> Path:
        """The run folder."""


@public
def report(
    runs: HasFolder | Place | Sequence[HasFolder | Place],
    out: Place | None = None,
    *,
    figures: bool = False,
) -> Path:
    """Write a self-contained HTML report of one or more runs; return its path.

    `runs` are folders, or what `train` (learned bits), `compare` and `search` return. The page is
    `report.html` in the run's folder by default; several runs need `out`. `figures` adds PDF and
    PNG files in each run's folder `figures`. Raise `RunError` if a folder is no run.

    Examples
    --------
    >>> ps.report(study, "study.html")
    PosixPath('study.html')
    """
    alone = isinstance(runs, str | Path) or hasattr(runs, "folder")
    several = cast("Sequence[HasFolder | Place]", [runs] if alone else runs)
    folders = [Path(one) if isinstance(one, str | Path) else one.folder for one in several]
    if out is None and len(folders) != 1:
        msg = "--out: missing; the page of several runs needs a file, e.g. --out comparison.html"
        raise ConfigError(msg)
    page = RunFolder(folders[0]).page if out is None else Path(out)
    records = [read_run(folder) for folder in folders]
    write_report(records, page)
    if figures:
        for record in records:
            figures_of_run(record)
    return page


@dataclass(frozen=True, slots=True, repr=False)
class Installed(ShowsTable):
    """What is installed: tools, packages, the device, and how to get what is missing.

    Examples
    --------
    >>> print(ps.doctor().table())  # doctest: +SKIP
    """

    installation: Installation

    def table(self) -> Shown:
        """Return the tools with what each is for."""
        tools = [(one.name, one.found or "missing", one.use) for one in self.installation.tools]
        return Shown(make_table("Tools", ("tool", "found", "for"), tools))

    def parts(self) -> list[Table | str]:
        """Return the tables and lines that the command line prints."""
        every = self.installation.packages.items()
        packages = [(name, version or "missing") for name, version in every]
        return [
            self.table().table,
            make_table("Packages", ("package", "version"), packages),
            *_lines(self.installation),
        ]

    def to_plain(self) -> Document:
        """Return what `pixelsieve doctor --json` prints."""
        return self.installation.plain()

    def __repr__(self) -> str:
        missing = self.installation.missing
        told = f"{', '.join(missing)} missing" if missing else "nothing is missing"
        one = self.installation
        return one_line("Installed", f"pixelsieve {one.pixelsieve}, Python {one.python}", told)


@public
def doctor(*, progress: bool = True) -> Installed:
    """Look for packages and tools; each tool runs once on a tiny design.

    Examples
    --------
    >>> ps.doctor()  # doctest: +SKIP
    Installed(pixelsieve 0.1.0, Python 3.13.5; nothing is missing)
    """
    with Bars(shown=progress) as bars:
        return Installed(installation(bars.step))


def _lines(found: Installation) -> list[str]:
    """Return program and device first, then what is missing and how to get it."""
    device = found.device
    memory = "" if device.memory_gib is None else f", {device.memory_gib:g} GiB memory"
    machine = f"{device.system}, {device.cores} cores{memory}"
    started = f"JAX: {device.jax_backend} ({', '.join(device.jax_devices)})"
    tools = {one.name for one in found.tools}
    missing = [name for name in found.missing if name not in tools]
    return [
        f"pixelsieve {found.pixelsieve}, Python {found.python}",
        f"{machine}, {device.disk_free_gib:g} GiB free here",
        device.problem or started,
        *(f"passed over: {why}" for one in found.tools for why in one.passed_over),
        *(one.how for one in found.tools if one.how),
        *(f"{n} is missing; pixelsieve needs it: pip install {n}" for n in missing),
        *([] if found.missing else ["nothing is missing"]),
    ]
