"""A frozen threshold on detectors that are not what they were in training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pixelsieve.api.arguments import (
    Place,
    number_of_workers,
    public,
    require_efficiency,
    warn,
)
from pixelsieve.api.data import dataset_of, load
from pixelsieve.api.progress import StepProgress
from pixelsieve.core.config import Document
from pixelsieve.core.errors import ConfigError
from pixelsieve.core.files import read_json, require_writable, telling_unwritable, write_json
from pixelsieve.core.runs import RunFolder
from pixelsieve.core.workers import Scheduler
from pixelsieve.display.shown import HasRows, Shown, ShowsTable, arrow_of, one_line
from pixelsieve.display.spec import Table
from pixelsieve.formats.dataset import Dataset
from pixelsieve.networks.model_file import Model
from pixelsieve.reporting import figures
from pixelsieve.reporting.tables import robustness_tables
from pixelsieve.studies.evaluate import constants_that_differ
from pixelsieve.studies.models import approaches_of
from pixelsieve.studies.robustness import RobustnessResult, RobustnessSettings
from pixelsieve.studies.robustness import robustness as measure
from pixelsieve.studies.robustness_plan import Variations, read_variations

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes


@dataclass(frozen=True, slots=True, repr=False)
class Robustness(ShowsTable, HasRows):
    """Figures at a frozen threshold on changed detectors; `result` is robustness.json.

    Examples
    --------
    >>> moved = ps.robustness(model, data, simulated=0)
    >>> moved.table().to_arrow().num_rows == len(moved.result.approaches[0].rows)
    True
    """

    result: RobustnessResult

    def table(self) -> Shown:
        """Return the rows of the first approach."""
        return Shown(robustness_tables(self.result)[0])

    def to_arrow(self) -> pa.Table:
        """Return a row per approach and detector: mean and error of each figure."""
        rows = []
        for one in self.result.approaches:
            for row in one.rows:
                told: Document = {"approach": one.approach, "kind": row.kind, "detector": row.label}
                for name, merit in row.figures.items():
                    told |= {name: merit.mean, f"{name}_error": merit.error}
                rows.append(told)
        return arrow_of(rows)

    def plot(
        self,
        ax: Axes | None = None,
        metric: Literal["signal_efficiency", "rejection"] = "signal_efficiency",
    ) -> Axes:
        """Draw a figure at the frozen threshold by detector; of the rejection also at one set anew.

        Bars are statistical errors, lines the detector of the training.
        """
        return figures.robustness_panel(self.result, metric, ax)

    def parts(self) -> list[Table | str]:
        """Return the tables and lines that the command line prints."""
        left_out = (f"left out: {reason}" for reason in self.result.left_out)
        return [*robustness_tables(self.result), *left_out]

    def write(self, out: Place) -> Path:
        """Write robustness.json and its figure into a folder; return it."""
        folder = Path(out)
        with telling_unwritable(folder, "choose another --out"):
            folder.mkdir(parents=True, exist_ok=True)
            write_json(folder / RunFolder(folder).robustness.name, self.result)
            figures.robustness(self.result, folder / "robustness")
        return folder

    def __repr__(self) -> str:
        one = self.result
        rows = len(one.approaches[0].rows)
        names = ", ".join(approach.approach for approach in one.approaches)
        return one_line("Robustness", f"{rows} detectors", f"{one.split} split", names)


@public
def robustness(
    models: Model | Sequence[Model] | Mapping[str, Sequence[Model]] | Place,
    data: Dataset | Place,
    *,
    model: str | Sequence[str] = (),
    variations: Variations | Place | None = None,
    other: Mapping[str, Dataset] | None = None,
    efficiency: float = 0.98,
    split: Literal["train", "validation", "test"] = "test",
    simulated: int = 20_000,
    seed: int = 0,
    out: Place | None = None,
    workers: int | None = None,
    scheduler: Scheduler | None = None,
    progress: bool = True,
) -> Robustness:
    """Measure how signal efficiency and rejection move when the detector changes.

    `models` are one or several, those of each approach by name, or a run folder, of which `model`
    chooses. The threshold that keeps `efficiency` of the signal is set on the validation split
    behind the models' own front end, and stays, as on the chip. `variations` (values or a TOML
    file) say what changes; `other` are further samples by label. `simulated` clusters of `seed`
    are made for each changed sensor. `out` is a folder for robustness.json and a figure.

    Examples
    --------
    >>> ps.robustness(model, data, simulated=0)
    Robustness(... detectors; test split; sieve_4b_seed0)
    """
    require_efficiency(efficiency)
    number = number_of_workers(workers, scheduler, 1)
    wanted = read_variations(Path(variations)) if isinstance(variations, str | Path) else variations
    approaches = _approaches(models, [model] if isinstance(model, str) else list(model))
    if not approaches or not all(approaches.values()):
        msg = "--models: none; expected one or several, or a run folder"
        raise ConfigError(msg)
    data = dataset_of(data)
    if out is not None:
        require_writable(Path(out), Path(out))
    given = data.as_collected().hold()
    samples = {label: one.as_collected().hold() for label, one in (other or {}).items()}
    _warn(models, approaches, {"--data": given, **samples})
    where = str(variations) if isinstance(variations, str | Path) else "variations"
    settings = RobustnessSettings(efficiency, split, wanted, where, simulated, seed)
    with StepProgress("variations", shown=progress) as bars:
        result = measure(
            approaches,
            given,
            samples,
            settings,
            partial(bars.on_step, "variations"),
            workers=number,
            scheduler=scheduler,
        )
    found = Robustness(result)
    if out is not None:
        found.write(out)
    return found


def _approaches(
    models: Model | Sequence[Model] | Mapping[str, Sequence[Model]] | Place, names: Sequence[str]
) -> Mapping[str, Sequence[Model]]:
    if isinstance(models, str | Path):
        return approaches_of(Path(models), names)
    if isinstance(models, Mapping):
        return models
    several = [models] if isinstance(models, Model) else models
    return {one.name: [one] for one in several}


def _warn(
    models: object, approaches: Mapping[str, Sequence[Model]], read: Mapping[str, Dataset]
) -> None:
    """Say if the threshold is not that of the run's own data or detector."""
    first = next(iter(approaches.values()))[0]
    for label, dataset in read.items():
        if differing := constants_that_differ(first, dataset.detector):
            told = "; ".join(differing)
            warn(f"{first.origin}: trained on another detector than {label}'s: {told}")
    if not isinstance(models, str | Path):
        return
    manifest = RunFolder(Path(models)).manifest
    said = read_json(manifest) if manifest.is_file() else {}
    trained = said.get("config", {}).get("data") if isinstance(said, dict) else None
    hashes = set(trained.values()) if isinstance(trained, dict) else set()
    if hashes and hashes.isdisjoint(read["--data"].files.values()):
        warn(f"{models}: trained on other files than --data, which the threshold is set on")


def others_of(given: Sequence[str]) -> dict[str, Dataset]:
    """Return samples by label, from texts `LABEL=FILES`."""
    found: dict[str, list[str]] = {}
    for text in given:
        label, equals, files = text.partition("=")
        if not (label and equals and files):
            msg = f"--other: {text!r}; expected LABEL=FILES, e.g. simB='simB_*.parquet'"
            raise ConfigError(msg)
        found.setdefault(label, []).append(files)
    return {label: load(files) for label, files in found.items()}
