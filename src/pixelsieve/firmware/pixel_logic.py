"""From ADC codes to the network's inputs, and on to the logit, as alkaid's adder graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from pixelsieve.features import REGISTRY, Along, Feature
from pixelsieve.firmware.logic import (
    alkaid,
    compiled,
    logit_of,
    one_line,
    port_variables,
    quantized,
)
from pixelsieve.firmware.pixel_features import (
    PIXELS,
    Z_NEGATIVE,
    PixelFeatures,
    largest_code,
    scale_bits,
)
from pixelsieve.firmware.pixels import PixelNetwork
from pixelsieve.fixed_point import Quantizer

__all__ = ["feature_variables", "traced_from_pixels"]

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
            scale = 2.0 ** -scale_bits(feature, logic.adc_bits)
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
                self._hits[at] = _any([self._bit(code, i) for i in range(self._bits)])
        return self._hits

    def _bit(self, code: Any, i: int) -> Any:
        return code.bits[i : i + 1] * 2.0 ** (i + 1 - self._bits)

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
