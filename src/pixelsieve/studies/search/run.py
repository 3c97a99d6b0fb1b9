"""Search the smallest network: trials by generations, each a file, resumable at any moment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path

from pixelsieve.core.config import to_plain
from pixelsieve.core.errors import ConfigError, RunError
from pixelsieve.core.files import replacing, write_json
from pixelsieve.core.programs import YOSYS, find
from pixelsieve.core.runs import RunFolder
from pixelsieve.core.workers import Scheduler, Task, Workers, workers_of
from pixelsieve.features import FeatureSet
from pixelsieve.formats.dataset import Dataset
from pixelsieve.integer.logic import alkaid
from pixelsieve.studies.jobs import training_data
from pixelsieve.studies.search.final import (
    Finalist,
    final_table,
    train_finalists,
    uniform_finalists,
)
from pixelsieve.studies.search.goal import Measured, SearchConfig
from pixelsieve.studies.search.result import (
    SearchResult,
    TrialRecord,
    front_of,
    read_record,
    read_result,
    spaced,
    told,
    trial_name,
    volumes,
    why_no_front,
)
from pixelsieve.studies.search.sampler import ask, write_study
from pixelsieve.studies.search.space import Candidate
from pixelsieve.studies.search.trial import SearchData, Trial, run_trial
from pixelsieve.studies.summary import ClassCounts, count_luts

_SEEDS_APART = 100_000
"""Seeds of the final training are so far beyond those of the trials."""

_APART = 1.25
"""Of networks of the front within this factor in cost, one is trained again, and may cost so
much more then."""

_STATES = ("complete", "stopped", "failed")


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a search: `done` of `total` in a phase, points on the front, its volume.

    The phases are `trials` and `final training`.
    """

    phase: str
    done: int
    total: int
    front: int
    hypervolume: float


def search(
    config: SearchConfig,
    dataset: Dataset,
    out: Path,
    *,
    trials: int,
    workers: int,
    scheduler: Scheduler | None = None,
    luts: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
    on_count: Callable[[str], None] | None = None,
) -> SearchResult:
    """Run `trials` trials, train the front again, and return what is then in `metrics.json`.

    The run folder `out`, which all workers see, gets trials/*.json, models/*.keras, jobs/*.json
    (those of the final training), study.journal and metrics.json. Validation decides everything;
    the test split is read once, for the final table, and the search then takes no more trials. Run
    again with the same arguments to resume an interrupted search. `scheduler` is a Dask scheduler,
    by address or `Client` (default: processes here). With `luts` Yosys counts the LUTs of the
    table's networks on the front, also of a search that is finished; `on_count` gets the name of
    each. Raise `ConfigError` if no network meets the budget.
    """
    alkaid("trace")  # not installed: said now, not by the first worker
    if luts:
        find(YOSYS)
    window = dataset.hold().window
    dataset.require_different_clusters()
    data = _search_data(config, dataset, window, out.absolute())
    with RunFolder(out).claimed({**to_plain(config), **dataset.identity}) as run:
        result = _finished(out, trials)
        if result is None:
            run.make("models", "jobs", "figures", "trials")
            seeds = tuple(config.seed + _SEEDS_APART + i for i in range(config.seeds))
            with workers_of(data, workers, scheduler) as pool:
                study = _Search(config, window, run, trials, on_progress or (lambda _: None))
                records = study.run(pool)
                finalists = _finalists(config, records, window)
                trained = train_finalists(finalists, config, seeds, pool, study.on_final)
            result = _result(config, dataset, out, records, finalists, trained, seeds)
            write_json(RunFolder(out).metrics, result.to_plain())
        return _with_counts(out, result, on_count) if luts else result


def _result(
    config: SearchConfig,
    dataset: Dataset,
    out: Path,
    records: Sequence[TrialRecord],
    finalists: Sequence[Finalist],
    trained: dict[str, Measured | str],
    seeds: tuple[int, ...],
) -> SearchResult:
    goal = config.goal
    rows, left_out, smaller = final_table(finalists, trained, goal, len(seeds), out, dataset)
    return SearchResult(
        metric=config.metric,
        cost=goal.cost,
        budget=config.budget,
        split_by=dataset.split_by,
        front_end=dataset.summary,
        trials=tuple(records),
        states={s: sum(r.result.state == s for r in records) for s in _STATES},
        front=tuple(point.name for point in front_of(goal, records)),
        hypervolume=tuple(volumes(goal, records)),
        seeds=seeds,
        clusters={name: ClassCounts(**n) for name, n in dataset.class_counts.items()},
        rows=tuple(rows),
        left_out=tuple(left_out),
        smaller=tuple(smaller),
    )


def _with_counts(
    out: Path, result: SearchResult, on_count: Callable[[str], None] | None
) -> SearchResult:
    """Count the networks on the front: they are small, seconds each."""
    rows = list(result.rows)
    for place, row in enumerate(rows):
        if row.on_front:
            names = [f"{row.name}_seed{i}" for i in range(len(result.seeds))]
            counted = count_luts(out, names, on_count)
            rows[place] = replace(row, luts=counted.luts or row.luts, counted=counted)
            result = replace(result, rows=tuple(rows))
            write_json(RunFolder(out).metrics, result.to_plain())
    return result


def _finished(out: Path, trials: int) -> SearchResult | None:
    path = RunFolder(out).metrics
    if not path.exists():
        return None
    result = read_result(path)
    if len(result.trials) != trials:
        msg = (
            f"{out}: finished with {len(result.trials)} trials, and the test split was read for "
            f"its table; a search of {trials} trials needs another --out"
        )
        raise RunError(msg)
    return result


def _search_data(
    config: SearchConfig, dataset: Dataset, window: tuple[int, int], folder: Path
) -> SearchData:
    names = [feature for one in config.space.inputs for feature in one.features]
    names += [feature for _, spec in config.uniform() for feature in spec.features]
    features = tuple(dict.fromkeys(names))
    recipes = [config.space.float_recipe, config.uniform_recipe]  # of the same batch size
    plain, mirrored = (
        training_data(dataset, FeatureSet(features, mirror, window=window), recipes)
        for mirror in (False, True)
    )
    return SearchData(folder, plain, mirrored)


@dataclass(frozen=True, slots=True)
class _Search:
    """Runs the generations; what is done already is read from the files of the trials."""

    config: SearchConfig
    window: tuple[int, int]
    folder: RunFolder
    trials: int
    on_progress: Callable[[Progress], None]

    def run(self, pool: Workers) -> list[TrialRecord]:
        """All records, in order of their numbers."""
        config, size = self.config, self.config.generation
        space = config.space
        records: list[TrialRecord] = []
        for first in range(0, self.trials, size):
            # Always whole generations, so that a longer search begins like a shorter one.
            heard, number = told(config.goal, records), first // size
            asked = ask(space, heard, seed=config.seed, generation=number, count=size)
            records += self._generation(pool, records, asked[: self.trials - first])
            write_study(self.folder.study, space, told(config.goal, records))
        return records

    def _generation(
        self, pool: Workers, earlier: Sequence[TrialRecord], candidates: Sequence[Candidate]
    ) -> list[TrialRecord]:
        known: dict[int, TrialRecord] = {}
        asked = dict(enumerate(candidates, start=len(earlier)))
        tasks = []
        for number, candidate in asked.items():
            found = read_record(self.folder.trial(trial_name(number)), number, candidate)
            if found is not None:
                known[number] = found
            else:
                trial = self._trial(number, candidate, earlier)
                tasks.append(Task(trial_name(number), run_trial, (trial,)))
        self._tell([*earlier, *known.values()])
        numbers = {trial_name(number): number for number in asked}
        for name, (result, models) in pool.run(tasks):
            number = numbers[name]
            record = known[number] = TrialRecord(number, asked[number], result)
            for index, model in enumerate(models):
                path = self.folder.model(record.model(index))
                with replacing(path) as temporary:
                    temporary.write_bytes(model)
            # The record comes last: a trial that has one is done.
            write_json(self.folder.trial(name), record)
            self._tell([*earlier, *known.values()])
        return [known[number] for number in sorted(known)]

    def _trial(self, number: int, candidate: Candidate, earlier: Sequence[TrialRecord]) -> Trial:
        space, goal = self.config.space, self.config.goal
        first_epochs = space.recipe.trial_epochs
        return Trial(
            spec=space.spec(candidate, self.window),
            precision=candidate.precision,
            recipe=space.trained_by(candidate),
            float_recipe=space.float_recipe,
            mirror_x=space.input_set(candidate.inputs).mirror_x,
            seed=self.config.seed + number,
            goal=goal,
            first_epochs=first_epochs if first_epochs < candidate.epochs else 0,
            rivals=tuple(goal.point(r.result.first) for r in earlier if r.result.first),
        )

    def _tell(self, records: Sequence[TrialRecord]) -> None:
        goal = self.config.goal
        front = front_of(goal, records)
        volume = goal.volume([point.measured for point in front])
        self.on_progress(Progress("trials", len(records), self.trials, len(front), volume))

    def on_final(self, done: int, total: int) -> None:
        """Take note of networks of the final table that are trained."""
        self.on_progress(Progress("final training", done, total, 0, 0.0))


def _finalists(
    config: SearchConfig, records: Sequence[TrialRecord], window: tuple[int, int]
) -> list[Finalist]:
    goal, space = config.goal, config.space
    most = inf if config.budget is None else config.budget
    front = front_of(goal, records)
    if not front:
        raise ConfigError(why_no_front(goal, records))
    chosen = [
        Finalist(
            name=point.name,
            kind="front",
            training=trial_name(point.record.number),
            trial=point.record.number,
            spec=space.spec(point.record.candidate, window),
            inputs=point.record.candidate.inputs,
            precision=point.record.candidate.precision,
            recipe=space.trained_by(point.record.candidate),
            mirror_x=space.input_set(point.record.candidate.inputs).mirror_x,
            limit=min(goal.point(point.measured)[1] * _APART, most)
            if point.record.candidate.kind == "learned"
            else None,
        )
        for point in spaced(goal, front, _APART)
    ]
    trials = list(dict.fromkeys(one.training for one in chosen))
    chosen.sort(key=lambda one: trials.index(one.training))
    return chosen + uniform_finalists(config, window)
