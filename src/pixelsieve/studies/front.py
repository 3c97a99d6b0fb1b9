"""Exact size and merit of networks with learned bits, and the front of the best."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelsieve.errors import ConstantLogitError, GuaranteeError
from pixelsieve.evaluation.metrics import EFFICIENCY, rejection_at, roc_auc, tie_loss_at
from pixelsieve.features import FeatureTable
from pixelsieve.firmware.integer import IntegerNetwork, from_model
from pixelsieve.firmware.logic import traced
from pixelsieve.model_file import Model

__all__ = ["ExactPoint", "exact_point", "front", "merits"]


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
