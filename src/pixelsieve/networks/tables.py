"""The layers of a network as a table, also with the weights that they have learned."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import numpy as np

from pixelsieve.display.spec import Column, Row, Table, numbers, row_of, table
from pixelsieve.networks.precision import MixedPrecision

if TYPE_CHECKING:
    from pixelsieve.networks.model_file import Model
    from pixelsieve.networks.spec import NetworkSpec


def layers_table(spec: NetworkSpec) -> Table:
    """Return kind, inputs, output and number of weights of each layer."""
    return table(repr(spec), _COLUMNS, [row_of(*cells) for cells in _layers(spec).values()])


def model_table(model: Model) -> Table:
    """Return the same, with the grid of the weights, how many are not 0, and the largest."""
    rows: list[Row] = []
    for name, cells in _layers(model.spec).items():
        learned = model.weights.get(name)
        values = [] if learned is None else [abs(kernel.ravel()) for kernel in learned.values()]
        found = np.concatenate(values) if values else None
        figures = (
            ("", "", "")
            if found is None
            else (_grid(model, name), int(np.count_nonzero(found)), f"{found.max():.4g}")
        )
        rows.append(row_of(*cells, *figures))
    more = (Column("bits"), *numbers("not 0", "largest"))
    return table(repr(model), (*_COLUMNS, *more), rows)


_COLUMNS = (*map(Column, ("layer", "kind", "inputs")), *numbers("output", "weights"))


def _layers(spec: NetworkSpec) -> dict[str, tuple[str | int, ...]]:
    shapes, variables = spec.shapes(), spec.variables()
    return {
        layer.name: (
            layer.name,
            layer.kind,
            ", ".join(layer.inputs),
            " x ".join(map(str, shapes[layer.name])),
            sum(map(prod, variables.get(layer.name, {}).values())),
        )
        for layer in spec.layers
    }


def _grid(model: Model, layer: str) -> str:
    """Return the grids of kernel and bias, once if they are the same."""
    if model.precision is None:
        return "float"
    if isinstance(model.precision, MixedPrecision):
        return "each its own"
    return ", ".join(dict.fromkeys(map(str, model.precision.weights(layer).values())))
