"""A foreign model file into one of ours: a file of its own, or a run folder."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pixelsieve.core.config import Document, to_plain
from pixelsieve.core.errors import ConfigError, RunError
from pixelsieve.core.files import file_hash, telling_unwritable, write_json
from pixelsieve.core.runs import RunFolder
from pixelsieve.features import WINDOW, FeatureSet, Statement
from pixelsieve.importing.architecture import find_architecture
from pixelsieve.importing.doubling import with_doubled_inputs
from pixelsieve.importing.graph import Graph, read_graph
from pixelsieve.importing.inputs import assign_features, recognized, renamed_like
from pixelsieve.importing.layers import Mapped, ReadLayer, ReportRow, Rounded, input_shape, told
from pixelsieve.importing.mapping import map_graph
from pixelsieve.importing.pruning import without_pruning
from pixelsieve.importing.quantizers import WeightGrid
from pixelsieve.importing.stored import SUFFIXES, read_stored
from pixelsieve.importing.values import StoredModel, refused
from pixelsieve.networks.fixed_point import FixedPoint, Quantizer
from pixelsieve.networks.layers import Shape
from pixelsieve.networks.model_file import Card, Model, save_model
from pixelsieve.networks.precision import LayerScale, MixedPrecision, NamedQuantizer, Precision
from pixelsieve.networks.spec import NetworkSpec, Weights


def precision_of(
    mapped: Mapped, input_bits: int | None, where: str, *, exact: bool = False
) -> Precision | MixedPrecision | None:
    """The bits of the whole network, None if nothing is rounded.

    A `Precision` if one grid of activations serves all layers; layers of fewer weight bits
    then stand on the widest layer's grids, which hold their values exactly. Else, and if weights
    are to be `exact` values whatever their grids, a `MixedPrecision`. Raises `ConfigError` for
    networks that are rounded in part, inputs of different grids, and inputs that nobody rounds
    while `input_bits` is None.
    """
    layers = mapped.weighted
    if not (mapped.grids or any((*(la.activation for la in layers), *mapped.input_grids.values()))):
        if input_bits is not None:
            raise refused(where, "a float network; --input-bits is for quantized ones")
        return None
    for layer in layers:
        _require_quantized(layer, where)
    input_bits = _input_bits(mapped, input_bits, where)
    activations = {layer.activation for layer in layers if layer.activation is not None}
    try:
        uniform = [grid for grid in activations if isinstance(grid, FixedPoint)]
        own = any(not grid.shared for grid in mapped.grids.values())
        own = own or len(uniform) < len(activations) or any(mapped.taken.values())
        if exact or own or len(uniform) > 1 or any(grid.integer_bits for grid in uniform):
            return _mixed(mapped, input_bits)
        return _uniform(mapped, next((grid.bits for grid in uniform), 8), input_bits)
    except ConfigError as error:
        raise refused(where, f"{error}") from error


def _uniform(mapped: Mapped, activation_bits: int, input_bits: int) -> Precision:
    scales = []
    for layer in mapped.weighted:
        kernel = layer.grids["kernel"]
        bias = layer.grids.get("bias", kernel)
        scales.append(LayerScale(layer.name, kernel.grid.integer_bits, bias.grid.integer_bits))
    widest = max(one.grid.bits for one in mapped.grids.values())
    different = {n for s in scales for n in (s.kernel_integer_bits, s.bias_integer_bits)}
    if len(different) == 1:
        return Precision(widest, different.pop(), activation_bits, input_bits)
    return Precision(widest, 0, activation_bits, input_bits, tuple(scales))


def _mixed(mapped: Mapped, input_bits: int) -> MixedPrecision:
    grid = FixedPoint(signed=True, bits=input_bits)
    return MixedPrecision(
        tuple(
            NamedQuantizer(name, mapped.taken.get(name) or Quantizer.uniform(grid, width))
            for name, width in mapped.input_widths.items()
        ),
        tuple(
            NamedQuantizer(layer.name, _elements(layer.activation, len(layer.bias)))
            for layer in mapped.weighted
            if layer.activation is not None
        ),
        input_bits,
    )


def _elements(rounded: Rounded, width: int) -> Quantizer:
    return rounded if isinstance(rounded, Quantizer) else Quantizer.uniform(rounded, width)


def weights_of(mapped: Mapped, precision: Precision | MixedPrecision | None) -> Weights:
    """Weights by layer, such that our grids give exactly the values of the file's quantizers."""
    # On a grid of more bits than its own a weight would keep digits that the file drops; with
    # mixed precision, weights are taken as they stand.
    kept = precision.weight_bits if isinstance(precision, Precision) else 0
    found: Weights = {}
    for layer in mapped.weighted:
        found[layer.name] = {
            name: _on_grid(values, layer.grids.get(name), kept)
            for name, values in (("kernel", layer.kernel), ("bias", layer.bias))
        }
    return found


def _on_grid(
    values: NDArray[np.float32], grid: WeightGrid | None, kept: int
) -> NDArray[np.float32]:
    if grid is None:
        return values
    latent = grid.latent(values)
    return latent if grid.grid.bits == kept else grid.grid.quantize(latent).astype(np.float32)


def _require_quantized(layer: ReadLayer, where: str) -> None:
    missing = None
    if "kernel" not in layer.grids:
        missing = "its kernel"
    elif "bias" not in layer.grids and layer.has_bias:
        missing = "its bias"
    elif layer.relu and layer.activation is None:
        missing = "its relu"
    if missing:
        raise refused(
            where,
            f"layer '{layer.name}': {missing} is not quantized while other parts of the "
            "network are; expected all or nothing",
        )


def _input_bits(mapped: Mapped, stated: int | None, where: str) -> int:
    grids = mapped.input_grids
    rounded = {name: grid for name, grid in grids.items() if grid is not None}
    if not rounded:
        if stated is None:
            raise refused(
                where,
                "nothing rounds its inputs; hardware must: say --input-bits N (8 is "
                "usual; the file's own logits are met for inputs of so many bits)",
            )
        return stated
    if len(set(grids.values())) > 1:
        said = ", ".join(f"{name} {grid or 'not rounded'}" for name, grid in grids.items())
        msg = f"{where}: its inputs are rounded differently ({said}); expected one grid for all"
        raise ConfigError(msg)
    grid = next(iter(rounded.values()))
    if grid.integer_bits or (stated is not None and stated != grid.bits):
        expected = f"--input-bits {stated}" if stated else "quantized_bits(BITS, 0)"
        raise refused(
            where,
            f"its inputs are rounded to {grid.bits} bits, {grid.integer_bits} of them "
            f"integer; expected {expected}",
        )
    return grid.bits


@dataclass(frozen=True, slots=True)
class ImportReport:
    """The file that was read, what it is, and a row for everything in it.

    `precision` is in words; `notes` are what the user must know to compare with the file's own
    program. `scaling` is what was stated, in words; `assumed` is that of the other inputs.
    """

    file: str
    sha256: str
    format: str
    network: str
    precision: str
    features: tuple[str, ...]
    parameters: int
    rows: tuple[ReportRow, ...]
    notes: tuple[str, ...]
    scaling: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """Options for what a file cannot say.

    `features` are the inputs' in order (None: by the inputs' names), `network` the network of the
    zoo whose layer names to take, `input_bits` the rounding of inputs where the file has none,
    `mirror_x` as in training, `scaling` what is stated of it, `architecture` the JSON file of the
    network of weights alone (else `network` is it).
    """

    features: tuple[str, ...] | None = None
    network: str | None = None
    input_bits: int | None = None
    mirror_x: bool = False
    scaling: Statement = field(default_factory=Statement)
    architecture: str | None = None

    def to_plain(self) -> Document:
        """Return plain data; `scaling` and `architecture` only if they are stated."""
        plain: Document = to_plain(self)
        if self.scaling == Statement():
            del plain["scaling"]
        if self.architecture is None:
            del plain["architecture"]
        return plain


def model_name(path: Path) -> str:
    """The file's name as the name of a network: letters, digits and `_`."""
    return re.sub(r"\W+", "_", path.stem, flags=re.ASCII).strip("_") or "model"


def import_model(path: Path, options: ImportOptions) -> tuple[Model, ImportReport]:
    """Read a model file of Keras 2, Keras 3 or QKeras.

    A QKeras model gives QKeras's logits to the last bit, for inputs of `input_bits` where it does
    not round them itself, and sums of at most 24 bits (more are not exact in float32 anywhere).
    Raises `RunError` for damaged files and `ConfigError` for everything in a file that has no
    exact counterpart here; nothing of a file is passed over.
    """
    where = str(path)
    stored = read_stored(path, find_architecture(options.architecture, options.network))
    graph, stored = without_pruning(read_graph(stored.model, where), stored, where)
    inputs = {node.name: node for node in graph.nodes if node.kind == "InputLayer"}
    shapes = {name: input_shape(inputs[name], where) for name in graph.inputs}
    try:
        assigned, window = assign_features(shapes, options.features, where)
    except ConfigError:
        _refuse_hopeless(graph, stored, shapes, options, where)
        raise
    mapped = map_graph(graph, stored, assigned, window, where)
    try:
        spec = NetworkSpec(model_name(path), mapped.spec_layers(), window)
    except ConfigError as error:
        raise refused(where, f"{error}") from error
    scales = options.scaling.of(spec.features, where)
    doublings = {
        one.feature: one.doublings()
        for one in scales
        if one.doublings()
        and mapped.input_grids.get(one.feature) is None
        and mapped.taken.get(one.feature) is None
    }
    precision = precision_of(mapped, options.input_bits, where, exact=bool(doublings))
    weights = with_doubled_inputs(spec, weights_of(mapped, precision), doublings)
    scales = tuple(one.times(2.0 ** doublings.get(one.feature, 0)) for one in scales)
    spec, likeness = recognized(spec)
    if options.network is not None:
        spec, names = renamed_like(spec, options.network, where)
        likeness = f"{spec.name} of the zoo, its layer names taken"
        weights = {names[layer]: variables for layer, variables in weights.items()}
        weights = {layer: weights[layer] for layer in spec.variables()}
        precision = _renamed(precision, names)
    features = FeatureSet(spec.features, options.mirror_x, window=window, scales=scales)
    report = ImportReport(
        file=where,
        sha256=file_hash(path),
        format=stored.format,
        network=likeness,
        precision=_words(mapped, precision),
        features=features.names,
        parameters=spec.n_parameters,
        rows=tuple(mapped.rows),
        notes=(*dict.fromkeys(mapped.notes), *_notes(mapped, precision), *_doubled(doublings)),
        scaling=tuple(map(str, scales)),
        assumed=features.assumed,
    )
    card = Card(others={"imported": to_plain(report), "import_options": options.to_plain()})
    return Model(spec, precision, weights, features, card), report


def _refuse_hopeless(
    graph: Graph, stored: StoredModel, shapes: Mapping[str, Shape], options: ImportOptions, at: str
) -> None:
    """Raise what no answer about the inputs could mend, before anybody asks for one."""
    unknown = {name: (name,) for name in shapes}
    mapped = map_graph(graph, stored, unknown, WINDOW, at)
    asks = mapped.grids and not any(mapped.input_grids.values())
    precision_of(mapped, options.input_bits or (8 if asks else None), at)


def _renamed(
    precision: Precision | MixedPrecision | None, names: dict[str, str]
) -> Precision | MixedPrecision | None:
    if isinstance(precision, Precision):
        scales = tuple(replace(scale, layer=names[scale.layer]) for scale in precision.scales)
        return replace(precision, scales=scales)
    if isinstance(precision, MixedPrecision):
        activations = tuple(replace(one, name=names[one.name]) for one in precision.activations)
        return replace(precision, activations=activations)
    return None


def _doubled(doublings: Mapping[str, int]) -> list[str]:
    return [
        f"{name} goes beyond 1 by the stated scaling: the network takes 1/{1 << n} of it, with the "
        f"weights behind it times {1 << n}, which is exact"
        for name, n in doublings.items()
    ]


def _notes(mapped: Mapped, precision: Precision | MixedPrecision | None) -> list[str]:
    """Return what the precision does not show of the file's own grids."""
    if precision is None:
        return []
    notes = []
    grids = mapped.grids
    widest = max(grid.grid.bits for grid in grids.values())
    fewer = [f"{name} {grid.grid.bits}" for name, grid in grids.items() if grid.grid.bits < widest]
    if fewer and isinstance(precision, Precision):
        notes.append(
            f"fewer bits than {widest}: {', '.join(fewer)}; their values stand on the wider grid "
            "exactly, but training on would use all of its bits"
        )
    symmetric = [name for name, grid in grids.items() if grid.symmetric]
    if symmetric:
        notes.append(f"symmetric: {', '.join(symmetric)}; exact here; training on may leave it")
    if any(mapped.taken.get(name) for name in mapped.input_widths):
        notes.append(
            f"the file's layers take bits of their own of each input; here these have "
            f"{precision.input_bits} bits before"
        )
    elif not any(mapped.input_grids.values()):
        notes.append(
            f"the file does not round its inputs; here they have {precision.input_bits} bits"
        )
    return notes


def _words(mapped: Mapped, precision: Precision | MixedPrecision | None) -> str:
    if precision is None:
        return "float"
    bits = sorted({grid.grid.bits for grid in mapped.grids.values()})
    grids = {layer.activation for layer in mapped.weighted if layer.activation is not None}
    return (
        f"weights of {_listed(bits)} bits, activations {_listed(sorted(set(map(told, grids))))}, "
        f"inputs of {precision.input_bits} bits"
    )


def _listed(values: Sequence[object]) -> str:
    return ", ".join(map(str, values)) or "none"


def convert_model(source: Path, out: Path, options: ImportOptions) -> tuple[Path, ImportReport]:
    """Import `source`; returns our model file and the report.

    `out` ending in `.keras` is that file, which must not exist; else it is a run folder, which
    gets `models/NAME.keras` and `import.json`. Raises what `import_model` raises, before anything
    is written, and `RunError` if `out` cannot be written.
    """
    if out.suffix in SUFFIXES and out.suffix != ".keras":
        msg = f"{out}: models are written as .keras; expected a run folder or a name that ends so"
        raise ConfigError(msg)
    model, report = import_model(source, options)
    if out.suffix == ".keras":
        if os.path.lexists(out):
            msg = f"{out}: exists and would be overwritten; name another --out or remove it"
            raise RunError(msg)
        with telling_unwritable(out):
            out.parent.mkdir(parents=True, exist_ok=True)
            save_model(out, model)
        return out, report
    identity = {"import": {"sha256": report.sha256, **options.to_plain()}}
    with RunFolder(out).claimed(identity) as run:
        run.make("models")
        path = run.model(model_name(source))
        save_model(path, model)
        write_json(run.import_report, report)
    return path, report
