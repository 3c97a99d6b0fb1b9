"""Integer networks as plain JSON: codes, grids, feature scaling, schema version and hash."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from pixelsieve.core.config import Document, content_hash, from_mapping, to_plain
from pixelsieve.core.errors import ConfigError, RunError
from pixelsieve.core.files import read_json, replacing
from pixelsieve.features import FeatureSet
from pixelsieve.integer.layers import IntegerInput, IntegerLayer, IntegerPool, Patches
from pixelsieve.integer.network import IntegerNetwork
from pixelsieve.networks.fixed_point import FixedPoint, Quantizer

_SCHEMA = 2
_KIND = "pixelsieve integer network"
_HASH = "sha256"
_LARGEST_BITS = 32
_LAYER_NAME = re.compile(r"\w[\w-]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class _LayerDocument:
    name: str
    inputs: tuple[str, ...]
    input_fraction_bits: int
    kernel_grid: FixedPoint
    bias_grid: FixedPoint
    activation: Quantizer | None
    kernel: tuple[tuple[int, ...], ...]
    bias: tuple[int, ...]
    patches: Patches | None = None
    kind: Literal["dense"] = "dense"


@dataclass(frozen=True, slots=True)
class _Document:
    kind: str
    schema: int
    name: str
    inputs: tuple[IntegerInput, ...]
    layers: tuple[_LayerDocument | IntegerPool, ...]
    logit_bits: int
    logit_fraction_bits: int


def to_document(network: IntegerNetwork) -> Document:
    """Plain data that say everything; `sha256` is that of the canonical JSON of the rest.

    A code stands for code * 2^-fraction, fraction = bits - signed - integer_bits of its grid; the
    codes of a quantizer's elements all have the largest fraction among those with bits.
    """
    document = {
        "kind": _KIND,
        "schema": _SCHEMA,
        "name": network.name,
        "features": network.features.to_plain(),
        "inputs": to_plain(network.inputs),
        "layers": [_layer_document(layer) for layer in network.layers],
        "logit_bits": network.logit_bits,
        "logit_fraction_bits": network.logit_fraction_bits,
    }
    return {**document, _HASH: content_hash(document)}


def _layer_document(layer: IntegerLayer | IntegerPool) -> Document:
    if isinstance(layer, IntegerPool):
        return {"kind": "max_pool", **to_plain(layer)}
    convolution = {} if layer.patches is None else {"patches": to_plain(layer.patches)}
    return {
        "name": layer.name,
        "inputs": list(layer.inputs),
        "input_fraction_bits": layer.input_fraction_bits,
        "kernel_grid": to_plain(layer.kernel_grid),
        "bias_grid": to_plain(layer.bias_grid),
        "activation": to_plain(layer.activation),
        **convolution,
        "kernel": layer.kernel.tolist(),
        "bias": layer.bias.tolist(),
    }


def write_integer_network(path: Path, network: IntegerNetwork) -> str:
    """Write the JSON, whole or not at all, and return its `sha256`."""
    document = to_document(network)
    rows = json.dumps(document, indent=1)
    with replacing(path) as temporary:
        temporary.write_text(_one_line_a_row(rows) + "\n", encoding="utf-8")
    return str(document[_HASH])


def write_beside(model: Path, network: IntegerNetwork) -> None:
    """Write the integers of the model NAME.keras as NAME.json beside it."""
    write_integer_network(model.with_suffix(".json"), network)


def read_integer_network(path: Path) -> IntegerNetwork:
    """Read it back, strictly.

    Raises `RunError` for a damaged file or another version, `ConfigError` for contents that do
    not fit together or features that are scaled differently today.
    """
    raw = read_json(path)
    if not isinstance(raw, dict) or raw.get("kind") != _KIND:
        msg = f"{path}: no integer network of pixelsieve (kind '{_KIND}')"
        raise RunError(msg)
    if raw.get("schema") != _SCHEMA:
        msg = f"{path}: written by another version of pixelsieve; expected schema {_SCHEMA}"
        raise RunError(msg)
    claimed = raw.pop(_HASH, None)
    if claimed != content_hash(raw):
        msg = f"{path}: its contents are not those of its {_HASH}; write it again"
        raise RunError(msg)
    features = raw.pop("features", None)
    document = from_mapping(_Document, raw, str(path))
    features = FeatureSet.from_plain(features, f"{path}: features")
    layers = tuple(_layer(one, str(path)) for one in document.layers)
    # Names become identifiers of Verilog and C++.
    odd = [i.name for i in document.inputs if i.name not in features.names]
    odd += [layer.name for layer in layers if not _LAYER_NAME.fullmatch(layer.name)]
    if odd:
        msg = f"{path}: '{odd[0]}' is no name of its features, nor of a layer"
        raise ConfigError(msg)
    try:
        network = IntegerNetwork(document.name, features, document.inputs, layers)
    except ConfigError as error:
        msg = f"{path}: {error}"
        raise ConfigError(msg) from error
    got = (network.logit_bits, network.logit_fraction_bits)
    if got != (document.logit_bits, document.logit_fraction_bits):
        msg = f"{path}: logit_bits, logit_fraction_bits: not those of its layers {got}"
        raise ConfigError(msg)
    return network


def _layer(document: _LayerDocument | IntegerPool, where: str) -> IntegerLayer | IntegerPool:
    if isinstance(document, IntegerPool):
        return document
    if len({len(row) for row in document.kernel}) != 1:
        msg = f"{where}: layer '{document.name}': the rows of the kernel differ in length"
        raise ConfigError(msg)
    for values, grid, name in (
        (itertools.chain(*document.kernel), document.kernel_grid, "kernel"),
        (document.bias, document.bias_grid, "bias"),
    ):
        if grid.bits > _LARGEST_BITS or any(
            not grid.lowest_code <= v <= grid.highest_code for v in values
        ):
            msg = (
                f"{where}: layer '{document.name}', {name}: a code outside {grid.lowest_code} to "
                f"{grid.highest_code}"
            )
            raise ConfigError(msg)
    return IntegerLayer(
        document.name,
        document.inputs,
        np.array(document.kernel, np.int64),
        np.array(document.bias, np.int64),
        document.kernel_grid,
        document.bias_grid,
        document.activation,
        document.input_fraction_bits,
        document.patches,
    )


def _one_line_a_row(text: str) -> str:
    """Indented JSON with lists of numbers on one line."""
    return re.sub(
        r"\[\s*(-?\d+(?:,\s*-?\d+)*)\s*\]",
        lambda m: "[" + ", ".join(p.strip() for p in m.group(1).split(",")) + "]",
        text,
    )
