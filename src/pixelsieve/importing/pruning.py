"""Pruning wrappers (TensorFlow Model Optimization) taken off, with what their masks drop."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pixelsieve.importing.graph import Graph, Node
from pixelsieve.importing.values import StoredModel, Variable, refused

_WRAPPER = "PruneLowMagnitude"
_STATE = ("threshold", "pruning_step", "pruning state")


def without_pruning(graph: Graph, stored: StoredModel, where: str) -> tuple[Graph, StoredModel]:
    """Return the graph with the layers inside the wrappers, under their own names.

    A wrapper multiplies the kernel by its mask whenever it is called; so is what is returned. Raise
    `ConfigError` for a wrapper without a layer, and for a mask that does not fit.
    """
    wrapped = {node.name: _inner(node, where) for node in graph.nodes if node.kind == _WRAPPER}
    if not wrapped:
        return graph, stored
    taken = {node.name for node in graph.nodes} - wrapped.keys()
    names = {n: one.name if one.name not in taken else n for n, one in wrapped.items()}
    if len(set(names.values())) != len(names):
        names = {name: name for name in names}
    nodes = tuple(_renamed(wrapped.get(node.name, node), node, names) for node in graph.nodes)
    output = names.get(graph.output, graph.output)
    beside = dict(stored.beside)
    variables: list[Variable] = []
    masks = {v.layer: v for v in stored.variables if v.layer in wrapped and v.role == "mask"}
    for variable in stored.variables:
        if variable.layer not in wrapped:
            variables.append(variable)
        elif variable.role == "mask":
            beside[variable.path] = "mask of a pruning wrapper: taken into the kernel"
        elif variable.role.startswith(_STATE):
            beside[variable.path] = "state of a pruning wrapper, for training"
        else:
            one = _masked(variable, masks.get(variable.layer), where)
            variables.append(replace(one, layer=names[one.layer]))
    changed = replace(stored, variables=tuple(variables), beside=beside)
    return Graph(graph.name, nodes, graph.inputs, output), changed


def _inner(node: Node, where: str) -> Node:
    layer = node.config.get("layer")
    config = layer.get("config") if isinstance(layer, dict) else None
    kind = layer.get("class_name") if isinstance(layer, dict) else None
    if not isinstance(config, dict) or not isinstance(kind, str):
        raise refused(where, f"layer '{node.name}': a pruning wrapper of nothing; it is damaged")
    name = config.get("name")
    return Node(name if isinstance(name, str) else node.name, kind, config, node.sources)


def _renamed(node: Node, outer: Node, names: dict[str, str]) -> Node:
    sources = tuple(names.get(source, source) for source in outer.sources)
    return replace(node, name=names.get(outer.name, outer.name), sources=sources)


def _masked(variable: Variable, mask: Variable | None, where: str) -> Variable:
    if variable.role != "kernel" or mask is None:
        return variable
    if mask.values.shape != variable.values.shape or not np.isin(mask.values, (0, 1)).all():
        raise refused(where, f"'{mask.path}' is no mask of zeros and ones for '{variable.path}'")
    return replace(variable, values=variable.values * mask.values.astype(variable.values.dtype))
