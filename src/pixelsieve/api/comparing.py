"""Compare recipes and bits over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pixelsieve.api.arguments import (
    Bits,
    Place,
    RecipeChanges,
    folder_for,
    network_for,
    number_of_workers,
    precisions,
    public,
)
from pixelsieve.api.data import dataset_of
from pixelsieve.api.progress import Told, TrainingProgress
from pixelsieve.core.config import to_plain
from pixelsieve.core.errors import ConfigError, nearest
from pixelsieve.core.runs import RunFolder
from pixelsieve.core.workers import Scheduler
from pixelsieve.display import axes
from pixelsieve.display.shown import HasRows, Shown, ShowsTable, arrow_of, one_line
from pixelsieve.display.spec import Table
from pixelsieve.formats.dataset import Dataset
from pixelsieve.networks.model_file import Model, load_model
from pixelsieve.networks.precision import bits_of, bits_text
from pixelsieve.networks.spec import NetworkSpec
from pixelsieve.reporting.charts import bits_choices, roc_choices
from pixelsieve.reporting.comparison import (
    METRIC_TITLES,
    comparison_table,
    luts_table,
    paired_table,
    warm_start_table,
    warm_starts,
    warnings,
)
from pixelsieve.reporting.figures import figures_of_comparison
from pixelsieve.reporting.record import read_run
from pixelsieve.reporting.tables import read_out_table
from pixelsieve.studies.compare import CompareConfig, jobs_of, teachers_for
from pixelsieve.studies.compare import compare as run_comparison
from pixelsieve.studies.summary import ComparedRow, Comparison
from pixelsieve.training.augmentation import Augmentation
from pixelsieve.training.recipe import Recipe

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes

_TESTED = ("rejection_98", "auc", "accuracy")


class Study(ShowsTable, HasRows):
    """A comparison of approaches (recipe and bits), each with several seeds.

    `comparison` holds every number of `metrics.json`, `folder` the files.

    Examples
    --------
    >>> [one.name for one in study.models("sieve")]
    ['sieve_4b_seed0', 'sieve_4b_seed1']
    >>> study.table().to_pandas()["approach"].to_list()
    ['float', 'sieve', 'boosted trees, same inputs', 'cut on |t| (30 ps) alone']
    >>> ax = study.plot("roc")
    """

    def __init__(self, folder: Path, comparison: Comparison) -> None:
        self.folder = folder
        self.comparison = comparison

    def table(self) -> Shown:
        """Return how each approach was trained, and its figures of merit over seeds."""
        return Shown(comparison_table(self.comparison))

    def paired(self, metric: str = "rejection_98") -> Shown | None:
        """Return the paired tests of approaches at equal bits; None if there are none."""
        table = paired_table(self.comparison, metric)
        return None if table is None else Shown(table)

    def warnings(self) -> list[str]:
        """Return lines on collapsed seeds, missed budgets and coarse logits."""
        return [line for lines in warnings(self.comparison) for line in lines]

    def models(self, recipe: str, bits: Bits | None = None) -> list[Model]:
        """Return the models of one approach by seed; raise `ConfigError` for an unknown one.

        `bits` are needed if the recipe was trained at several.
        """
        row = self._row(recipe, bits)
        return [load_model(RunFolder(self.folder).model(name)) for name in row.models]

    def plot(
        self,
        kind: Literal["bits", "roc"] = "bits",
        ax: Axes | None = None,
        *,
        metric: Literal["accuracy", "auc", "rejection_98"] = "rejection_98",
    ) -> Axes:
        """Draw a figure of merit against the bits of a weight, or ROC curves.

        Raise `ConfigError` if the study has nothing to draw of it.
        """
        if kind == "bits":
            every = [chart for one in bits_choices(self.comparison) for chart in one.charts]
            charts = [chart for chart in every if chart.y.label == METRIC_TITLES[metric]]
        else:
            charts = [choice.charts[0] for choice in roc_choices(self.comparison)]
        if not charts:
            msg = f"plot: no network of uniform bits in {self!r}"
            raise ConfigError(msg)
        return axes.draw(charts[0], ax)

    def to_arrow(self) -> pa.Table:
        """Return a row per approach and seed: how training ended, figures on the test split.

        Baselines have no bits, model or seed.
        """
        rows = [
            {"approach": row.approach, "bits": bits_text(row.bits), **told, **to_plain(figures)}
            for row in self.comparison.rows
            for told, figures in zip(_trainings(row), row.by_seed, strict=True)
        ]
        rows += [
            {"approach": one.approach, **to_plain(figures)}
            for one in self.comparison.baselines
            for figures in one.by_seed
        ]
        return arrow_of(rows)

    def parts(self) -> list[Table | str]:
        """Return the tables and lines that the command line prints."""
        one = self.comparison
        collapsed, coarse = warnings(one)
        paired = (paired_table(one, name) for name in _TESTED)
        return [
            *([read_out_table(one.front_end)] if one.front_end else []),
            *(warm_start_table(name, rows) for name, rows in warm_starts(one) if rows),
            comparison_table(one),
            *collapsed,
            *coarse,
            *filter(None, (luts_table(one), *paired)),
            *(f"{t.name}: validation AUC {t.validation_auc:.4f}" for t in one.teachers),
        ]

    def __repr__(self) -> str:
        rows = self.comparison.rows
        best = max(rows, key=lambda row: row.summary["auc"].mean)
        return one_line(
            "Study",
            f"{self.comparison.network}: {len(rows)} approaches, {len(rows[0].seeds)} seeds",
            f"best AUC {best.summary['auc'].mean:.4f} ({best.approach}, {bits_text(best.bits)})",
        )

    def _row(self, recipe: str, bits: Bits | None) -> ComparedRow:
        named = [row for row in self.comparison.rows if row.approach == recipe]
        if not named:
            known = dict.fromkeys(row.approach for row in self.comparison.rows)
            msg = f"unknown approach '{recipe}'{nearest(recipe, known)}; known: {', '.join(known)}"
            raise ConfigError(msg)
        asked = None if bits is None else bits_of(precisions(bits)[0])
        found = [row for row in named if asked in (None, row.bits)]
        if len(found) != 1:
            texts = dict.fromkeys(bits_text(row.bits) for row in named)
            msg = f"'{recipe}' was trained with {', '.join(texts)}; choose bits"
            raise ConfigError(msg)
        return found[0]


def _trainings(row: ComparedRow) -> list[dict[str, object]]:
    columns = {
        "model": row.models,
        "seed": row.seeds,
        "best_epoch": row.best_epochs,
        "validation_auc": row.validation_auc,
        "validation_loss": row.validation_loss,
    }
    return [dict(zip(columns, one, strict=True)) for one in zip(*columns.values(), strict=True)]


@public
def compare(
    data: Dataset | Place,
    network: Place | NetworkSpec = "model2",
    bits: Bits | Sequence[Bits] = 4,
    recipes: str | Recipe | Sequence[str | Recipe] | None = None,
    *,
    time: str | None = None,
    mirror_x: bool = False,
    seeds: int = 5,
    baselines: bool = True,
    luts: bool = False,
    recipes_file: Place | None = None,
    epochs: int | None = None,
    float_epochs: int | None = None,
    float_recipe: str | Recipe = "float",
    initial_rate: float | None = None,
    end_rate: float | None = None,
    power: float | None = None,
    batch_size: int | None = None,
    augment: Augmentation | Place | None = None,
    out: Place | None = None,
    workers: int | None = None,
    scheduler: Scheduler | None = None,
    progress: Told = True,
) -> Study:
    """Train a float network and quantize it by several recipes; compare, with uncertainties.

    `recipes` are all for those bits by default; `baselines` are a time cut and boosted trees;
    `luts` counts those of every quantized network with Yosys. `recipes_file` to `augment` change
    the recipes. With `out` the run folder is kept, figures and all, and the same call resumes an
    interrupted one, as `pixelsieve compare --out` does. `workers` are one-threaded processes (one
    per core by default); `scheduler`, in their place, is a Dask client or the address of a
    scheduler. `progress` as in `train`. Raise `ConfigError` for what cannot be.

    Examples
    --------
    >>> study = ps.compare(
    ...     data, "model1", recipes="sieve", seeds=2, epochs=2, float_epochs=2, out="runs/first"
    ... )
    >>> study
    Study(model1: ... approaches, 2 seeds; best AUC ...)
    """
    number = number_of_workers(workers, scheduler)
    data = dataset_of(data)
    several = precisions(bits)
    changes = RecipeChanges(
        recipes_file=recipes_file,
        epochs=epochs,
        float_epochs=float_epochs,
        float_recipe=float_recipe,
        initial_rate=initial_rate,
        end_rate=end_rate,
        power=power,
        batch_size=batch_size,
        augment=augment,
    )
    named = [recipes] if isinstance(recipes, str | Recipe) else list(recipes or ())
    config = CompareConfig(
        spec=network_for(network, time).with_window(data.window),
        recipes=changes.recipes(named or changes.usual(several)),
        bits=several,
        seeds=seeds,
        float_recipe=changes.chosen_float_recipe(),
        mirror_x=mirror_x,
        baselines=baselines,
    )
    folder = folder_for(out)
    jobs = [*teachers_for(config), *jobs_of(config)]
    with TrainingProgress({j.name: j.epochs for j in jobs}, progress) as bars:
        comparison = run_comparison(
            config,
            data,
            folder,
            workers=number,
            scheduler=scheduler,
            luts=luts,
            on_report=bars.on_report,
            on_done=bars.on_done,
            on_count=bars.on_count,
        )
    if out is not None:
        figures_of_comparison(read_run(folder))
    return Study(folder, comparison)
