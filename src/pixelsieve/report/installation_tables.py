"""Tables of `doctor`, made from its plain data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table

__all__ = ["installation_lines", "installation_tables"]


def installation_tables(found: Mapping[str, Any]) -> list[Table]:
    """Tools with what they serve, and the versions of packages."""
    tools = Table(title="Tools", title_justify="left")
    for column in ("tool", "found", "for"):
        tools.add_column(column)
    for one in found["tools"]:
        tools.add_row(one["name"], escape(one["found"] or "missing"), one["for"])
    packages = Table(title="Packages", title_justify="left")
    for column in ("package", "version"):
        packages.add_column(column)
    for name, version in found["packages"].items():
        packages.add_row(name, version or "missing")
    return [tools, packages]


def installation_lines(found: Mapping[str, Any]) -> list[str]:
    """Program and device first, then what is missing and how to get it."""
    device = found["device"]
    memory = "" if device["memory_gib"] is None else f", {device['memory_gib']:g} GiB memory"
    machine = f"{device['system']}, {device['cores']} cores{memory}"
    lines = [
        f"pixelsieve {found['pixelsieve']}, Python {found['python']}",
        f"{machine}, {device['disk_free_gib']:g} GiB free here",
    ]
    if device["problem"]:
        lines.append(device["problem"])
    else:
        lines.append(f"JAX: {device['jax_backend']} ({', '.join(device['jax_devices'])})")
    lines += [f"passed over: {why}" for one in found["tools"] for why in one["passed_over"]]
    lines += [one["how"] for one in found["tools"] if one["how"]]
    tools = {one["name"] for one in found["tools"]}
    lines += [
        f"{name} is missing; pixelsieve needs it: pip install {name}"
        for name in found["missing"]
        if name not in tools
    ]
    if not found["missing"]:
        lines.append("nothing is missing")
    return lines
