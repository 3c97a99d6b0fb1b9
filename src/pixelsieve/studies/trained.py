"""Clusters as a saved model saw them in training."""

from __future__ import annotations

from pixelsieve.config import differences, from_mapping
from pixelsieve.detector import Detector
from pixelsieve.formats.dataset import Parts
from pixelsieve.front_end import FrontEnd, through_front_end
from pixelsieve.model_file import Model

__all__ = ["as_trained", "constants_that_differ", "front_end_of"]


def front_end_of(model: Model) -> FrontEnd | None:
    """The front end that the model was trained with; None for none."""
    trained = model.card.get("front_end")
    return None if trained is None else from_mapping(FrontEnd, trained, f"{model.origin}: front")


def as_trained(model: Model, parts: Parts) -> Parts:
    """The clusters as that front end reads them out."""
    return through_front_end(front_end_of(model), parts)


def constants_that_differ(model: Model, detector: Detector) -> list[str]:
    """Constants of the detector that the training's had not; empty for models that name none."""
    trained = model.card.get("detector")
    found = differences(detector, trained) if trained else {}
    return [f"{key} {now} (in training {then})" for key, (now, then) in found.items()]
