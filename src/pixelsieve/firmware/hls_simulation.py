"""The C simulation of an hls4ml project: what its top function answers to input codes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pixelsieve.core.errors import ToolError
from pixelsieve.core.programs import run_tool
from pixelsieve.firmware.hls_project import HlsProject
from pixelsieve.integer.network import IntegerNetwork

__all__ = ["compile_c", "simulate_c"]

_HEADERS = {
    "Vitis": ("ap_types",),
    "Catapult": ("ac_types/include", "ac_math/include", "ac_simutils/include", "nnet_utils"),
}
"""Fixed-point types as hls4ml ships them; a vendor's own are not needed."""

_BRIDGE = {"Vitis": "", "Catapult": '#include "{top}_bridge.cpp"'}
"""Catapult's project has its arrays of weights there."""

_SET_DIRECTORY = {"Vitis": "", "Catapult": 's_weights_dir = "weights";'}


def compile_c(project: HlsProject, network: IntegerNetwork, folder: Path, work: Path) -> None:
    """Compile the project in `folder` and a main that feeds it codes, in the empty folder `work`.

    The weights are those of the headers, as in synthesis, but read at the start: g++ needs many
    minutes to compile the headers of a large network. Raises `ToolError` where it does not
    compile.
    """
    backend = project.settings.backend
    (work / "weights").mkdir()
    for header in sorted((folder / "firmware" / "weights").glob("*.h")):
        values = re.search(r"= \{([^}]*)\};", header.read_text(encoding="ascii"))
        if values is None:
            msg = f"{header.name}: no weights in it; another hls4ml than 1.3 may write it otherwise"
            raise ToolError(msg)
        (work / "weights" / f"{header.stem}.txt").write_text(values[1], encoding="ascii")
    (work / "main.cpp").write_text(_main(project, network), encoding="utf-8")
    includes = [f"-I{(folder / 'firmware' / name).resolve()}" for name in _HEADERS[backend]]
    command = [
        *("g++", "-std=c++17", "-O1", "-w", '-DWEIGHTS_DIR="weights"'),
        *(f"-I{folder.resolve()}", *includes, "main.cpp", "-o", "simulate"),
    ]
    run_tool(command, folder=work, what="g++")


def simulate_c(
    project: HlsProject, codes: Mapping[str, NDArray[np.int64]], work: Path
) -> NDArray[np.float64]:
    """Logits (n,) in units of the last bit of the network's logit; `compile_c` comes first.

    `codes` by feature name are (n, elements). Whole numbers where the project is right, exact to
    53 bits.
    """
    vectors = np.concatenate([codes[p.name] for p in project.ports], axis=1)
    np.ascontiguousarray(vectors, np.int64).tofile(work / "vectors.bin")
    run_tool([str(work / "simulate")], folder=work, what="the C simulation")
    answers = np.fromfile(work / "answers.bin", dtype=np.float64)
    if len(answers) != len(vectors):
        msg = f"the C simulation gave {len(answers)} answers; expected {len(vectors)}"
        raise ToolError(msg)
    return answers


def _main(project: HlsProject, network: IntegerNetwork) -> str:
    fractions = {i.name: i.grid.fraction_bits for i in network.inputs}
    kinds, arrays, sets, first = project.types, [], [], 0
    for i, port in enumerate(project.ports):
        arrays.append(f"  static {kinds[i]} in{i}[{port.elements}];")
        sets.append(
            f"    for (int k = 0; k < {port.elements}; ++k) "
            f"in{i}[k] = std::ldexp((double)v[{first} + k], {-fractions[port.name]});"
        )
        first += port.elements
    arguments = ", ".join(f"in{i}" for i in range(len(project.ports)))
    return _MAIN % {
        "top": project.top,
        "bridge": _BRIDGE[project.settings.backend].format(top=project.top),
        "set_directory": _SET_DIRECTORY[project.settings.backend],
        "arrays": "\n".join(arrays),
        "sets": "\n".join(sets),
        "words": first,
        "arguments": arguments,
        "answer": kinds[-1],
        "fraction": network.logit_fraction_bits,
    }


# One file for the compiler: the headers of the types take it longer than the network.
_MAIN = """#include <cmath>
#include <cstdint>
#include <cstdio>
#include "firmware/%(top)s.cpp"
%(bridge)s

int main() {
  %(set_directory)s
%(arrays)s
  static %(answer)s out[1];
  static int64_t v[%(words)d];
  FILE* from = fopen("vectors.bin", "rb");
  FILE* to = fopen("answers.bin", "wb");
  if (!from || !to) { fprintf(stderr, "error: cannot open the vectors\\n"); return 1; }
  while (fread(v, 8, %(words)d, from) == %(words)d) {
%(sets)s
    %(top)s(%(arguments)s, out);
    const double answer = std::ldexp(out[0].to_double(), %(fraction)d);
    if (fwrite(&answer, 8, 1, to) != 1) { fprintf(stderr, "error: No space left\\n"); return 1; }
  }
  if (fclose(to)) { fprintf(stderr, "error: No space left\\n"); return 1; }
  return 0;
}
"""
