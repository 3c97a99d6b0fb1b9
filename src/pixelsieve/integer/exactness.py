"""The gate of every table: Keras = integers = alkaid's program; size and merit from there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelsieve.core.errors import ConstantLogitError, GuaranteeError
from pixelsieve.features import FeatureTable
from pixelsieve.integer.layers import IntegerInput, IntegerPool, in_patches
from pixelsieve.integer.logic import fused, traced
from pixelsieve.integer.network import IntegerNetwork, from_model
from pixelsieve.metrics.metrics import EFFICIENCY, rejection_at, roc_auc, tie_loss_at
from pixelsieve.networks.model_file import Model

__all__ = [
    "ExactPoint",
    "Exactness",
    "LogicCost",
    "check_exactness",
    "ebops",
    "exact_point",
    "front",
    "merits",
]


@dataclass(frozen=True, slots=True)
class LogicCost:
    """What a network costs as combinational logic.

    `luts` is alkaid's estimate for the program that Verilog is written of (`logic.fused`), as in
    `resources.Resources`, `levels` (adders on the longest path) that of the traced one; `ebops`
    are effective bit operations (see `ebops`).
    """

    luts: float
    levels: float
    ebops: int


@dataclass(frozen=True, slots=True)
class Exactness:
    """Of how many clusters the logits of Keras and of alkaid's program differ from the integers'.

    `logits` (n,) are the integers' codes.
    """

    logits: NDArray[np.int64]
    keras: int
    alkaid: int
    cost: LogicCost

    @property
    def passed(self) -> bool:
        """Whether all three agree on every cluster."""
        return self.keras == self.alkaid == 0


def check_exactness(model: Model, table: FeatureTable) -> Exactness:
    """Run a quantized model's three forms on the clusters of `table`.

    Alkaid's is the program that Verilog is written of; `verify` simulates that too. Raises
    `ConfigError` for a float model and for one whose logit is the same for every input.
    """
    network = from_model(model)
    program = traced(network)
    codes = network.input_codes(table)
    values = network.input_values(codes)
    logits = network.run(codes)
    scale = 2.0**network.logit_fraction_bits
    keras = np.asarray(model.logits(values), np.float64) * scale
    inputs = np.concatenate([values.inputs[i.name] for i in network.inputs], axis=1)
    levels = _levels(program)
    lean = fused(program)
    alkaid = lean.predict(inputs.astype(np.float64))[:, 0] * scale
    return Exactness(
        logits,
        int((keras != logits).sum()),
        int((alkaid != logits).sum()),
        LogicCost(float(lean.cost), levels, ebops(network)),
    )


def _levels(program: Any) -> float:
    return float(program.latency[1])


def ebops(network: IntegerNetwork) -> int:
    """Effective bit operations: bits of the weight times bits of the input, over all products.

    A weight has the digits between its first and its last one, an input those of its grid, with
    the sign (after Sun et al., arXiv:2405.00645).
    """
    bits = {i.name: np.asarray(_input_bits(i)) for i in network.inputs}
    total = 0
    for layer in network.layers:
        sources = np.concatenate([bits[s] for s in layer.inputs])
        if isinstance(layer, IntegerPool):
            bits[layer.name] = layer.largest(sources)
            continue
        taken = sources if layer.patches is None else in_patches(sources, layer.patches)
        total += int((taken @ _digits(layer.kernel)).sum())
        if layer.activation is not None:
            bits[layer.name] = np.tile(layer.activation.bits, layer.width // len(layer.bias))
    return total


def _input_bits(one: IntegerInput) -> tuple[int, ...]:
    return (one.grid.bits,) * one.width if one.quantizer is None else one.quantizer.bits


def _digits(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    size = np.abs(codes)
    odd = size // np.maximum(size & -size, 1)
    return np.asarray(np.ceil(np.log2(odd + 1)), np.int64)


@dataclass(frozen=True, slots=True)
class ExactPoint:
    """A network's size, and its merits on the validation set, all from its integers.

    `traced_luts` are alkaid's estimate of the traced program (`firmware.logic.traced`), by which a
    front is quickly found; those of a table are of `firmware.logic.fused`, about a fifth less.
    `levels` is its longest path in adders.
    """

    model: Model
    traced_luts: float
    levels: float
    auc: float
    rejection: float
    tie_loss: float


def merits(scores: NDArray[Any], labels: NDArray[Any]) -> dict[str, float]:
    """`auc`, `rejection` of BIB at `EFFICIENCY`, and `tie_loss`, what ties cost of that."""
    return {
        "auc": roc_auc(scores, labels),
        "rejection": rejection_at(scores, labels, EFFICIENCY)[0],
        "tie_loss": tie_loss_at(scores, labels, EFFICIENCY),
    }


def exact_point(model: Model, validation: FeatureTable) -> ExactPoint | None:
    """Size and merits of a quantized model; None where its logit is the same for every input.

    Integers and alkaid's program must agree on every row of `validation`. Raises
    `GuaranteeError` where they do not.
    """
    network = from_model(model, "network")
    codes = network.input_codes(validation)
    logits = network.run(codes)
    try:
        program = traced(network)
    except ConstantLogitError:
        return None
    differing = int((_of_program(network, program, codes) != logits).sum())
    if differing:
        msg = (
            f"{model.origin}: alkaid's program and the integers differ in {differing} of "
            f"{len(logits)} clusters; the network cannot be built with this alkaid"
        )
        raise GuaranteeError(msg)
    found = merits(logits, validation.labels)
    return ExactPoint(model, float(program.cost), float(program.latency[1]), **found)


def _of_program(
    network: IntegerNetwork, program: Any, codes: dict[str, NDArray[np.int64]]
) -> NDArray[np.float64]:
    inputs = np.concatenate([codes[i.name] * i.grid.step for i in network.inputs], axis=1)
    got = program.predict(inputs.astype(np.float64), n_threads=1).ravel()
    return np.asarray(got * 2.0**network.logit_fraction_bits)


def front(points: Iterable[ExactPoint], merit: Callable[[ExactPoint], float]) -> list[ExactPoint]:
    """Those that no smaller one equals or beats in `merit`, smallest first."""
    best: list[ExactPoint] = []
    for point in sorted(points, key=lambda p: (p.traced_luts, -merit(p))):
        if not best or merit(point) > merit(best[-1]):
            best.append(point)
    return best
