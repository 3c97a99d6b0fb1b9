"""LUTs of a network counted from the pixels: its features, itself, and both as one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pixelsieve.features import REGISTRY, FeatureSet
from pixelsieve.firmware.integer import IntegerNetwork
from pixelsieve.firmware.integer_layer import IntegerInput
from pixelsieve.firmware.logic import compiled, fused, port_variables, traced
from pixelsieve.firmware.pixel_features import PixelFeatures
from pixelsieve.firmware.pixel_logic import feature_variables, traced_from_pixels
from pixelsieve.firmware.pixels import PixelNetwork
from pixelsieve.fixed_point import FixedPoint

__all__ = ["PixelCost", "feature_cost", "feature_program", "pixel_cost"]

_INPUT = -1
"""alkaid's operation code of an input."""


@dataclass(frozen=True, slots=True)
class PixelCost:
    """alkaid's estimates of LUTs.

    `features` makes those elements of the inputs that the network uses, `network` starts from
    these, `whole` is both traced as one, which drops what rounding makes superfluous.
    """

    features: float
    network: float
    whole: float


@lru_cache(maxsize=256)
def feature_cost(features: FeatureSet, adc_bits: int, input_grid: FixedPoint) -> float:
    """LUTs (alkaid's estimate) that make all elements of the features out of ADC codes.

    Position and time are wiring and cost nothing, but for |z| where `mirror_x` is set. Raises
    `ConfigError` for a feature that no logic makes, naming the one to use instead.
    """
    program = feature_program(features, adc_bits, input_grid)
    return 0.0 if program is None else float(program.cost)


def feature_program(features: FeatureSet, adc_bits: int, input_grid: FixedPoint) -> Any | None:
    """Alkaid's program, as Verilog is written of it, that makes the features alone.

    None where there is nothing to make. Raises as `feature_cost` does.
    """
    inputs = tuple(
        IntegerInput(name, REGISTRY[name].size(features.window), input_grid)
        for name in features.names
    )
    width = sum(i.width for i in inputs)
    return _program(PixelFeatures(features, inputs, adc_bits), [True] * width)


def pixel_cost(network: IntegerNetwork, adc_bits: int) -> PixelCost:
    """What a network costs from the pixels on, for an ADC of `adc_bits`.

    Raises `ConfigError` as `PixelNetwork` and `logic.traced` do.
    """
    program = PixelNetwork(network, adc_bits)
    alone = traced(network)
    features = _program(program.logic, _used_elements(alone, network.inputs))
    return PixelCost(
        0.0 if features is None else float(features.cost),
        float(fused(alone).cost),
        float(fused(traced_from_pixels(program)).cost),
    )


def _used_elements(program: Any, inputs: tuple[IntegerInput, ...]) -> list[bool]:
    """Which elements of the inputs, in order, a traced network looks at."""
    used = [False] * sum(i.width for i in inputs)
    counts = program.ref_count
    for at, op in enumerate(program.ops):
        if op.opcode == _INPUT:
            used[op.data[0]] = bool(counts[at])
    return used


def _program(logic: PixelFeatures, used: list[bool]) -> Any | None:
    ports = port_variables(logic.ports)
    made = feature_variables(logic, ports)
    values = [v for one in logic.inputs for v in made[one.name]]
    plain = {v.id for port in ports.values() for v in port}
    outputs = [
        v
        for v, is_used in zip(values, used, strict=True)
        if is_used and v.id not in plain and v.low != v.high
    ]
    return fused(compiled("features", ports, outputs)) if outputs else None
