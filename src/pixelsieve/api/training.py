"""Train one network, or with learned bits a front of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack, overload

from pixelsieve.api.arguments import (
    Bits,
    Place,
    RecipeChanges,
    folder_for,
    model_of,
    network_for,
    number_of_workers,
    precisions,
    public,
    warn,
    warn_of_assumed_scaling,
)
from pixelsieve.api.data import dataset_of
from pixelsieve.api.progress import Told, TrainingProgress
from pixelsieve.core.errors import ConfigError, nearest
from pixelsieve.core.files import file_hash
from pixelsieve.core.runs import RunFolder
from pixelsieve.core.workers import Scheduler
from pixelsieve.display import axes
from pixelsieve.display.shown import HasRows, Shown, ShowsTable, arrow_of, one_line
from pixelsieve.display.spec import Axis, Chart, Point, Series, Table
from pixelsieve.formats.dataset import Dataset
from pixelsieve.front_end import FrontEndSummary
from pixelsieve.networks.model_file import Model, load_model, model_hash, save_model
from pixelsieve.networks.precision import LearnedPrecision, Precision
from pixelsieve.networks.spec import NetworkSpec
from pixelsieve.reporting.charts import training_chart
from pixelsieve.reporting.comparison import METRIC_TITLES, learned_table, warm_start_table
from pixelsieve.reporting.tables import history_table
from pixelsieve.studies.train import TrainConfig, train_one
from pixelsieve.training.augmentation import Augmentation
from pixelsieve.training.job import JobResult, OnTheWay, over_budget
from pixelsieve.training.recipe import LEARNED, Recipe

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes

_NETWORK = "model2"


@dataclass(frozen=True, slots=True)
class Trained:
    """What is known of a training: its result, those it started from, the data's front end."""

    folder: Path
    result: JobResult
    before: tuple[JobResult, ...]
    read_out: FrontEndSummary | None

    @property
    def results(self) -> list[JobResult]:
        """The results in the order of training."""
        return [*self.before, self.result]

    def parts(self) -> list[Table | str]:
        """Return the tables and lines that the command line prints."""
        return [part for one in self.results for part in _parts(one, self.folder)]


@dataclass(frozen=True, slots=True, repr=False, kw_only=True)
class TrainedModel(Model, ShowsTable):
    """A model that was just trained; `training` says how: history, warm start, float network.

    Examples
    --------
    >>> model.history.to_arrow().num_rows
    2
    >>> ax = model.plot_history(figure="validation_loss")
    """

    training: Trained

    @property
    def history(self) -> Shown:
        """Figures of every epoch."""
        return Shown(history_table(self.training.result))

    def table(self) -> Shown:
        """Return the layers with what the warm start did to each, or the history without one."""
        result = self.training.result
        if result.warm_start:
            return Shown(warm_start_table(result.name, result.warm_start))
        return self.history

    def plot_history(self, ax: Axes | None = None, figure: str = "validation_auc") -> Axes:
        """Draw a figure of each epoch, such as `loss`, `validation_loss` or `learning_rate`."""
        return axes.draw(training_chart(self.training.result, figure), ax)


class Front(ShowsTable, HasRows, Sequence[Model]):
    """The networks of one training of learned bits, largest first, each with its figures.

    `front[i]` is a `Model`, `front.figures[i]` what was measured of it on validation, and
    `front.at_budget` the network that ends at the budget. Files are read when asked for.

    Examples
    --------
    >>> front.smallest(auc=0.5)
    Model(...)
    >>> front.best("auc").name in [one.model for one in front.figures]
    True
    >>> ax = front.plot(figure="auc")
    """

    def __init__(self, training: Trained) -> None:
        self.training = training

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.training.folder

    @property
    def result(self) -> JobResult:
        """The result of the training."""
        return self.training.result

    @property
    def figures(self) -> tuple[OnTheWay, ...]:
        """Name, epoch, EBOPs and figures of merit on validation of each network."""
        return self.result.networks

    @property
    def at_budget(self) -> Model:
        """The best network at the budget, the one that `pixelsieve train` names as its result."""
        return self._load(self.result.name)

    @overload
    def __getitem__(self, index: int) -> Model: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Model]: ...
    def __getitem__(self, index: int | slice) -> Model | Sequence[Model]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return self._load(self.figures[index].model)

    def __len__(self) -> int:
        return len(self.figures)

    def __iter__(self) -> Iterator[Model]:
        return (self[i] for i in range(len(self)))

    def smallest(self, **least: float) -> Model:
        """Return the smallest network that reaches every given figure, e.g. `auc=0.95`.

        Raise `ConfigError` if none does.
        """
        able = [one for one in self.figures if all(_of(one, n) >= v for n, v in least.items())]
        if not able:
            best = ", ".join(
                f"{name} {v:g} (largest {max(_of(one, name) for one in self.figures):.4f})"
                for name, v in least.items()
            )
            msg = f"{self.result.name}: no network reaches {best}"
            raise ConfigError(msg)
        return self._load(min(able, key=_size).model)

    def best(self, figure: str = "rejection_98") -> Model:
        """Return the network that is best in that figure, the smaller one if several are."""
        return self._load(max(self.figures, key=lambda one: (_of(one, figure), -_size(one))).model)

    def table(self) -> Shown:
        """Return the networks with their figures on validation."""
        return Shown(learned_table(self.result))

    def to_arrow(self) -> pa.Table:
        """Return a row per network: epoch, EBOPs, figures on validation, exact ones if measured."""
        return arrow_of(
            [
                {"model": one.model, "epoch": one.epoch, "ebops": one.ebops}
                | one.merits
                | (one.exact or {})
                for one in self.figures
            ]
        )

    def plot(self, ax: Axes | None = None, figure: str = "rejection_98") -> Axes:
        """Draw a figure of each network on validation against its size."""
        points = tuple(Point(_size(one), _of(one, figure)) for one in reversed(self.figures))
        label = f"{METRIC_TITLES.get(figure, figure)}, validation"
        drawn = Series(self.result.name, 0, "points", points)
        return axes.draw(Chart(Axis(self._unit, "log"), Axis(label), (drawn,)), ax)

    def parts(self) -> list[Table | str]:
        """Return the tables and lines that the command line prints."""
        return self.training.parts()

    @property
    def _unit(self) -> str:
        return "LUTs (estimate)" if self.figures[0].exact else "EBOPs"

    def __repr__(self) -> str:
        least, most = (f"{way(map(_size, self.figures)):.0f}" for way in (min, max))
        best = max(_of(one, "auc") for one in self.figures)
        return one_line(
            "Front",
            f"{len(self)} network{'s' * (len(self) > 1)} of {least} to {most} {self._unit}",
            f"best validation AUC {best:.4f}",
            self.result.name,
        )

    def _load(self, name: str) -> Model:
        return load_model(RunFolder(self.folder).model(name))


def _of(one: OnTheWay, name: str) -> float:
    known = one.exact or one.merits
    if name not in known:
        msg = f"unknown figure '{name}'{nearest(name, known)}; known: {', '.join(known)}"
        raise ConfigError(msg)
    return known[name]


def _size(one: OnTheWay) -> float:
    return one.exact["luts"] if one.exact else one.ebops or 0.0


class _Settings(TypedDict, total=False):
    """What all forms of `train` take."""

    time: str | None
    mirror_x: bool
    seed: int
    recipes_file: Place | None
    epochs: int | None
    float_epochs: int | None
    float_recipe: str | Recipe
    initial_rate: float | None
    end_rate: float | None
    power: float | None
    batch_size: int | None
    augment: Augmentation | Place | None
    start: Model | Place | None
    out: Place | None
    workers: int | None
    scheduler: Scheduler | None
    progress: Told


@overload
def train(
    data: Dataset | Place,
    network: Place | NetworkSpec = ...,
    bits: int | Precision | None = ...,
    recipe: str | Recipe | None = ...,
    **settings: Unpack[_Settings],
) -> TrainedModel: ...
@overload
def train(
    data: Dataset | Place,
    network: Place | NetworkSpec = ...,
    *,
    bits: LearnedPrecision,
    recipe: str | Recipe | None = ...,
    refine: float | None = ...,
    **settings: Unpack[_Settings],
) -> Front: ...
@overload
def train(
    data: Dataset | Place,
    network: Place | NetworkSpec = ...,
    *,
    bits: str,
    recipe: str | Recipe | None = ...,
    refine: float | None = ...,
    **settings: Unpack[_Settings],
) -> TrainedModel | Front: ...
@overload
def train(
    data: Dataset | Place,
    network: Place | NetworkSpec = ...,
    bits: Bits | None = ...,
    recipe: str | Recipe | None = ...,
    *,
    refine: float | None = ...,
    seeds: int,
    **settings: Unpack[_Settings],
) -> list[TrainedModel] | list[Front]: ...
@public
def train(
    data: Dataset | Place,
    network: Place | NetworkSpec = _NETWORK,
    bits: Bits | None = None,
    recipe: str | Recipe | None = None,
    *,
    time: str | None = None,
    mirror_x: bool = False,
    start: Model | Place | None = None,
    refine: float | None = None,
    seed: int = 0,
    seeds: int | None = None,
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
) -> Any:
    """Train one network, with the float network it starts from; the test split is not scored.

    `bits` are those of a weight (None: a float network), or `ps.Learned(300)`: bits learned one by
    one down to 300 EBOPs, which gives a `Front`. `recipe` is `sieve` by default, `learned` for
    learned bits. `start` is a model to start from in place of a float network of its own; its
    network is taken. `refine` (learned bits): measure the networks of at most so many EBOPs
    exactly, train those on the front further, keep the front. `seeds` gives a list of so many
    results, of `seed` and those that follow.

    `time` adds an arrival time (`30ps`, `60ps`, `measured`) to the inputs; `recipes_file` to
    `augment` change the recipes. With `out` the run folder is kept and the same call resumes an
    interrupted one, as `pixelsieve train --out` does. `progress` shows bars, or is called with a
    job's name and the figures of each epoch. Raise `ConfigError` for what cannot be.

    Examples
    --------
    >>> model = ps.train(data, "model1", bits=4, epochs=2, float_epochs=2)
    >>> model
    Model(sieve_4b_seed0; model1, 4 bits, 913 parameters)
    >>> front = ps.train(data, "model1", bits=ps.Learned(1000), epochs=30, batch_size=64)
    >>> front
    Front(... networks of ... EBOPs; best validation AUC ...; learned_1000ebops_seed0)
    """
    number = number_of_workers(workers, scheduler, 1)
    data = dataset_of(data)
    quantized_only = {
        "--recipe": recipe,
        "--epochs": epochs,
        "--initial-rate": initial_rate,
        "--end-rate": end_rate,
        "--power": power,
    }
    given = [name for name, value in quantized_only.items() if value is not None]
    precision = None
    if bits is not None:
        precision, *more = precisions(bits)
        if more:
            msg = f"--bits: {bits}; train takes one, compare several"
            raise ConfigError(msg)
    elif given:
        msg = (
            f"{', '.join(given)}: for quantized training; give --bits (a float network has "
            "--float-recipe and --float-epochs)"
        )
        raise ConfigError(msg)
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
    folder = folder_for(out)
    started = None if start is None else _started(start, folder)
    if started is not None:
        _require_its_network(started, network, time, float_epochs, mirror_x=mirror_x)
    usual = LEARNED.name if isinstance(precision, LearnedPrecision) else "sieve"
    config = TrainConfig(
        spec=started.spec if started else network_for(network, time),
        bits=precision,
        recipe=changes.recipes([recipe or usual])[0],
        seed=seed,
        float_recipe=changes.chosen_float_recipe(),
        mirror_x=started.features.mirror_x if started else mirror_x,
        start=file_hash(started.path) if started and started.path else None,
        seeds=1 if seeds is None else seeds,
        refine=refine,
        scales=started.features.scales if started else (),
    )
    if started is None:
        config = replace(config, spec=config.spec.with_window(data.window))
    jobs = [*config.teachers(), *config.jobs()]
    with TrainingProgress({j.name: j.epochs for j in jobs}, progress) as bars:
        results = train_one(
            config,
            data,
            folder,
            started.path if started else None,
            number,
            scheduler,
            bars.on_report,
            bars.on_done,
        )
    each = len(results) // config.seeds
    groups = [results[i : i + each] for i in range(0, len(results), each)]
    found = [_found(Trained(folder, g[-1], tuple(g[:-1]), data.summary)) for g in groups]
    return found[0] if seeds is None else found


def _found(training: Trained) -> TrainedModel | Front:
    result = training.result
    if isinstance(result.precision, LearnedPrecision):
        if (text := over_budget(result)) is not None:
            warn(text)
        return Front(training)
    model = load_model(RunFolder(training.folder).model(result.name))
    fields = {name: getattr(model, name) for name in Model.__dataclass_fields__}
    return TrainedModel(**fields, training=training)


def _parts(result: JobResult, folder: Path) -> Iterator[Table | str]:
    if result.networks:
        yield learned_table(result)
    if result.warm_start:
        yield warm_start_table(result.name, result.warm_start)
    figures = (
        f"loss {result.best['validation_loss']:.4f}, validation AUC {result.validation_auc:.4f}"
    )
    if result.exact is not None:
        figures = f"AUC {result.exact['auc']:.4f}, {result.exact['luts']:.0f} LUTs (estimate)"
    model = RunFolder(folder).model(result.name)
    yield f"{result.name}: best epoch {result.best_epoch}, validation {figures} -> {model}"


def _started(start: Model | Place, folder: Path) -> Model:
    """Return the model with a file of it: the run's own copy if that is the same network.

    The file of a network that is trained again differs in its date alone, and the run is resumed.
    """
    model = model_of(start)
    warn_of_assumed_scaling(model)
    if model.path is None:
        path = folder_for(None) / f"{model.name}.keras"
        save_model(path, model)
        model = replace(model, path=path)
    assert model.path is not None
    copy = RunFolder(folder).model("start")
    if copy.exists() and model_hash(copy) == model_hash(model.path):
        return replace(model, path=copy)
    return model


def _require_its_network(
    model: Model,
    network: Place | NetworkSpec,
    time: str | None,
    float_epochs: int | None,
    *,
    mirror_x: bool,
) -> None:
    """Raise `ConfigError` for what would make another network than the one to start from."""
    name = network.name if isinstance(network, NetworkSpec) else str(network)
    given = {
        "--network": name not in {_NETWORK, model.spec.name},
        "--time": time is not None,
        "--mirror-x": mirror_x and not model.features.mirror_x,
        "--float-epochs": float_epochs is not None,
    }
    if wrong := [name for name, differs in given.items() if differs]:
        msg = (
            f"{', '.join(wrong)}: the network of --start {model.origin} is taken as it is; leave "
            "it out"
        )
        raise ConfigError(msg)
