"""What a search wants: more of a figure of merit, at less cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from pixelsieve.metrics.metrics import EFFICIENCY, LARGEST_TIE_LOSS
from pixelsieve.metrics.pareto import hypervolume, on_front

__all__ = ["COSTS", "Cost", "Goal", "Measured"]


Cost = Literal["luts", "ebops", "levels"]
"""What may be made small: LUTs by alkaid's estimate, effective bit operations, levels of adders."""

COSTS: tuple[Cost, ...] = get_args(Cost)

_COST_RANGE = (1.0, 2.0**20)
_CHANCE = {"accuracy": 0.5, "auc": 0.5}


@dataclass(frozen=True, slots=True)
class Measured:
    """A quantized network on the validation split, by the logits of its integer program.

    `luts`, `levels` and `ebops` as `LogicCost` has them; `differing` clusters have another logit
    in Keras or in alkaid's program; `tie_loss_NN` is what ties cost of `rejection_NN`.
    """

    accuracy: float
    auc: float
    rejection_90: float
    rejection_95: float
    rejection_98: float
    rejection_99: float
    luts: float
    levels: float
    ebops: int
    differing: int
    tie_loss_90: float = 0.0
    tie_loss_95: float = 0.0
    tie_loss_98: float = 0.0
    tie_loss_99: float = 0.0

    def __getitem__(self, name: str) -> float:
        return float(getattr(self, name))


@dataclass(frozen=True, slots=True)
class Goal:
    """The two objectives: more of `metric` on validation, less of `cost`.

    Trials stop early where an earlier one was better by `margin` at no more cost, both after the
    first, short training. `budget` is the largest cost of interest.
    """

    metric: str
    cost: Cost
    margin: float
    budget: float | None

    def point(self, measured: Measured) -> tuple[float, float]:
        """Quality and cost; a network of no cost at all counts as one of cost 1."""
        return measured[self.metric], max(measured[self.cost], 1.0)

    def merit(self, measured: Measured) -> float:
        """Quality, less what ties cost of the rejection where that is more than 0.01.

        For the choice among networks of one training: one with coarse logits has a rejection that
        other clusters may not bear out, which AUC and accuracy do not tell.
        """
        share = self.metric.removeprefix("rejection_")
        loss = measured[f"tie_loss_{share if share.isdigit() else f'{100 * EFFICIENCY:.0f}'}"]
        return measured[self.metric] - (loss if loss > LARGEST_TIE_LOSS else 0.0)

    def volume(self, networks: Sequence[Measured]) -> float:
        """Hypervolume of their front, 0 to 1.

        The box reaches from chance to a quality of 1 and from a cost of 1 to about a million.
        """
        points = np.array([self.point(one) for one in networks]).reshape(-1, 2)
        worst = _CHANCE.get(self.metric, 0.0)
        return hypervolume(points[:, 0], points[:, 1], (worst, 1.0), _COST_RANGE)

    def front(self, networks: Sequence[Measured]) -> list[int]:
        """Which of them no other dominates, by rising cost."""
        points = np.array([self.point(one) for one in networks]).reshape(-1, 2)
        best = np.flatnonzero(on_front(points[:, 0], points[:, 1]))
        return sorted((int(i) for i in best), key=lambda i: (points[i, 1], i))
