"""Search the smallest network for the job."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pixelsieve.api.arguments import (
    Place,
    folder_for,
    number_of_workers,
    precisions,
    public,
    time_feature,
)
from pixelsieve.api.data import dataset_of
from pixelsieve.api.progress import StepProgress
from pixelsieve.core.config import to_plain
from pixelsieve.core.errors import ConfigError, nearest
from pixelsieve.core.runs import RunFolder
from pixelsieve.core.workers import Scheduler
from pixelsieve.display import axes
from pixelsieve.display.shown import HasRows, Shown, ShowsTable, arrow_of, one_line
from pixelsieve.display.spec import Table
from pixelsieve.formats.dataset import Dataset
from pixelsieve.networks.model_file import Model, load_model
from pixelsieve.reporting.search import pareto_choices, search_lines, search_table
from pixelsieve.studies.search.goal import SearchConfig
from pixelsieve.studies.search.result import SearchResult
from pixelsieve.studies.search.run import search as run_search
from pixelsieve.studies.search.space import SearchSpace, read_space

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes


class Search(ShowsTable, HasRows):
    """Networks on the front of quality against cost, each trained with several seeds.

    `result` holds every number of `metrics.json`, `folder` the files.

    Examples
    --------
    >>> found = ps.search(data, trials=40, budget=3000)  # doctest: +SKIP
    >>> found.table().to_pandas()  # doctest: +SKIP
    """

    def __init__(self, folder: Path, result: SearchResult) -> None:
        self.folder = folder
        self.result = result

    def table(self) -> Shown:
        """Return the networks of the front and those of uniform bits, cheap ones first."""
        return Shown(search_table(self.result))

    def models(self, name: str) -> list[Model]:
        """Return the models of a row of the table by seed; raise `ConfigError` for none of it."""
        names = [row.name for row in self.result.rows]
        if name not in names:
            msg = f"unknown network '{name}'{nearest(name, names)}; known: {', '.join(names)}"
            raise ConfigError(msg)
        folder = RunFolder(self.folder)
        seeds = range(len(self.result.seeds))
        return [load_model(folder.model(f"{name}_seed{index}")) for index in seeds]

    def plot(self, ax: Axes | None = None, split: str = "validation") -> Axes:
        """Draw quality against cost: every trial on `validation`, the final table on `test`."""
        tried, final = pareto_choices(self.result)
        return axes.draw((final if split == "test" else tried).charts[0], ax)

    def to_arrow(self) -> pa.Table:
        """Return a row per network of a trial: what was chosen, figures on validation.

        A trial that gave no network has one row, without figures; `table` is the final training.
        """
        rows = []
        for trial in self.result.trials:
            ended = {"state": trial.result.state, "reason": trial.result.reason}
            told = {"trial": trial.number, **to_plain(trial.candidate), **ended}
            for index, one in enumerate(trial.result.networks):
                name = trial.model(index)
                figures = {"network": name, "front": name in self.result.front, **to_plain(one)}
                rows.append({**told, **figures})
            if not trial.result.networks:
                rows.append(told)
        return arrow_of(rows)

    def parts(self) -> list[Table | str]:
        """Return the tables and lines that the command line prints."""
        journal = shlex.quote(str(RunFolder(self.folder).study))
        dashboard = f"all trials in a browser: optuna-dashboard {journal}"
        return [search_table(self.result), *search_lines(self.result), dashboard]

    def __repr__(self) -> str:
        one = self.result
        volume = one.hypervolume[-1] if one.hypervolume else 0.0
        return one_line(
            "Search",
            f"{len(one.trials)} trials",
            f"{one.metric} against {one.cost}: {len(one.front)} networks on the front",
            f"hypervolume {volume:.4f}",
        )


@public
def search(
    data: Dataset | Place,
    *,
    trials: int = 60,
    space: SearchSpace | Place | None = None,
    metric: str = "rejection_98",
    cost: str = "luts",
    budget: float | None = None,
    seed: int = 0,
    seeds: int = 5,
    generation: int = 10,
    reference: str | Sequence[str] = "model2",
    reference_bits: int | str | Sequence[int] = 4,
    time: str | None = None,
    recipes_file: Place | None = None,
    luts: bool = False,
    out: Place | None = None,
    workers: int | None = None,
    scheduler: Scheduler | None = None,
    progress: bool = True,
) -> Search:
    """Search small networks: quality against cost, on validation, as a Pareto front.

    `space` is what to choose from, or a TOML file of it; `metric` is made large on validation,
    `cost` (`luts`, `ebops` or `levels`) small, and what costs over `budget` is left out. The front
    is then trained with `seeds` seeds, beside the networks of `reference` (`"none"` for none) at
    each of `reference_bits`, and read once on the test split. With `out` the same call resumes an
    interrupted search. `workers`, `scheduler` and `progress` as in `compare`. Raise `ConfigError`
    for what cannot be.

    Examples
    --------
    >>> ps.search(data, trials=40, budget=3000)  # doctest: +SKIP
    Search(40 trials; rejection_98 against luts: 9 networks on the front; hypervolume 0.7312)
    """
    number = number_of_workers(workers, scheduler)
    data = dataset_of(data)
    extra = time_feature(time)
    if isinstance(space, SearchSpace):
        chosen = space
    else:
        more = None if recipes_file is None else Path(recipes_file)
        chosen = read_space(None if space is None else Path(space), more)
    named = [reference] if isinstance(reference, str) else list(reference)
    widths = precisions(reference_bits, "--reference-bits")
    config = SearchConfig(
        chosen.with_feature(extra) if extra else chosen,
        references=tuple(name for name in named if name != "none"),
        reference_bits=tuple(width for width in widths if isinstance(width, int)),
        time_feature=extra,
        metric=metric,
        cost=cost,
        budget=budget,
        seed=seed,
        seeds=seeds,
        generation=generation,
    )
    folder = folder_for(out)
    with StepProgress(shown=progress) as bars:
        result = run_search(
            config,
            data,
            folder,
            trials=trials,
            workers=number,
            scheduler=scheduler,
            luts=luts,
            on_progress=bars.on_search,
            on_count=bars.on_count,
        )
    if out is not None:
        axes.figure(pareto_choices(result), RunFolder(folder).figures / "pareto", size=(6.0, 4.8))
    return Search(folder, result)
