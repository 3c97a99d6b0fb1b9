"""`Precision`: bits of weights, activations and inputs, and their HGQ2 quantizers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from pixelsieve.errors import ConfigError
from pixelsieve.fixed_point import FixedPoint

if TYPE_CHECKING:
    from hgq.config import QuantizerConfig

__all__ = ["LayerScale", "Precision", "quantizer_config"]

_SMALLEST_BITS = 2
_LARGEST_BITS = 16


@dataclass(frozen=True, slots=True)
class LayerScale:
    """Integer bits of one layer's weights: power-of-two scales, free shifts in hardware."""

    layer: str
    kernel_integer_bits: int
    bias_integer_bits: int


@dataclass(frozen=True, slots=True)
class Precision:
    """Uniform bits for a whole network.

    Weights and biases are `fixed<weight_bits>` with `weight_integer_bits` besides the sign
    (QKeras `quantized_bits(weight_bits, weight_integer_bits, alpha=1)`), hidden activations
    unsigned with `activation_bits` (`quantized_relu(activation_bits, 0)`), inputs signed with
    `input_bits` in [-1, 1). The output logit is the exact sum, not rounded. `scales` overrides the
    integer bits layer by layer. Raises `ConfigError` for bits outside 2 to 16.
    """

    weight_bits: int
    weight_integer_bits: int = 0
    activation_bits: int = 8
    input_bits: int = 8
    scales: tuple[LayerScale, ...] = ()

    def __post_init__(self) -> None:
        for name in ("weight_bits", "activation_bits", "input_bits"):
            bits = getattr(self, name)
            if not _SMALLEST_BITS <= bits <= _LARGEST_BITS:
                msg = f"{name} is {bits}; expected {_SMALLEST_BITS} to {_LARGEST_BITS}"
                raise ConfigError(msg)

    def _scale(self, layer: str) -> LayerScale | None:
        return next((s for s in self.scales if s.layer == layer), None)

    def kernel(self, layer: str) -> FixedPoint:
        """Grid of the layer's kernel."""
        scale = self._scale(layer)
        integer = scale.kernel_integer_bits if scale else self.weight_integer_bits
        return FixedPoint(signed=True, bits=self.weight_bits, integer_bits=integer)

    def bias(self, layer: str) -> FixedPoint:
        """Grid of the layer's bias."""
        scale = self._scale(layer)
        integer = scale.bias_integer_bits if scale else self.weight_integer_bits
        return FixedPoint(signed=True, bits=self.weight_bits, integer_bits=integer)

    def weights(self, layer: str) -> Mapping[str, FixedPoint]:
        """Grids of the layer's variables by name."""
        return {"kernel": self.kernel(layer), "bias": self.bias(layer)}

    def activation(self) -> FixedPoint:
        """Grid of the hidden activations, after relu."""
        return FixedPoint(signed=False, bits=self.activation_bits)

    def input(self) -> FixedPoint:
        """Grid of the network's inputs."""
        return FixedPoint(signed=True, bits=self.input_bits)

    def with_scales(self, scales: tuple[LayerScale, ...]) -> Precision:
        """The same bits with integer bits by layer."""
        return replace(self, scales=scales)


def quantizer_config(
    grid: FixedPoint, place: Literal["weight", "bias", "datalane"]
) -> QuantizerConfig:
    """The HGQ2 quantizer with exactly the values of `grid` (golden test: `qkeras_grid.csv`)."""
    from hgq.config import QuantizerConfig

    return QuantizerConfig(
        "kbi",
        place,
        k0=int(grid.signed),
        b0=grid.bits - grid.signed,
        i0=grid.integer_bits,
        round_mode="RND_CONV",
        overflow_mode="SAT",
        trainable=False,
        bc=None,
        ic=None,
        homogeneous_axis=None,
        heterogeneous_axis=(),
    )
