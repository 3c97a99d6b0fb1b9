"""Inputs of foreign models: which feature each is, and which network of ours it resembles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import prod

from pixelsieve.core.errors import ConfigError
from pixelsieve.features import REGISTRY, WINDOW
from pixelsieve.importing.values import refused
from pixelsieve.networks.layers import Shape
from pixelsieve.networks.spec import ZOO, NetworkSpec, network


def assign_features(
    shapes: Mapping[str, Shape], stated: Sequence[str] | None, where: str
) -> tuple[dict[str, tuple[str, ...]], tuple[int, int]]:
    """Features of each input, and the window (rows, columns) that their shapes tell.

    `shapes` are those of the model's inputs in its order. Without `stated` features the inputs
    must bear names of features. Stated ones go to the inputs in order: one each where there are as
    many, else as many as fill each input. Raises `ConfigError` where that leaves a doubt.
    """
    sizes = {name: prod(shape) for name, shape in shapes.items()}
    if stated is None:
        unknown = [name for name in sizes if name not in REGISTRY]
        if unknown:
            listed = ", ".join(f"{name} ({size})" for name, size in sizes.items())
            raise refused(
                where,
                f"input '{unknown[0]}' is no feature's name; say what the inputs "
                f"{listed} are, in this order: --features NAME,NAME,...",
            )
        found: dict[str, tuple[str, ...]] = {name: (name,) for name in sizes}
    else:
        found = _filled(sizes, stated, where)
        for name, features in found.items():
            if name in REGISTRY and features != (name,):
                told = "+".join(features) or "nothing"
                msg = f"{where}: input '{name}' is stated to be {told}; check --features' order"
                raise ConfigError(msg)
    names = [feature for features in found.values() for feature in features]
    for name in names:
        if names.count(name) > 1:
            raise refused(where, f"feature '{name}' is named twice; expected each input once")
    window = _window(shapes, found)
    for name, features in found.items():
        if len(shapes[name]) > 1 and [REGISTRY[f].along for f in features] != ["pixels"]:
            told = "+".join(features)
            raise refused(where, f"input '{name}' is an image of {shapes[name]}; {told} is none")
        needed = sum(REGISTRY[f].size(window) for f in features)
        if needed != sizes[name]:
            raise refused(
                where,
                f"input '{name}' holds {sizes[name]} numbers, {'+'.join(features)} "
                f"{needed} for windows of {window[0]} x {window[1]} pixels",
            )
    return found, window


def _filled(
    sizes: Mapping[str, int], stated: Sequence[str], where: str
) -> dict[str, tuple[str, ...]]:
    for name in stated:
        if name not in REGISTRY:
            msg = f"--features: unknown feature '{name}'; known: {', '.join(REGISTRY)}"
            raise ConfigError(msg)
    if len(stated) == len(sizes):
        return {name: (feature,) for name, feature in zip(sizes, stated, strict=True)}
    left = list(stated)
    found = {}
    for name, size in sizes.items():
        taken: list[str] = []
        while left and sum(REGISTRY[f].size() for f in taken) < size:
            taken.append(left.pop(0))
        found[name] = tuple(taken)
    if left:
        raise refused(where, f"--features: no input is left for {', '.join(left)}")
    return found


def _window(shapes: Mapping[str, Shape], found: Mapping[str, tuple[str, ...]]) -> tuple[int, int]:
    """Rows and columns by the shapes of lone profiles and images; else the muon collider's."""
    rows, columns = WINDOW
    for name, features in found.items():
        along = REGISTRY[features[0]].along if len(features) == 1 else None
        if along == "rows":
            rows = shapes[name][0]
        elif along == "columns":
            columns = shapes[name][0]
        elif along == "pixels" and len(shapes[name]) > 1:
            rows, columns = shapes[name][:2]
    return rows, columns


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
    raise refused(
        where,
        f"is no {name}: it has {_layers(spec)}; {name} has {_layers(known)}; leave out "
        "--network to take the shape of the file",
    )


def _variants(known: Iterable[NetworkSpec], spec: NetworkSpec) -> Iterator[NetworkSpec]:
    """Return those networks for the window of `spec`, without and with each arrival time."""
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
