"""Power-of-two scales by layer, fitted to a float network."""

from __future__ import annotations

from pixelsieve.fixed_point import best_integer_bits
from pixelsieve.precision import LayerScale, Precision
from pixelsieve.weights import Weights

__all__ = ["fit_scales"]


def fit_scales(weights: Weights, precision: Precision) -> Precision:
    """`precision` with the integer bits that fit kernel and bias of each layer best.

    Least squared error of the rounded float weights. A power-of-two scale is a shift, free in
    hardware.
    """
    bits = precision.weight_bits
    return precision.with_scales(
        tuple(
            LayerScale(
                layer,
                best_integer_bits(variables["kernel"], signed=True, bits=bits),
                best_integer_bits(variables["bias"], signed=True, bits=bits),
            )
            for layer, variables in weights.items()
        )
    )
