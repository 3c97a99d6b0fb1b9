"""The threshold of the keep bit, from the validation split."""

from __future__ import annotations

from dataclasses import dataclass

from pixelsieve.core.errors import ConfigError
from pixelsieve.data.clusters import Clusters
from pixelsieve.integer.network import IntegerNetwork
from pixelsieve.metrics.metrics import EFFICIENCY, rejection_at, tie_loss_at

__all__ = ["Chosen", "choose_threshold"]


@dataclass(frozen=True, slots=True)
class Chosen:
    """A threshold code, and what it does on the split that it was chosen on.

    `validation_tie_loss` is the rejection that ties at the code cost (`metrics.tie_loss_at`).
    """

    code: int
    efficiency: float
    validation_efficiency: float
    validation_rejection: float
    validation_tie_loss: float


def choose_threshold(
    network: IntegerNetwork, validation: Clusters, efficiency: float = EFFICIENCY
) -> Chosen:
    """The largest code that keeps at least `efficiency` of the signal; equal codes are all kept.

    Raises `DataError` for a split without both classes.
    """
    if not 0 < efficiency <= 1:
        msg = f"--efficiency is {efficiency:g}; expected a share above 0, at most 1"
        raise ConfigError(msg)
    validation.require_both_classes()
    logits = network.run(network.input_codes(network.features.table(validation)))
    rejection, achieved, code = rejection_at(logits, validation.signal, efficiency)
    lost = tie_loss_at(logits, validation.signal, efficiency)
    return Chosen(int(code), efficiency, achieved, rejection, lost)
