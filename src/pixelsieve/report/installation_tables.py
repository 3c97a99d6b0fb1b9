"""Tables and lines of `doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pixelsieve.report.spec import Column, Row, Table

if TYPE_CHECKING:
    from pixelsieve.studies.installation import Installation


def installation_tables(found: Installation) -> list[Table]:
    """Return the tools with their use, and the versions of packages."""
    tools = tuple(Row((one.name, one.found or "missing", one.use)) for one in found.tools)
    packages = tuple(Row((name, version or "missing")) for name, version in found.packages.items())
    return [
        Table("Tools", (Column("tool"), Column("found"), Column("for")), tools),
        Table("Packages", (Column("package"), Column("version")), packages),
    ]


def installation_lines(found: Installation) -> list[str]:
    """Return program and device first, then what is missing and how to get it."""
    device = found.device
    memory = "" if device.memory_gib is None else f", {device.memory_gib:g} GiB memory"
    machine = f"{device.system}, {device.cores} cores{memory}"
    lines = [
        f"pixelsieve {found.pixelsieve}, Python {found.python}",
        f"{machine}, {device.disk_free_gib:g} GiB free here",
    ]
    if device.problem:
        lines.append(device.problem)
    else:
        lines.append(f"JAX: {device.jax_backend} ({', '.join(device.jax_devices)})")
    lines += [f"passed over: {why}" for one in found.tools for why in one.passed_over]
    lines += [one.how for one in found.tools if one.how]
    tools = {one.name for one in found.tools}
    lines += [
        f"{name} is missing; pixelsieve needs it: pip install {name}"
        for name in found.missing
        if name not in tools
    ]
    if not found.missing:
        lines.append("nothing is missing")
    return lines
