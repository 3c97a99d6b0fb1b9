"""Which network of the zoo a network is, whatever its layers are called."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from pixelsieve.errors import ConfigError
from pixelsieve.features import REGISTRY
from pixelsieve.networks import ZOO, NetworkSpec, network

__all__ = ["recognized", "renamed_like"]

_TIME = "hit_time_"


def recognized(spec: NetworkSpec) -> tuple[NetworkSpec, str]:
    """The network of the zoo that `spec` equals (else `spec`), and in words what it is."""
    for known in _variants(ZOO.values(), spec):
        if known.layers == spec.layers:
            return known, f"{known.name} of the zoo"
    for known in _variants(ZOO.values(), spec):
        if _partners(known, spec) is not None:
            name = known.name.split("+")[0]
            return spec, f"{known.name} in shape, not in layer names (--network {name} takes its)"
    for known in _variants(ZOO.values(), spec):
        if [(a.name, a.inputs) for a in known.layers] == [(b.name, b.inputs) for b in spec.layers]:
            return spec, f"{known.name} with other widths"
    return spec, "a shape that the zoo has not"


def renamed_like(spec: NetworkSpec, name: str, where: str) -> tuple[NetworkSpec, dict[str, str]]:
    """The network of that name, and its layer for each layer of `spec`.

    Raises `ConfigError` where shapes or inputs differ.
    """
    known = network(name).with_window(spec.window)
    for candidate in _variants([known], spec):
        partners = _partners(candidate, spec)
        if partners is not None:
            return candidate, partners
    msg = (
        f"{where}: is no {name}: it has {_layers(spec)}; {name} has {_layers(known)}; leave out "
        "--network to take the shape of the file"
    )
    raise ConfigError(msg)


def _variants(known: Iterable[NetworkSpec], spec: NetworkSpec) -> Iterator[NetworkSpec]:
    """Those networks for the window of `spec`, without and with each arrival time it takes."""
    times = [f for f in spec.features if f.startswith(_TIME)]
    for one in known:
        try:
            fitting = one.with_window(spec.window)
        except ConfigError:  # too small a window for it
            continue
        yield fitting
        if fitting.time_layer is not None:
            for time in times:
                yield fitting.with_time(time)


def _partners(known: NetworkSpec, spec: NetworkSpec) -> dict[str, str] | None:
    """Layer of `spec` -> layer of `known` where both are the same graph, else None."""
    ours = {layer.name: layer for layer in known.layers}
    theirs = {layer.name: layer for layer in spec.layers}
    partners: dict[str, str] = {}

    def same(their: str, our: str) -> bool:
        if their in REGISTRY or our in REGISTRY:
            return their == our
        if their in partners:
            return partners[their] == our
        one, other = theirs[their], ours[our]
        if len(one.inputs) != len(other.inputs):
            return False
        if replace(one, name=other.name, inputs=other.inputs) != other:
            return False
        partners[their] = our
        return all(same(a, b) for a, b in zip(one.inputs, other.inputs, strict=True))

    whole = same(spec.layers[-1].name, known.layers[-1].name)
    return partners if whole and len(partners) == len(ours) == len(theirs) else None


def _layers(spec: NetworkSpec) -> str:
    sizes = [f"{'+'.join(layer.inputs)} -> {spec.width(layer.name)}" for layer in spec.layers]
    return ", ".join(sizes)
