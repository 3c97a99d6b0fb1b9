"""The README of a firmware folder: ports, latency, encoding."""

from __future__ import annotations

import textwrap

from pixelsieve.features import REGISTRY, FeatureSet
from pixelsieve.hardware.ports import Design, Port
from pixelsieve.hardware.testbench import testbench_name
from pixelsieve.hardware.verify import Verification
from pixelsieve.integer.pixels import PIXELS, Z_NEGATIVE, PixelNetwork, Program
from pixelsieve.metrics.threshold import Threshold

NUMBERS = """\
* `fixed<b,i>` is two's complement of `b` bits, `i` of them before the binary point (sign
  included): value = code / 2^(b-i). `ufixed<b,i>` is the same without a sign.
* An input is round-half-to-even(feature / divisor * 2^(b-i)), saturated to the range of its code.
* `logit` is exact: no rounding, no overflow for any input code.
"""

_ENCODING = f"""## Encoding

* A port holds its elements side by side, element 0 in the lowest bits: element `i` of a port of
  `b`-bit elements is `port[b*i +: b]`.
{NUMBERS}* `keep` = 1 where the code of `logit` is at or above `THRESHOLD`; equal codes are kept.
"""

MIRRORED = "* Mirrored: where z_global < 0 its absolute value goes in, and the x profile reversed."

RECORDS = """\
* `network.json`: the integer weights, grids and feature scaling (codes, with a SHA-256).
* `verification.json`: what was compared with what, on how many vectors, with which tools.
"""

_OUTSIDE = """* The features are made outside of this module, of the collected charge, logarithms
  included; with `--from pixels` they are made inside, of the ADC's codes.
"""

_FROM_PIXELS = """* Pixels are unsigned ADC codes, row by row; 0 is a silent pixel.
* The features are made of them in here.
"""

_REVERSED = """* Where z < 0, |z_global| is taken and profiles along x are reversed, in here:
  z_global comes with its sign.
"""

_FROM_PIXELS_PORTS = {
    PIXELS: "ADC codes of the window, row by row",
    Z_NEGATIVE: "1 where z < 0, from the module's address",
}

_FILES = """## Files

* `verilog/`: the top module, its core (one module a pipeline stage) and the adders it is made of.
  {library} come with alkaid (LGPL-3.0-or-later).
* `testbench/`: `{bench}.v` feeds the clusters of `vectors.hex` to the top module in any simulator
  of Verilog 2001 and prints PASS or FAIL; how to call it stands in it. It works on a netlist too.
"""


def readme(network: Program, made: Design, checked: Verification, chosen: Threshold) -> str:
    """Return the README as Markdown."""
    rows = [port_row(p, "in", port_meaning(p.name, network.features)) for p in made.inputs]
    rows.append(port_row(made.logit, "out", "logit of signal against background"))
    if made.latency:
        rows.insert(0, "| `clk` | in | 1 | 1 | | rising edge |")
        timing = (
            f"Pipeline of {made.latency} stages: `logit` and `keep` are valid {made.latency} "
            "rising edges of `clk` after their inputs; a new cluster may enter with every clock. "
            f"There is no reset; the first {made.latency} answers after power-up mean nothing."
        )
    else:
        timing = "Combinational: no clock, latency 0; register inputs and outputs outside."
    holds = "0 mismatches" if checked.passed else "MISMATCHES, do not use"
    compared = (
        f"{holds} between Keras, the integer program and this Verilog on {checked.clusters} "
        f"clusters and {checked.corners} corner vectors."
    )
    threshold = (
        f"Parameter `THRESHOLD` = {made.threshold} (code), chosen on the validation split: signal "
        f"efficiency {chosen.validation_efficiency:.4f} (asked: {chosen.efficiency:g}), "
        f"background rejection {chosen.validation_rejection:.4f}."
    )
    estimate = (
        f"alkaid's estimate before synthesis: {made.lut_estimate:.0f} LUTs, longest path "
        f"{made.levels:.1f} levels of adders, {made.register_bits} register bits."
    )
    return "\n".join(
        [
            f"# {made.top}",
            "",
            compared,
            "",
            "## Ports",
            "",
            "| port | direction | elements | bits | type | meaning |",
            "|---|---|---|---|---|---|",
            *rows,
            "| `keep` | out | 1 | 1 | | `logit >= THRESHOLD` |",
            "",
            threshold,
            "",
            "## Timing",
            "",
            timing,
            "",
            estimate,
            "",
            _ENCODING,
            *_remarks(network),
            _FILES.format(library=_library(made), bench=testbench_name(made)) + RECORDS,
        ]
    )


def _library(made: Design) -> str:
    """The files that are not named after the design."""
    names = [f"`{name}`" for name in sorted(made.files) if not name.startswith(made.top)]
    return textwrap.fill(", ".join(names), 90, subsequent_indent="  ")


def port_row(port: Port, direction: str, meaning: str) -> str:
    """A row of the table of ports."""
    cells = (f"`{port.name}`", direction, port.elements, port.width, port.type, meaning)
    return f"| {' | '.join(map(str, cells))} |"


def _remarks(network: Program) -> tuple[str, ...]:
    mirrors = network.features.mirror_x
    if isinstance(network, PixelNetwork):
        return (_FROM_PIXELS.rstrip(), *([_REVERSED.rstrip()] if mirrors else []), "")
    return (_OUTSIDE.rstrip(), *([MIRRORED] if mirrors else []), "")


def port_meaning(name: str, features: FeatureSet) -> str:
    """Return what the port of a feature takes: formula, order, unit."""
    if name in _FROM_PIXELS_PORTS:
        return _FROM_PIXELS_PORTS[name]
    feature = REGISTRY[name]
    elements = {
        None: "",
        "rows": ", by row (y)",
        "columns": ", by column (x)",
        "pixels": ", row (y) by row, in it by column (x)",
    }[feature.along]
    formula = feature.formula.replace("|", "\\|")
    stated = features.scale(name)
    scaled = stated.of(feature.unit) if stated else f"{feature.unit} / {features.divisor(name):g}"
    return f"{formula}{elements}, {scaled}"
