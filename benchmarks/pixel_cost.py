"""LUTs that make features out of ADC codes: alkaid's estimate, and Yosys's count on request.

    python benchmarks/pixel_cost.py
    python benchmarks/pixel_cost.py --yosys

Windows of 13 x 21 pixels, inputs of 8 bits, position and time as wiring.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from pixelsieve.features import FeatureSet
from pixelsieve.hardware.rtl import core_verilog
from pixelsieve.hardware.synthesis import Settings, count
from pixelsieve.integer.pixel_logic import feature_program
from pixelsieve.networks.fixed_point import FixedPoint

SETS = (
    ("x_size",),
    ("x_size", "y_size"),
    ("n_pixels",),
    ("total_code",),
    ("x_size", "y_size", "total_code"),
    ("x_count_profile", "y_count_profile"),
    ("x_code_profile", "y_code_profile"),
    ("x_code_profile", "y_code_profile", "x_count_profile", "y_count_profile"),
)
INPUTS = FixedPoint(signed=True, bits=8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--adc-bits", type=int, nargs="+", default=[2, 4, 8])
    parser.add_argument("--yosys", action="store_true", help="count with Yosys too")
    parser.add_argument("--time-limit", type=float, default=600, help="of each synthesis (s)")
    options = parser.parse_args()
    print(
        "ADC bits  features | estimate  levels  seconds"
        + (" | Yosys LUTs  cells  CARRY4" * options.yosys)
    )
    for names in SETS:
        for bits in options.adc_bits:
            start = time.monotonic()
            program = feature_program(FeatureSet(names), bits, INPUTS)
            assert program is not None
            line = f"{bits}  {', '.join(names)} | {program.cost:.0f}  {program.latency[1]:.1f}"
            line += f"  {time.monotonic() - start:.1f}"
            if options.yosys:
                files = core_verilog(program, "features")
                with tempfile.TemporaryDirectory() as folder:
                    for name, text in files.items():
                        (Path(folder) / name).write_text(text, encoding="utf-8")
                    settings = Settings(time_limit_s=options.time_limit)
                    found = count("luts", Path(folder), "features_core", settings)
                luts = found.luts
                line += (
                    f" | {luts.total}  {luts.logic_cells}  {luts.carry}" if luts else found.status
                )
            print(line, flush=True)


if __name__ == "__main__":
    main()
