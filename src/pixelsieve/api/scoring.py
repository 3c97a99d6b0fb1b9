"""Score a model on clusters, with uncertainties."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from pixelsieve.api.arguments import (
    Place,
    front_end_of,
    model_of,
    public,
    require_efficiency,
    warn,
    warn_of_assumed_scaling,
)
from pixelsieve.api.data import dataset_of
from pixelsieve.core.config import Document, to_plain
from pixelsieve.core.errors import ConfigError
from pixelsieve.data.clusters import Clusters
from pixelsieve.display import axes
from pixelsieve.display.shown import HasRows, Shown, ShowsTable, one_line
from pixelsieve.display.spec import Axis, Chart, Point, Series, Table
from pixelsieve.formats.dataset import Dataset
from pixelsieve.front_end import FrontEnd
from pixelsieve.metrics.metrics import RocCurve, rejection_at, roc_curve
from pixelsieve.metrics.statistics import Interval, Metrics, PairedInterval, paired_bootstrap
from pixelsieve.networks.model_file import Model
from pixelsieve.reporting.tables import (
    data_rate_table,
    paired_scores_table,
    read_out_table,
    scores_table,
    slices_table,
)
from pixelsieve.studies.evaluate import Evaluation, evaluate_model, occupancy_of, only

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes

_DRAWN = np.linspace(0.5, 1.0, 201)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Scores(ShowsTable, HasRows):
    """Logits (n,) of one model on labelled clusters, and what follows from them.

    `evaluation` holds the figures that `pixelsieve evaluate` prints, data rate and slices among
    them; `figures` are the figures of merit by name, `intervals` their 68 % intervals from
    resampling whole particles.

    Examples
    --------
    >>> scores = ps.evaluate(model, data)
    >>> 0 <= scores.rejection(0.98) <= scores.rejection(0.90) <= 1
    True
    >>> ax = scores.plot_roc()
    """

    name: str
    evaluation: Evaluation
    logits: NDArray[np.float32]
    labels: NDArray[Any]
    groups: NDArray[np.uint64]

    @property
    def figures(self) -> Metrics:
        """Figures of merit, by attribute or by name."""
        return self.evaluation.figures

    @property
    def intervals(self) -> dict[str, Interval]:
        """Central 68 % intervals of the figures of merit."""
        return self.evaluation.bootstrap_68

    @property
    def auc(self) -> float:
        """Area under the ROC curve."""
        return self.figures.auc

    def rejection(self, efficiency: float = 0.98) -> float:
        """Return the fraction of the BIB that is dropped if so much of the signal is kept."""
        require_efficiency(efficiency)
        return rejection_at(self.logits, self.labels, efficiency)[0]

    def roc(self) -> RocCurve:
        """Return the ROC curve, one point per distinct logit."""
        return roc_curve(self.logits, self.labels)

    def paired(self, other: Scores) -> Paired:
        """Return by how much this model is better than another on the same clusters.

        Whole particles are resampled, the same for both. Raise `ConfigError` if the clusters are
        not the same.
        """
        same = len(self.labels) == len(other.labels) and bool((self.groups == other.groups).all())
        if not same or (self.labels != other.labels).any():
            msg = f"paired: {self.name} and {other.name} were scored on other clusters"
            raise ConfigError(msg)
        found = paired_bootstrap(self.logits, other.logits, self.labels, self.groups)
        return Paired(self.name, other.name, found)

    def to_arrow(self) -> pa.Table:
        """Return logit, signal and particle group of each cluster."""
        import pyarrow as pa

        return pa.table({"logit": self.logits, "signal": self.labels, "group": self.groups})

    def plot_roc(self, ax: Axes | None = None) -> Axes:
        """Draw the fraction of the BIB that is kept against signal efficiency, from 0.5 on."""
        roc = self.roc()
        kept = roc.bib_kept[np.searchsorted(roc.signal_efficiency, _DRAWN)]
        points = tuple(Point(float(x), float(y)) for x, y in zip(_DRAWN, kept, strict=True))
        chart = Chart(
            Axis("signal efficiency", low=0.5, high=1.0),
            Axis("fraction of BIB clusters kept", "log", high=1.0),
            (Series(self.name, 0, "line", points),),
        )
        return axes.draw(chart, ax)

    def table(self) -> Shown:
        """Return the figures of merit with their intervals."""
        one = self.evaluation
        how = "every cluster" if one.split == "all" else f"{one.split} split, by {one.split_by}"
        title = f"{self.name} on {len(self.labels)} clusters ({how})"
        return Shown(scores_table(title, self.figures, self.intervals))

    def parts(self) -> list[Table | str]:
        """Return the tables and lines that the command line prints."""
        one = self.evaluation
        return [
            *([read_out_table(one.front_end)] if one.front_end else []),
            self.table().table,
            data_rate_table(one.data_rate, one.occupancy),
            slices_table(one.slices),
        ]

    def to_plain(self) -> Document:
        """Return what `pixelsieve evaluate --json` prints."""
        plain: Document = to_plain(self.evaluation)
        return plain

    def __repr__(self) -> str:
        low, high = self.intervals["auc"].low, self.intervals["auc"].high
        return one_line(
            "Scores",
            f"AUC {self.auc:.4f} ({low:.4f} to {high:.4f})",
            f"rejection {self.rejection():.4f} at 98 %",
            f"{len(self.labels)} clusters ({self.evaluation.split})",
            self.name,
        )


@dataclass(frozen=True, slots=True, repr=False)
class Paired(ShowsTable):
    """Figures of merit of `first` minus those of `second`, on the same clusters.

    Examples
    --------
    >>> better = ps.evaluate(model, data).paired(ps.evaluate(front.at_budget, data))
    >>> better["auc"].low <= better["auc"].difference <= better["auc"].high
    True
    """

    first: str
    second: str
    differences: dict[str, PairedInterval]

    def __getitem__(self, name: str) -> PairedInterval:
        return self.differences[name]

    def table(self) -> Shown:
        """Return the differences with their intervals."""
        title = f"{self.first} minus {self.second}, 68 % intervals"
        return Shown(paired_scores_table(title, self.differences))

    def __repr__(self) -> str:
        auc, rejection = self["auc"], self["rejection_98"]
        return one_line(
            "Paired",
            f"AUC {auc.difference:+.4f} ({auc.low:+.4f} to {auc.high:+.4f})",
            f"rejection {rejection.difference:+.4f} at 98 %",
            f"{self.first} minus {self.second}",
        )


@public
def evaluate(
    model: Model | Place,
    data: Dataset | Clusters | Place,
    split: Literal["train", "validation", "test", "all"] = "test",
    *,
    front_end: FrontEnd | Place | Literal["model"] | None = "model",
    hit_density: float | None = None,
    bits_per_pixel: float | None = None,
) -> Scores:
    """Score a model on one split of the data, through the front end that it was trained with.

    `front_end` is another one, or None for the collected charge. `Clusters` are taken as they are,
    such as `data.test` of data behind a front end. `hit_density` (BIB clusters per cm^2 and
    crossing) and `bits_per_pixel` stand in place of the detector's preset. Raise `DataError` if
    the split is not there or lacks a class.

    Examples
    --------
    >>> ps.evaluate(model, data)
    Scores(AUC ...; rejection ... at 98 %; 238 clusters (test); sieve_4b_seed0)
    """
    model = model_of(model)
    warn_of_assumed_scaling(model)
    if not isinstance(data, Clusters):
        data = dataset_of(data)
        chosen = model.card.front_end if front_end == "model" else front_end_of(front_end)
        part = only(data.as_collected(), split).through(chosen)
    else:
        part = Dataset.of({"clusters": data})
    occupancy = occupancy_of(part.detector, hit_density, bits_per_pixel)
    ((_, clusters),) = part.parts.items()
    clusters.require_both_classes()
    logits = model.logits(model.features.table(clusters))
    found = evaluate_model(model, part, occupancy, logits)
    if isinstance(data, Clusters):  # nothing says by which front end they were read out
        found = replace(found, front_end_differs=())
    for differing, how in (
        (found.front_end_differs, "with another front end than the data's"),
        (found.detector_differs, "on another detector than the data's"),
    ):
        if differing:
            warn(f"{model.origin}: trained {how}: {'; '.join(differing)}")
    return Scores(model.name, found, logits, clusters.signal, clusters.groups())
