"""What a run is about and what to do with it next: its data, its sensor, the firmware command."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

__all__ = ["data_facts", "firmware_command"]

_MADE = {
    "simulation": "simulated by pixelsieve",
    "conversion": "converted by pixelsieve",
    None: "not said by the file whether simulated or measured",
}


def data_facts(
    manifest: Mapping[str, Any], metrics: Mapping[str, Any] | None
) -> list[tuple[str, str]]:
    """Name and value: the files with what made them, and the sensor, as far as the run says."""
    files = manifest.get("config", {}).get("data")
    made = (metrics or {}).get("made")
    facts = []
    if isinstance(files, Mapping):
        groups: dict[str, list[str]] = {}
        for name in files:
            how = _MADE[made[name]] if made else ""
            groups.setdefault(how, []).append(str(name))
        said = [", ".join(n) + (f" ({how})" if how else "") for how, n in groups.items()]
        facts.append(("data", "; ".join(said)))
    detector = (metrics or {}).get("detector")
    if detector:
        sensor = detector["sensor"]
        pitch = f"{sensor['pitch_x_um']:g} x {sensor['pitch_y_um']:g}"
        size = f"pixels of {pitch} µm (along x and y), {sensor['thickness_um']:g} µm thick"
        facts.append(("sensor", f"{detector['name']}: {size}"))
    return facts


def firmware_command(
    path: Path, manifest: Mapping[str, Any], curves: Mapping[str, Any] | None
) -> str:
    """The command that makes firmware of the network that the page looks into, to copy.

    Of a run without `curves` it names no model where it has one alone, as `train` makes it.
    """
    words = ["pixelsieve", "firmware", str(path)]
    for one in _data_of([str(w) for w in manifest.get("command") or []]) or ["DATA"]:
        words += ["--data", one]
    seen = (curves or {}).get("seen", {})
    if seen.get("bits"):
        older = f"{seen['approach']}_{seen['bits']}b_seed{seen['seed']}"
        words += ["--model", seen.get("model", older)]
    elif "recipes" in manifest.get("config", {}) or "space" in manifest.get("config", {}):
        words += ["--model", "MODEL"]
    return shlex.join(words)


def _data_of(command: Sequence[str]) -> list[str]:
    """Values of --data and -d in the words of a command."""
    found = [b for a, b in pairwise(command) if a in {"--data", "-d"}]
    return found + [w.removeprefix("--data=") for w in command if w.startswith("--data=")]
