"""Warm start: every layer is copied, on scales that fit, or it is an error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pixelsieve.core.errors import ConfigError, GuaranteeError, nearest
from pixelsieve.networks.fixed_point import best_integer_bits
from pixelsieve.networks.precision import LayerScale, Precision
from pixelsieve.networks.spec import Weights


def fit_scales(weights: Weights, precision: Precision) -> Precision:
    """`precision` with the integer bits that fit kernel and bias of each layer best.

    Least squared error of the rounded float weights. A power-of-two scale is a shift, free in
    hardware.
    """
    bits = precision.weight_bits
    scales = tuple(
        LayerScale(
            layer,
            best_integer_bits(variables["kernel"], signed=True, bits=bits),
            best_integer_bits(variables["bias"], signed=True, bits=bits),
        )
        for layer, variables in weights.items()
    )
    return replace(precision, scales=scales)


@dataclass(frozen=True, slots=True)
class WarmStartRow:
    """The fate of one layer.

    `largest_change` is the largest |quantized - float| of its weights; `saturated_share` the
    share of weights outside the range of their grid.
    """

    layer: str
    shape: tuple[int, ...]
    status: str
    largest_change: float
    saturated_share: float


def warm_start(
    source: Weights,
    target: Weights,
    precision: Precision | None = None,
    skip_layers: Sequence[str] = (),
) -> tuple[Weights, tuple[WarmStartRow, ...]]:
    """Return the weights of `target` replaced by those of `source`, and a row per layer.

    Layers in `skip_layers` keep the values of `target`. Raise `GuaranteeError` if any other
    layer of either model has no partner of the same name and shapes, and `ConfigError` if a
    layer to skip does not exist. Rounding and saturation are those of `precision` (none: float).
    """
    for name in skip_layers:
        if name not in target:
            msg = f"skip_layers: no layer '{name}'{nearest(name, target)}"
            raise ConfigError(msg)
    missing = [n for n in target if n not in source and n not in skip_layers]
    unused = [n for n in source if n not in target and n not in skip_layers]
    if missing or unused:
        msg = (
            f"warm start: not total: without a source: {missing or 'none'}; "
            f"left over in the source: {unused or 'none'}; name layers alike or list them in "
            "skip_layers"
        )
        raise GuaranteeError(msg)
    weights: Weights = {}
    rows = []
    for name, variables in target.items():
        skipped = name in skip_layers
        if not skipped:
            _require_shapes(name, source[name], variables)
        chosen = variables if skipped else source[name]
        weights[name] = {k: np.array(v) for k, v in chosen.items()}
        change, saturated = _rounding(name, weights, precision)
        shape = variables["kernel"].shape
        status = "skipped" if skipped else "copied"
        rows.append(WarmStartRow(name, tuple(shape), status, change, saturated))
    return weights, tuple(rows)


def _require_shapes(
    name: str, source: dict[str, np.ndarray], target: dict[str, np.ndarray]
) -> None:
    ours = {k: v.shape for k, v in target.items()}
    theirs = {k: v.shape for k, v in source.items()}
    if ours != theirs:
        msg = f"warm start: layer '{name}' has shapes {theirs} in the source, {ours} in the target"
        raise GuaranteeError(msg)


def _rounding(name: str, weights: Weights, precision: Precision | None) -> tuple[float, float]:
    if precision is None:
        return 0.0, 0.0
    grids = precision.weights(name)
    values = weights[name]
    change = max(float(np.max(np.abs(grids[k].quantize(v) - v))) for k, v in values.items())
    saturated = sum(int(grids[k].saturates(v).sum()) for k, v in values.items())
    return change, saturated / sum(v.size for v in values.values())
