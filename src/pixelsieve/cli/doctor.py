"""`pixelsieve doctor`: what is installed, and what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pixelsieve.cli import options

if TYPE_CHECKING:
    from pixelsieve.studies.installation import Installation


@options.shows_errors(interrupted="interrupted")
def doctor(json: options.Json = False) -> None:
    """Show versions, the tools, the device, and how to get what is missing.

    Each tool runs once on a tiny design. The tools serve `firmware`, alkaid `search` as well;
    without them the rest works, and the exit code is 0.
    """
    from pixelsieve.display.spec import table
    from pixelsieve.studies.installation import installation

    found = installation(options.step)
    tools = [(one.name, one.found or "missing", one.use) for one in found.tools]
    packages = [(name, version or "missing") for name, version in found.packages.items()]
    options.answer(
        found.plain() if json else None,
        table("Tools", ("tool", "found", "for"), tools),
        table("Packages", ("package", "version"), packages),
        *_lines(found),
    )


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
