"""A quantized Keras model as an hls4ml project, and what its C simulation answers."""

from __future__ import annotations

import contextlib
import importlib
import io
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from pixelsieve.core.config import require_between
from pixelsieve.core.errors import ConfigError, ToolError, nearest
from pixelsieve.core.programs import run_tool
from pixelsieve.hardware.ports import Port
from pixelsieve.hardware.testbench import Vectors
from pixelsieve.integer.network import IntegerNetwork
from pixelsieve.networks.model_file import Model

if TYPE_CHECKING:
    import keras

Backend = Literal["Vitis", "Catapult"]

TARGETS: Mapping[str, str] = {"Vitis": "xcvu13p-flga2577-2-e", "Catapult": "nangate-45nm"}
"""hls4ml's own defaults: an FPGA for Vitis HLS, an ASIC library for Catapult."""

_EXACT_IN_FLOAT64 = 53
_TEST_BENCH_VECTORS = 100


@dataclass(frozen=True, slots=True)
class HlsSettings:
    """Settings of the synthesis.

    `part` is an FPGA for Vitis, an ASIC library for Catapult; None is hls4ml's default. Each
    multiplier serves `reuse_factor` products. Raises `ConfigError` for a backend that is not
    known and for numbers out of their ranges.
    """

    backend: Backend = "Vitis"
    clock_ns: float = 5.0
    part: str | None = None
    reuse_factor: int = 1
    strategy: Literal["latency"] = "latency"
    io_type: Literal["io_parallel"] = "io_parallel"

    def __post_init__(self) -> None:
        known = get_args(Backend)
        if self.backend not in known:
            msg = f"backend '{self.backend}'{nearest(self.backend, known)}: {' or '.join(known)}"
            raise ConfigError(msg)
        require_between(self, "clock_ns", 0.1, 1000)
        require_between(self, "reuse_factor", 1, 4096)

    @property
    def target(self) -> str:
        """The part or the ASIC library."""
        return self.part or TARGETS[self.backend]


@dataclass(frozen=True, slots=True)
class HlsLayer:
    """A layer with weights in the project: the C++ arrays of outputs and weights, and types."""

    name: str
    output: str
    weights: dict[str, str]
    sum_type: str
    output_type: str


@dataclass(frozen=True, slots=True)
class HlsProject:
    """A written project: its top function, its ports in order, and its layers.

    `types` are the names of the C++ types of the ports and of the logit, `definitions` what they
    stand for; `warnings` is what hls4ml had to say.
    """

    top: str
    settings: HlsSettings
    ports: tuple[Port, ...]
    logit: Port
    types: tuple[str, ...]
    definitions: tuple[str, ...]
    layers: tuple[HlsLayer, ...]
    warnings: tuple[str, ...]


def hls4ml(module: str = "") -> Any:
    """hls4ml or a module of it (untyped). Raises `ToolError` where it is not installed."""
    try:
        with _quiet():
            return importlib.import_module(f"hls4ml.{module}" if module else "hls4ml")
    except ModuleNotFoundError as error:
        missing = (error.name or "hls4ml").split(".")[0]
        needed = "" if missing == "hls4ml" else f" for hls4ml (pip install {missing})"
        msg = f"{missing} is not installed{needed}; it writes the HLS project: pip install hls4ml"
        raise ToolError(msg) from error


def write_project(
    folder: Path, model: Model, network: IntegerNetwork, settings: HlsSettings, stamp: str
) -> HlsProject:
    """Write the project of `model` into `folder`.

    Weights and grids are those of the Keras model. The types of all sums, and of the logit, are
    set from the ranges of `network`, so that no sum overflows for any input code. `stamp` names
    the library that hls4ml's own scripts build. Raises `ToolError` for what hls4ml cannot convert
    and `ConfigError` for a logit beyond 53 bits.
    """
    if network.logit_bits > _EXACT_IN_FLOAT64:
        msg = (
            f"{network.name}: a logit of {network.logit_bits} bits; the C simulation is read in "
            f"float64, exact to {_EXACT_IN_FLOAT64}"
        )
        raise ConfigError(msg)
    # never a word of C++, nor the name of our Verilog module
    top = "hls_" + re.sub(r"[\W_]+", "_", network.name, flags=re.ASCII).strip("_")
    converters = hls4ml("converters")
    target: dict[str, Any] = {"part": settings.target}
    if settings.backend == "Catapult":
        target = {"tech": "asic", "asiclibs": settings.target}
    with warnings.catch_warnings(record=True) as said, _quiet():
        warnings.simplefilter("always")
        try:
            graph = converters.convert_from_keras_model(
                _joined_in_pairs(model.keras_model()),
                output_dir=str(folder),
                project_name=top,
                backend=settings.backend,
                io_type=settings.io_type,
                clock_period=settings.clock_ns,
                # A precision that nothing may keep: every type follows from the quantizers.
                hls_config={
                    "Model": {
                        "Precision": {"default": "fixed<1,0>"},
                        "ReuseFactor": settings.reuse_factor,
                        "Strategy": settings.strategy,
                    }
                },
                bit_exact=True,
                allow_da_fallback=False,  # would need da4ml
                allow_v2_fallback=False,
                **target,
            )
            _set_sums(graph, network)
            graph.write()
        except OSError:
            raise
        except Exception as error:  # hls4ml raises bare Exceptions and AssertionErrors
            reason = str(error).strip().splitlines() or [type(error).__name__]
            msg = f"{network.name}: hls4ml cannot make a {settings.backend} project ({reason[0]})"
            if settings.backend == "Catapult" and "not tested" in reason[0]:
                msg += "; bits that differ within a layer work with Vitis only"
            raise ToolError(msg) from error
    _settle(folder, str(graph.config.get_config_value("Stamp")), stamp)
    inputs, logit = graph.get_input_variables(), graph.get_output_variables()[0]
    about_hls = [w for w in said if issubclass(w.category, UserWarning) and "hls4ml" in w.filename]
    return HlsProject(
        top=top,
        settings=settings,
        ports=tuple(_port(v.name, v) for v in inputs),
        logit=_port("logit", logit),
        types=tuple(v.type.name for v in (*inputs, logit)),
        definitions=tuple(v.type.precision.definition_cpp() for v in (*inputs, logit)),
        layers=tuple(_layer(graph.graph[la.name], la.name) for la in network.weighted_layers),
        warnings=tuple(dict.fromkeys(" ".join(str(w.message).split()) for w in about_hls)),
    )


def write_test_bench(
    folder: Path, project: HlsProject, network: IntegerNetwork, of: Vectors
) -> None:
    """The first corner vectors and our logits, as hls4ml's test bench reads them (`tb_data`)."""
    rows = slice(of.clusters, of.clusters + _TEST_BENCH_VECTORS)
    some = {name: c[rows] for name, c in of.codes.items()}
    steps = {i.name: i.grid.step for i in network.inputs}
    values = np.concatenate([some[p.name] * steps[p.name] for p in project.ports], axis=1)
    logits = network.run(some) * 2.0**-network.logit_fraction_bits
    data = folder / "tb_data"
    data.mkdir(exist_ok=True)
    for name, table in (("input_features", values), ("output_predictions", logits[:, None])):
        text = "".join(" ".join(map(repr, row)) + "\n" for row in table.tolist())
        (data / f"tb_{name}.dat").write_text(text, encoding="ascii")


def _joined_in_pairs(model: keras.Model) -> keras.Model:
    """The same layers, their inputs joined by `Concatenate` layers of two.

    hls4ml sees layers only, not the operations between them, and joins two at a time.
    """
    import keras

    takers = {
        id(layer.input): layer.name
        for layer in model.layers
        if not isinstance(layer.input, list | tuple | dict)
    }

    def call(operation: Any, *args: Any, **kwargs: Any) -> Any:
        is_layer = isinstance(operation, keras.Layer)
        if is_layer or type(operation).__name__ != "Concatenate":
            return operation(*args, **kwargs)
        name = f"{takers.get(id(operation.output), operation.name)}_inputs"
        joined, *others = args[0]
        for i, other in enumerate(others, 1):
            suffix = "" if i == len(others) else f"_{i}"
            joined = keras.layers.Concatenate(axis=operation.axis, name=f"{name}{suffix}")(
                [joined, other]
            )
        return joined

    return keras.models.clone_model(model, clone_function=lambda x: x, call_function=call)


def _set_sums(graph: Any, network: IntegerNetwork) -> None:
    """Types that hold every sum, and all its bits behind the binary point."""
    needed = network.sum_bits()
    for layer in network.weighted_layers:
        node = graph.graph[layer.name]
        output = node.get_output_variable().type.precision
        fraction, bits = layer.sum_fraction_bits, needed[layer.name]
        types = [node.attributes["accum_t"].precision]
        if layer.activation is None:
            types.append(output)
        else:  # the ap_fixed that hls4ml ships reads the bit below the output's last when rounding
            bits = max(bits, fraction - int(output.width - output.integer))
        for one in types:
            one.width, one.integer, one.signed = bits, bits - fraction, True


def _port(name: str, variable: Any) -> Port:
    kind = variable.type.precision
    fraction = int(kind.width - kind.integer)
    return Port(name, int(variable.size()), int(kind.width), bool(kind.signed), fraction)


def _layer(node: Any, name: str) -> HlsLayer:
    return HlsLayer(
        name,
        str(node.get_output_variable().name),
        {str(kind): str(w.name) for kind, w in node.weights.items()},
        str(node.attributes["accum_t"].precision.definition_cpp()),
        str(node.get_output_variable().type.precision.definition_cpp()),
    )


def _settle(folder: Path, made_stamp: str, stamp: str) -> None:
    """Make the project the same wherever and whenever it was written.

    YAML quotes a stamp only where it looks like a number, so here it always does.
    """
    for path in (*folder.glob("*.yml"), *folder.glob("*.sh"), *folder.glob("*_bridge.cpp")):
        text = path.read_text(encoding="utf-8").replace(str(folder), ".")
        text = re.sub(rf"'?{made_stamp}'?", f"'{stamp}'" if path.suffix == ".yml" else stamp, text)
        path.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """hls4ml prints as it goes."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


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
