"""Bits of weights, activations and inputs, uniform or learned, and their HGQ2 quantizers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING, Literal

from pixelsieve.core.config import Document, from_mapping
from pixelsieve.core.errors import ConfigError
from pixelsieve.display.shown import ShowsFields, changes, one_line
from pixelsieve.networks.fixed_point import FixedPoint, Overflow, Quantizer, Rounding

if TYPE_CHECKING:
    from hgq.config import QuantizerConfig

SMALLEST_BITS = 2
LARGEST_BITS = 16

_LEARNED = "learned:"


@dataclass(frozen=True, slots=True)
class LayerScale:
    """Integer bits of one layer's weights: power-of-two scales, free shifts in hardware."""

    layer: str
    kernel_integer_bits: int
    bias_integer_bits: int


@dataclass(frozen=True, slots=True)
class Precision(ShowsFields):
    """Uniform bits for a whole network.

    Weights and biases are `fixed<weight_bits>` with `weight_integer_bits` besides the sign
    (QKeras `quantized_bits(weight_bits, weight_integer_bits, alpha=1)`), hidden activations
    unsigned with `activation_bits` (`quantized_relu(activation_bits, 0)`), inputs signed with
    `input_bits` in [-1, 1). The output logit is the exact sum, not rounded. `scales` overrides the
    integer bits layer by layer. Raises `ConfigError` for bits outside 2 to 16.

    Examples
    --------
    >>> ps.Uniform(4)
    Uniform(4 bits...)
    """

    weight_bits: int
    weight_integer_bits: int = 0
    activation_bits: int = 8
    input_bits: int = 8
    scales: tuple[LayerScale, ...] = ()

    def __repr__(self) -> str:
        own = [f"scales of {len(self.scales)} layers"] if self.scales else []
        more = changes(self, "weight_bits", "scales")
        return one_line("Uniform", f"{self.weight_bits} bits", *more, *own)

    def __post_init__(self) -> None:
        for name in ("weight_bits", "activation_bits", "input_bits"):
            bits = getattr(self, name)
            if not SMALLEST_BITS <= bits <= LARGEST_BITS:
                msg = f"{name} is {bits}; expected {SMALLEST_BITS} to {LARGEST_BITS}"
                raise ConfigError(msg)
        several = [self.weight_integer_bits]
        several += [n for s in self.scales for n in (s.kernel_integer_bits, s.bias_integer_bits)]
        for integer_bits in several:
            FixedPoint(signed=True, bits=self.weight_bits, integer_bits=integer_bits)  # may raise

    def weights(self, layer: str) -> Mapping[str, FixedPoint]:
        """Grids of the layer's variables by name."""
        own = next((s for s in self.scales if s.layer == layer), None)
        kernel = own.kernel_integer_bits if own else self.weight_integer_bits
        bias = own.bias_integer_bits if own else self.weight_integer_bits
        return {
            name: FixedPoint(signed=True, bits=self.weight_bits, integer_bits=integer)
            for name, integer in (("kernel", kernel), ("bias", bias))
        }

    def activation(self) -> FixedPoint:
        """Grid of the hidden activations, after relu."""
        return FixedPoint(signed=False, bits=self.activation_bits)

    def input(self) -> FixedPoint:
        """Grid of the network's inputs."""
        return FixedPoint(signed=True, bits=self.input_bits)

    def without_bits(self) -> Precision:
        """The same for all uniform bits: networks that differ in bits alone are one program."""
        return Precision(8)


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


@dataclass(frozen=True, slots=True)
class NamedQuantizer:
    """The quantizer of a feature or of a layer's activations."""

    name: str
    quantizer: Quantizer


@dataclass(frozen=True, slots=True)
class MixedPrecision:
    """Bits of every single value of a network, as training found them (`LearnedPrecision`).

    Features are rounded to `input_bits` in [-1, 1) as with `Precision`; of these codes `inputs`
    takes its own bits of each element. `activations` are by layer, after relu. Weights have no
    entry: those of such a model are exact as they stand, each with the bits that it needs. The
    output logit is the exact sum.
    """

    inputs: tuple[NamedQuantizer, ...]
    activations: tuple[NamedQuantizer, ...]
    input_bits: int = 8

    def input(self) -> FixedPoint:
        """Grid of the network's inputs before each element takes its own bits."""
        return FixedPoint(signed=True, bits=self.input_bits)

    def quantizer(self, name: str) -> Quantizer:
        """That of a feature or layer. Raises `ConfigError` where there is none."""
        for one in (*self.inputs, *self.activations):
            if one.name == name:
                return one.quantizer
        msg = f"mixed precision: no quantizer for '{name}'"
        raise ConfigError(msg)

    def without_bits(self) -> MixedPrecision:
        """The same with no bits anywhere; equal for networks that differ in bits alone."""
        inputs, activations = (
            tuple(replace(one, quantizer=one.quantizer.without_bits()) for one in named)
            for named in (self.inputs, self.activations)
        )
        return replace(self, inputs=inputs, activations=activations)


def element_config(
    rounding: Rounding, overflow: Overflow, place: Literal["weight", "datalane"]
) -> QuantizerConfig:
    """An HGQ2 quantizer with fixed bits for each element, all zero (set them after building)."""
    from hgq.config import QuantizerConfig

    return QuantizerConfig(
        "kif",
        place,
        k0=0,
        i0=0,
        f0=0,
        round_mode=rounding,
        overflow_mode=overflow,
        trainable=False,
        ic=None,
        fc=None,
        homogeneous_axis=() if place == "weight" else (0,),
        heterogeneous_axis=None,
    )


@dataclass(frozen=True, slots=True)
class LearnedPrecision(ShowsFields):
    """Bits of every weight, activation and input are trained, under a budget.

    The cost is that of `cost`: `ebops` (sum over the products of weight bits x input bits, Sun et
    al. 2024, HGQ) or `adders` (nonzero signed digits of the weight x input bits + 1, closer to
    what adders cost). From `hold` of the steps on it is led down to `budget_ebops`, evenly in its
    logarithm, by a pressure that follows its distance from that path. Weights and activations
    start with `start_bits` behind the binary point, inputs with all of `input_bits`. Weights are
    rounded half up, activations and inputs by `rounding`; ranges are those of the training set,
    beyond them `overflow` decides. Raises `ConfigError` for values out of range.

    Examples
    --------
    >>> ps.Learned(300).label
    'learned:300'
    """

    budget_ebops: float
    cost: Literal["ebops", "adders"] = "adders"
    hold: float = 0.1
    start_bits: int = 6
    input_bits: int = 8
    rounding: Rounding = "TRN"
    overflow: Overflow = "WRAP"

    def __repr__(self) -> str:
        budget = f"down to {_exact(self.budget_ebops)} EBOPs"
        return one_line("Learned", budget, *changes(self, "budget_ebops"))

    def __post_init__(self) -> None:
        bits = f"{SMALLEST_BITS} to {LARGEST_BITS}"
        rules = (
            ("budget_ebops", 0 < self.budget_ebops < inf, "above 0, finite"),
            ("hold", 0 <= self.hold < 1, "from 0, below 1"),
            ("start_bits", 1 <= self.start_bits <= LARGEST_BITS, f"1 to {LARGEST_BITS}"),
            ("input_bits", SMALLEST_BITS <= self.input_bits <= LARGEST_BITS, bits),
        )
        for name, holds, expected in rules:
            if not holds:
                msg = f"learned precision: {name} is {getattr(self, name)!r}; expected {expected}"
                raise ConfigError(msg)

    def input(self) -> FixedPoint:
        """Grid of the network's inputs before each element takes its own bits."""
        return FixedPoint(signed=True, bits=self.input_bits)

    @property
    def label(self) -> str:
        """E.g. `learned:300`: how it is asked for and what tables call it."""
        return f"{_LEARNED}{_exact(self.budget_ebops)}"

    def without_budget(self) -> LearnedPrecision:
        """The same with no say about the schedule; equal for trainings of one compiled program."""
        return replace(self, budget_ebops=1.0, hold=0.0)


def read_precision(plain: object, where: str) -> Precision | LearnedPrecision:
    """Return the bits that plain data describe; raise `ConfigError` naming `where` if invalid."""
    if isinstance(plain, Mapping) and "budget_ebops" in plain:
        return from_mapping(LearnedPrecision, plain, where)
    return from_mapping(Precision, plain, where)


def parse_bits(text: str) -> int | LearnedPrecision:
    """Return what `4` (bits of a weight) or `learned:300` (EBOPs to end with) asks for.

    Raise `ConfigError` for anything else; EBOPs are whole numbers, since models are named after
    them.
    """
    number = text.strip().removeprefix(_LEARNED)
    try:
        if number == text.strip():
            return Precision(int(number)).weight_bits
        return LearnedPrecision(float(int(number)))
    except ValueError as error:
        msg = f"{text!r}; expected bits such as 4, or learned:300 (EBOPs to end with)"
        raise ConfigError(msg) from error


def _exact(budget: float) -> str:
    """No two budgets look alike."""
    return str(int(budget)) if budget == int(budget) else repr(budget)


def bits_label(precision: Document | None) -> int | str | None:
    """Return what the table of a run calls a precision, given as plain data.

    The bits of a weight, `learned:300`, or None for float.
    """
    if not precision:
        return None
    if (budget := precision.get("budget_ebops")) is not None:
        return f"{_LEARNED}{_exact(budget)}"
    bits = precision.get("weight_bits")
    return None if bits is None else int(bits)


def bits_order(bits: int | str | None) -> tuple[int, float]:
    """Sort float first, then uniform bits by number, then learned ones."""
    if isinstance(bits, str):
        return 2, float(bits.removeprefix(_LEARNED))
    return (0, 0) if bits is None else (1, bits)


def bits_of(precision: int | Precision | LearnedPrecision | None) -> int | str | None:
    """Return a precision as tables show it: bits of a weight, `learned:300`, None for float."""
    if isinstance(precision, LearnedPrecision):
        return precision.label
    return precision.weight_bits if isinstance(precision, Precision) else precision


def bits_text(bits: int | str | None) -> str:
    """E.g. `float`, `4 bits`, `learned:300`."""
    return "float" if bits is None else bits if isinstance(bits, str) else f"{bits} bits"


def bits_suffix(bits: int | str) -> str:
    """Return the part of a model's name for its bits: `4b`, `300ebops`."""
    return f"{bits.removeprefix(_LEARNED)}ebops" if isinstance(bits, str) else f"{bits}b"
