"""From a float Keras or QKeras file to one of our models, with its report."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pixelsieve.config import to_plain
from pixelsieve.errors import ConfigError
from pixelsieve.features import FeatureSet
from pixelsieve.files import file_hash
from pixelsieve.model_file import Model
from pixelsieve.model_import.assemble import precision_of, weights_of
from pixelsieve.model_import.graph import read_graph
from pixelsieve.model_import.inputs import assign_features
from pixelsieve.model_import.likeness import recognized, renamed_like
from pixelsieve.model_import.mapped import Mapped
from pixelsieve.model_import.mapping import map_graph
from pixelsieve.model_import.quantizers import WeightGrid
from pixelsieve.model_import.report import ImportReport
from pixelsieve.model_import.shapes import input_shape
from pixelsieve.model_import.stored import read_stored
from pixelsieve.networks import NetworkSpec
from pixelsieve.precision import MixedPrecision, Precision

__all__ = ["ImportOptions", "import_model", "model_name"]


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What a file cannot say.

    `features` are the inputs' in order (None: by the inputs' names), `network` the network of the
    zoo whose layer names to take, `input_bits` the rounding of inputs where the file has none,
    `mirror_x` as in training.
    """

    features: tuple[str, ...] | None = None
    network: str | None = None
    input_bits: int | None = None
    mirror_x: bool = False


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
    stored = read_stored(path)
    graph = read_graph(stored.model, where)
    inputs = {node.name: node for node in graph.nodes if node.kind == "InputLayer"}
    shapes = {name: input_shape(inputs[name], where) for name in graph.inputs}
    assigned, window = assign_features(shapes, options.features, where)
    mapped = map_graph(graph, stored, assigned, window, where)
    precision = precision_of(mapped, options.input_bits, where)
    weights = weights_of(mapped, precision)
    try:
        spec = NetworkSpec(model_name(path), mapped.spec_layers(), window)
    except ConfigError as error:
        msg = f"{where}: {error}"
        raise ConfigError(msg) from error
    spec, likeness = recognized(spec)
    if options.network is not None:
        spec, names = renamed_like(spec, options.network, where)
        likeness = f"{spec.name} of the zoo, its layer names taken"
        weights = {names[layer]: variables for layer, variables in weights.items()}
        weights = {layer: weights[layer] for layer in spec.variables()}
        precision = _renamed(precision, names)
    features = FeatureSet(spec.features, options.mirror_x, window=window)
    report = ImportReport(
        file=where,
        sha256=file_hash(path),
        format=stored.format,
        network=likeness,
        precision=_words(mapped, precision),
        features=features.names,
        parameters=spec.n_parameters,
        rows=tuple(mapped.rows),
        notes=(*dict.fromkeys(mapped.notes), *_notes(mapped, precision)),
    )
    card = {"imported": to_plain(report), "import_options": to_plain(options)}
    return Model(spec, precision, weights, features, card), report


def _renamed(
    precision: Precision | MixedPrecision | None, names: dict[str, str]
) -> Precision | MixedPrecision | None:
    if isinstance(precision, Precision):
        scales = tuple(replace(scale, layer=names[scale.layer]) for scale in precision.scales)
        return precision.with_scales(scales)
    if isinstance(precision, MixedPrecision):
        activations = tuple(replace(one, name=names[one.name]) for one in precision.activations)
        return replace(precision, activations=activations)
    return None


def _grids(mapped: Mapped) -> dict[str, WeightGrid]:
    """The file's own grids of weights by layer and variable."""
    return {
        f"{layer.name} {what}": grid
        for layer in mapped.weighted
        for what, grid in (("kernel", layer.kernel_grid), ("bias", layer.bias_grid))
        if grid is not None
    }


def _notes(mapped: Mapped, precision: Precision | MixedPrecision | None) -> list[str]:
    """What the precision does not show of the file's own grids."""
    if precision is None:
        return []
    notes = []
    grids = _grids(mapped)
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
    if not any(mapped.input_grids.values()):
        notes.append(
            f"the file does not round its inputs; here they have {precision.input_bits} bits"
        )
    return notes


def _words(mapped: Mapped, precision: Precision | MixedPrecision | None) -> str:
    if precision is None:
        return "float"
    bits = sorted({grid.grid.bits for grid in _grids(mapped).values()})
    grids = {layer.activation for layer in mapped.weighted if layer.activation is not None}
    return (
        f"weights of {_listed(bits)} bits, activations {_listed(sorted(map(str, grids)))}, "
        f"inputs of {precision.input_bits} bits"
    )


def _listed(values: Sequence[object]) -> str:
    return ", ".join(map(str, values)) or "none"
