"""alkaid's core: its files, and which of its bits are which bits of the top module's ports."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pixelsieve.firmware.rtl import Port

__all__ = ["Span", "Wiring", "core_files", "wiring"]


@dataclass(frozen=True, slots=True)
class Span:
    """`width` neighbouring bits: those of the signal `name` from bit `high` down.

    Where `repeated`, that one bit so many times (a sign); where `name` is None, zeros.
    """

    name: str | None
    high: int
    width: int
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Wiring:
    """`inputs`: of each element that the core takes its lowest bit there, width and bits.

    `output` are the bits of the logit, of the core's output `core_out`; highest bits first.
    """

    inputs: tuple[tuple[int, int, tuple[Span, ...]], ...]
    input_bits: int
    output: tuple[Span, ...]
    output_bits: int
    core_clocked: bool


def wiring(inputs: Sequence[Port], logit: Port, machine: Any) -> Wiring:
    """Of alkaid's state machine, whose elements may have fewer or more bits than the ports."""
    (core_in,), (core_out,) = machine.inp_signals, machine.out_signals
    found, low = [], 0
    sources = [(port, element) for port in inputs for element in range(port.elements)]
    for (port, element), precision in zip(sources, core_in.precisions, strict=True):
        width = int(sum(precision))
        if width:
            first = port.fraction_bits - precision[2]
            base = element * port.bits
            spans = _spans(port.name, base, port.bits, first, width, signed=port.signed)
            found.append((low, width, spans))
        low += width
    (precision,) = core_out.precisions
    bits, signed = int(sum(precision)), bool(precision[0])
    first = precision[2] - logit.fraction_bits
    output = _spans("core_out", 0, bits, first, logit.bits, signed=signed)
    clocked = any(s.reg for s in machine.signals.values())
    return Wiring(tuple(found), low, output, bits, clocked)


def _spans(
    name: str, base: int, bits: int, first: int, width: int, *, signed: bool
) -> tuple[Span, ...]:
    """`width` bits from bit `first` of the number in name[base +: bits], extended where beyond."""
    parts = []
    below = min(width, max(0, -first))
    start, end = max(first, 0), min(first + width, bits)
    above = width - below - max(0, end - start)
    if above:
        parts.append(Span(name if signed else None, base + bits - 1, above, repeated=True))
    if end > start:
        parts.append(Span(name, base + end - 1, end - start))
    if below:
        parts.append(Span(None, 0, below))
    return tuple(parts)


def core_files(
    core: Mapping[str, str], name: str, library: Path, suffix: str, use: str
) -> dict[str, str]:
    """Alkaid's modules by file name, with those of its `library` that they use.

    Stages are renamed so that two designs can be used in one project. `use` is the pattern by
    which a module names one of the library, with {} in its name's place.
    """
    files = {}
    for module, text in core.items():
        its_name = re.sub(r"^logic(\d+)$", rf"{name}_stage\1", module)
        files[f"{its_name}.{suffix}"] = re.sub(r"\blogic(\d+)\b", rf"{name}_stage\1", text)
    everything = "\n".join(files.values())
    for path in sorted(library.glob(f"*.{suffix}")):
        if re.search(use.format(path.stem), everything):
            files[path.name] = path.read_text(encoding="utf-8")
    return files
