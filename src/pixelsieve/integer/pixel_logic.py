"""The network and its features from ADC codes as alkaid's adder graph, and the LUTs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from pixelsieve.features import REGISTRY, Along, Feature, FeatureSet
from pixelsieve.integer.layers import IntegerInput
from pixelsieve.integer.logic import (
    alkaid,
    compiled,
    fused,
    logit_of,
    one_line,
    port_variables,
    quantized,
    traced,
)
from pixelsieve.integer.network import IntegerNetwork
from pixelsieve.integer.pixels import (
    PIXELS,
    Z_NEGATIVE,
    PixelFeatures,
    PixelNetwork,
    largest_code,
)
from pixelsieve.networks.fixed_point import FixedPoint, Quantizer

_LINES: tuple[Along, ...] = ("columns", "rows")


def traced_from_pixels(program: PixelNetwork) -> Any:
    """Return features and network as one `CombLogic`: ports in order, to the logit.

    Raise `ConfigError` as `logic.traced` does.
    """
    with one_line(program.name):
        ports = port_variables(program.inputs)
        logit = logit_of(program.network, feature_variables(program.logic, ports))
        return compiled(program.name, ports, [logit])


def feature_variables(
    logic: PixelFeatures, ports: Mapping[str, Sequence[Any]]
) -> dict[str, list[Any]]:
    """The network's inputs by feature from variables by port, as `PixelFeatures.codes`."""
    window = _Window(logic, ports[PIXELS])
    made = {}
    for one in logic.inputs:
        feature, top = REGISTRY[one.name], largest_code(one.grid) * one.grid.step
        if feature.logic == "wiring":
            values = list(ports[one.name])
            if logic.features.mirror_x and one.name == "z_global":
                values = [abs(v).min_of(top) for v in values]
        else:
            scale = 2.0 ** -logic.scale_bits(feature)
            grid = Quantizer.uniform(one.grid, 1)
            values = [quantized((s * scale).min_of(top), grid) for s in window.sums(feature)]
            if logic.reverses and feature.along in {"columns", "pixels"}:
                flag = ports[Z_NEGATIVE][0]
                lines = np.array(values, object).reshape(-1, logic.features.window[1])
                pairs = zip(lines[:, ::-1].ravel(), values, strict=True)
                values = [b if a is b else flag.msb_mux(a, b) for a, b in pairs]
        made[one.name] = values
    return made


class _Window:
    """Sums of one window's codes; what several features share is made once."""

    def __init__(self, logic: PixelFeatures, pixels: Sequence[Any]) -> None:
        self._trace = alkaid("trace")
        self._codes = np.array(list(pixels), object).reshape(logic.features.window)
        self._bits = logic.adc_bits
        self._made = {(f.logic, f.along) for f in (REGISTRY[i.name] for i in logic.inputs)}
        self._hits: Any = None
        self._lines: dict[tuple[str, Along], list[Any]] = {}

    def sums(self, feature: Feature) -> list[Any]:
        """The whole numbers of a feature, as `features.pixel_sums`."""
        logic = feature.logic
        if logic == "hit_columns" or logic == "hit_rows":  # noqa: PLR1714 (mypy narrows)
            hits = self.hits if logic == "hit_rows" else self.hits.T
            return [self._counted([_any(line) for line in hits])]
        assert logic in {"code_sum", "hit_count"}
        if feature.along == "pixels":
            return list((self._codes if logic == "code_sum" else self.hits).ravel())
        if feature.along is not None:
            return self._by_line(logic, feature.along)
        for along in _LINES:
            if (logic, along) in self._made:
                return [self._added(self._by_line(logic, along))]
        whole = self._codes if logic == "code_sum" else self.hits
        return [(self._added if logic == "code_sum" else self._counted)(whole.ravel())]

    @property
    def hits(self) -> Any:
        """1 where a code is above 0, (rows, columns)."""
        if self._hits is None:
            self._hits = np.empty_like(self._codes)
            for at, code in np.ndenumerate(self._codes):
                digits = range(self._bits)
                bits = [code.bits[i : i + 1] * 2.0 ** (i + 1 - self._bits) for i in digits]
                self._hits[at] = _any(bits)
        return self._hits

    def _by_line(self, logic: str, along: Along) -> list[Any]:
        if (logic, along) not in self._lines:
            whole = self._codes if logic == "code_sum" else self.hits
            add = self._added if logic == "code_sum" else self._counted
            lines = whole if along == "rows" else whole.T
            self._lines[logic, along] = [add(line) for line in lines]
        return self._lines[logic, along]

    def _added(self, values: Iterable[Any]) -> Any:
        return np.sum(self._trace.FVArray(np.array(list(values), object)))

    def _counted(self, bits: Iterable[Any]) -> Any:
        # A product with ones makes alkaid count six bits at a time by a table.
        array = np.array(list(bits), object)
        return (self._trace.FVArray(array) @ np.ones((len(array), 1)))[0]


def _any(bits: Iterable[Any]) -> Any:
    """Whether a bit is 1; a balanced tree, so that few levels of logic follow each other."""
    level = list(bits)
    while len(level) > 1:
        pairs = [a | b for a, b in zip(level[::2], level[1::2], strict=False)]
        level = pairs + level[2 * len(pairs) :]
    return level[0]


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

    None if there is nothing to make. Raises as `feature_cost` does.
    """
    inputs = tuple(
        IntegerInput(name, REGISTRY[name].size(features.window), input_grid)
        for name in features.names
    )
    width = sum(i.width for i in inputs)
    return _program(PixelFeatures(features, inputs, adc_bits), [True] * width)


def pixel_cost(network: IntegerNetwork, adc_bits: int) -> PixelCost:
    """Return the cost of a network from the pixels on, for an ADC of `adc_bits`.

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
