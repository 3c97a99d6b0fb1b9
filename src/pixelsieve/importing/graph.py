"""The graph of a Keras model out of its JSON: layers in order, and what feeds each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from pixelsieve.core.errors import ConfigError
from pixelsieve.importing.values import Settings, refused

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Node:
    """A layer: its name, class, settings, and the layers whose outputs it takes, in order."""

    name: str
    kind: str
    config: Settings
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Graph:
    """Layers, each after those it takes; inputs in the order of the model; its one output."""

    name: str
    nodes: tuple[Node, ...]
    inputs: tuple[str, ...]
    output: str


def read_graph(model: Settings, where: str) -> Graph:
    """The graph of a functional or sequential model of Keras 2 or 3.

    Raises `ConfigError` naming `where` and the layer for other classes, several outputs, layers
    that are used twice or lead nowhere, and JSON that says too little.
    """
    try:
        return _read(model, where)
    except RecursionError as error:
        raise refused(where, "its JSON is nested too deep; the file is damaged") from error


def _read(model: Settings, where: str) -> Graph:
    kind, config = model.get("class_name"), _get(model, "config", dict, where)
    name = str(config.get("name", "model"))
    inputs: tuple[str, ...]
    if kind == "Sequential":
        nodes = list(_chain(config, where))
        inputs, output = (nodes[0].name,), nodes[-1].name
    elif kind in ("Functional", "Model"):
        nodes = [_node(entry, where) for entry in _get(config, "layers", list, where)]
        inputs = tuple(_ends(config.get("input_layers"), f"{where}: input_layers"))
        outputs = tuple(_ends(config.get("output_layers"), f"{where}: output_layers"))
        if len(outputs) != 1:
            msg = f"{where}: {len(outputs)} outputs; expected one, the logit or its probability"
            raise ConfigError(msg)
        (output,) = outputs
    else:
        raise refused(where, f"a model of class '{kind}'; expected a functional or sequential one")
    return Graph(name, _ordered(nodes, inputs, output, where), inputs, output)


def _node(entry: Any, where: str) -> Node:
    if not isinstance(entry, dict) or not isinstance(entry.get("class_name"), str):
        raise refused(where, "a layer without class_name; the file is damaged")
    config = _get(entry, "config", dict, where)
    name = config.get("name", entry.get("name"))
    if not isinstance(name, str):
        raise refused(where, "a layer without a name; the file is damaged")
    calls = entry.get("inbound_nodes", [])
    if not isinstance(calls, list) or len(calls) > 1:
        msg = f"{where}: layer '{name}' is used more than once; shared layers are not supported"
        raise ConfigError(msg)
    sources = tuple(_tensors(calls, f"{where}: layer '{name}'"))
    return Node(name, _kind(entry), config, sources)


def _kind(entry: Settings) -> str:
    """The class, `hgq>NAME` for HGQ2's, whose QDense is another than that of QKeras."""
    kind = str(entry["class_name"])
    if str(entry.get("module", "")).startswith("hgq."):
        return f"hgq>{kind}"
    return kind if kind.startswith("hgq>") else kind.rsplit(">", 1)[-1]


def _chain(config: Settings, where: str) -> Iterator[Node]:
    entries = [_node(entry, where) for entry in _get(config, "layers", list, where)]
    before: tuple[str, ...] = ()
    if entries and entries[0].kind != "InputLayer":
        first = entries[0].config
        shape = first.get("batch_input_shape", first.get("batch_shape"))
        shape = shape or config.get("build_input_shape")
        yield Node("input", "InputLayer", {"name": "input", "batch_shape": shape}, ())
        before = ("input",)
    if not entries:
        raise refused(where, "no layers")
    for node in entries:
        yield Node(node.name, node.kind, node.config, before)
        before = (node.name,)


def _tensors(value: Any, where: str) -> Iterator[str]:
    """Names of the layers in a call of Keras 2, `[name, 0, 0, {}]`, or 3, `__keras_tensor__`."""
    if isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
        yield _source(_get(value, "config", dict, where).get("keras_history"), where)
    elif isinstance(value, dict):
        if any(True for _ in _tensors(value.get("kwargs") or [], where)):
            raise refused(where, "takes a tensor by keyword; expected plain layers")
        yield from _tensors([inner for key, inner in value.items() if key != "kwargs"], where)
    elif isinstance(value, list) and value and isinstance(value[0], str):
        keywords = value[3] if len(value) > 3 else None  # noqa: PLR2004 (name, node, tensor, keywords)
        known = isinstance(keywords, dict) and keywords.keys() <= {"training", "mask"}
        if keywords and not known:
            raise refused(where, f"called with {keywords}; expected plain layers")
        yield _source(value[:3], where)
    elif isinstance(value, list):
        for inner in value:
            yield from _tensors(inner, where)


def _source(history: Any, where: str) -> str:
    if not isinstance(history, list) or len(history) != 3 or history[1:] != [0, 0]:  # noqa: PLR2004
        raise refused(where, f"takes {history}; expected the one output of a layer used once")
    return str(history[0])


def _ends(value: Any, where: str) -> Iterator[str]:
    """Layers that `input_layers` or `output_layers` name: one, a list, or a dict."""
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, list) or not value:
        raise refused(where, "missing; the file is damaged")
    for entry in [value] if isinstance(value[0], str) else value:
        yield _source(entry, where)


def _ordered(
    nodes: list[Node], inputs: tuple[str, ...], output: str, where: str
) -> tuple[Node, ...]:
    known = {node.name: node for node in nodes}
    if len(known) != len(nodes):
        raise refused(where, "two layers of one name; the file is damaged")
    for name in (*inputs, output, *(s for node in nodes for s in node.sources)):
        if name not in known:
            raise refused(where, f"layer '{name}' is used but not there; the file is damaged")
    consumed = {source for node in nodes for source in node.sources}
    for node in nodes:
        if node.name not in consumed and node.name != output:
            raise refused(where, f"layer '{node.name}' leads to no output")
        if (node.kind == "InputLayer") != (node.name in inputs) or bool(node.sources) == (
            node.name in inputs
        ):
            msg = f"{where}: layer '{node.name}' has no input, or is one and has; it is damaged"
            raise ConfigError(msg)
    ordered: list[Node] = []
    done: set[str] = set()
    while len(ordered) < len(nodes):
        ready = [n for n in nodes if n.name not in done and done.issuperset(n.sources)]
        if not ready:
            raise refused(where, "the layers feed each other in a circle; the file is damaged")
        ordered += ready
        done.update(n.name for n in ready)
    return tuple(ordered)


def _get(data: Settings, key: str, kind: type[T], where: str) -> T:
    value = data.get(key)
    if not isinstance(value, kind):
        word = "table" if kind is dict else "list"
        raise refused(where, f"no {word} '{key}'; the file is damaged")
    return value
