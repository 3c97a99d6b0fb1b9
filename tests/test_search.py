"""The search's logic: what is asked, in which order, and what survives an interruption."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pixelsieve.core.config import from_mapping, to_plain
from pixelsieve.core.errors import ConfigError, RunError
from pixelsieve.core.files import file_hash, read_json
from pixelsieve.core.runs import RunFolder
from pixelsieve.core.workers import Task, Workers
from pixelsieve.features import FeatureSet
from pixelsieve.metrics.statistics import Mean
from pixelsieve.networks.layers import Dense
from pixelsieve.networks.model_file import model_hash, save_model
from pixelsieve.networks.precision import LearnedPrecision, Precision
from pixelsieve.networks.spec import NetworkSpec
from pixelsieve.reporting.search import pareto_choices
from pixelsieve.studies import endings
from pixelsieve.studies.endings import Fitting
from pixelsieve.studies.search.final import smaller
from pixelsieve.studies.search.goal import Goal, Measured, SearchConfig
from pixelsieve.studies.search.result import (
    SearchResult,
    Smaller,
    TrialRecord,
    front_of,
    spaced,
    told,
    volumes,
    why_no_front,
)
from pixelsieve.studies.search.run import _Search
from pixelsieve.studies.search.sampler import Told, ask, write_study
from pixelsieve.studies.search.space import (
    Candidate,
    InputSet,
    RecipeChoices,
    SearchSpace,
    read_space,
)
from pixelsieve.studies.search.trial import Trial, TrialResult, _hopeless, train_exactly
from pixelsieve.training.job import Job, TrainingData
from pixelsieve.training.recipe import FLOAT, RECIPES, override
from tests.conftest import make_clusters
from tests.tiny_networks import tiny_model

SPACE = SearchSpace()
CONFIG = SearchConfig(SPACE, generation=4, references=())
WINDOW = (13, 21)


def measured(quality: float, luts: float) -> Measured:
    return Measured(quality, quality, quality, quality, quality, quality, luts, 5.0, 100, 0)


def result_of(trial: Trial) -> TrialResult:
    """Made up from the trial alone, as a real one is; some are stopped, some fail."""
    units = sum(layer.units for layer in trial.spec.layers if isinstance(layer, Dense))
    if isinstance(trial.precision, LearnedPrecision):
        sizes = [measured(0.4 + 0.1 * i, units * 2.0**i) for i in range(1 + trial.seed % 3)]
        return TrialResult("complete", networks=tuple(sizes))
    luts = units * trial.precision.weight_bits * (1 + trial.seed % 3)
    first = measured(0.5 + 0.4 * units / (units + 20), luts)
    if trial.seed % 7 == 3:
        return TrialResult("failed", "no luck")
    if reason := _hopeless(first, trial):
        return TrialResult("stopped", reason, first)
    return TrialResult("complete", None, first, (measured(first.auc + 0.01, luts),))


class Pool:
    """Does the tasks in an order of its own; is cut off after `lives` of them."""

    def __init__(self, seed: int, lives: int = 10_000) -> None:
        self.random = random.Random(seed)
        self.lives = lives
        self.ran: list[str] = []

    def run(
        self, tasks: Sequence[Task], on_report: Callable[[str, Any], None] | None = None
    ) -> Iterator[tuple[str, Any]]:
        del on_report
        for task in self.random.sample(list(tasks), len(tasks)):
            if len(self.ran) == self.lives:
                raise KeyboardInterrupt
            self.ran.append(task.name)
            result = result_of(task.arguments[0])
            yield task.name, (result, [b"model"] * len(result.networks))


def run(folder: Path, pool: Pool, config: SearchConfig = CONFIG, trials: int = 26) -> list[Any]:
    for name in ("trials", "models"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    study = _Search(config, WINDOW, RunFolder(folder), trials, lambda _: None)
    return [to_plain(record) for record in study.run(cast(Workers, pool))]


def test_the_order_of_completion_does_not_matter(tmp_path: Path) -> None:
    first = run(tmp_path / "a", Pool(0))
    assert run(tmp_path / "b", Pool(1)) == first
    states = {r["result"]["state"] for r in first}
    assert states == {"complete", "stopped", "failed"}
    journals = [(tmp_path / n / "study.journal").exists() for n in "ab"]
    assert journals == [True, True]


@pytest.mark.parametrize("lives", [0, 1, 3, 4, 5, 11, 25])
def test_cut_off_anywhere_nothing_is_lost_or_run_twice(tmp_path: Path, lives: int) -> None:
    whole = run(tmp_path / "whole", Pool(0))
    cut, rest = Pool(2, lives), Pool(3)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", cut)
    assert run(tmp_path / "cut", rest) == whole
    assert sorted(cut.ran + rest.ran) == [f"trial_{n:04d}" for n in range(26)]


def test_a_longer_search_begins_like_a_shorter_one(tmp_path: Path) -> None:
    short = run(tmp_path / "s", Pool(0), trials=10)
    assert run(tmp_path / "s", pool := Pool(0), trials=26)[:10] == short
    assert len(pool.ran) == 16
    assert run(tmp_path / "l", Pool(5), trials=26)[:10] == short


def test_trials_stop_by_what_earlier_generations_did(tmp_path: Path) -> None:
    rivals: dict[int, int] = {}

    class Watching(Pool):
        def run(self, tasks: Sequence[Task], on_report: Any = None) -> Iterator[tuple[str, Any]]:
            rivals.update({t.arguments[0].seed: len(t.arguments[0].rivals) for t in tasks})
            return super().run(tasks, on_report)

    records = run(tmp_path, Watching(0), trials=12)
    with_first = [r["result"]["first"] is not None for r in records]
    assert rivals == {n: sum(with_first[: n // 4 * 4]) for n in range(12)}


def test_damaged_and_foreign_records_are_one_line(tmp_path: Path) -> None:
    run(tmp_path, Pool(0), trials=4)
    path = tmp_path / "trials" / "trial_0002.json"
    whole, plain = path.read_text(), json.dumps(read_json(path))
    for text, what in (
        (whole[:100], "not valid JSON"),
        ("[]", "expected a table"),
        (whole.replace('"epochs"', '"epoch"'), "damaged or was edited"),
        (plain.replace('"epochs"', '"epoch"'), "did you mean 'epochs'"),
        (plain.replace('"weight_bits": ', '"weight_bits": 1'), "holds another trial"),
    ):
        path.write_text(text)
        with pytest.raises(RunError, match="remove the file and the trial is run again") as error:
            run(tmp_path, Pool(0), trials=4)
        assert what in str(error.value)
        assert str(path) in str(error.value)
    path.unlink()
    assert len(run(tmp_path, pool := Pool(0), trials=4)) == 4
    assert pool.ran == ["trial_0002"]
    assert path.read_text() == whole


def test_asking_depends_on_seed_generation_and_what_is_told() -> None:
    heard: list[Told] = []
    asked = ask(SPACE, heard, seed=0, generation=0, count=24)
    assert asked == ask(SPACE, heard, seed=0, generation=0, count=24)
    assert asked != ask(SPACE, heard, seed=1, generation=0, count=24)
    assert asked != ask(SPACE, heard, seed=0, generation=1, count=24)
    assert len({c.depth for c in asked}) == 3
    assert {c.inputs for c in asked} == {"scalars", "profiles"}
    # Wide networks are bad, narrow ones good: the sampler takes to narrow ones.
    cost = [float(sum(c.hidden)) for c in asked]
    heard = [Told(c, (1 / x, x)) for c, x in zip(asked, cost, strict=True)]
    taught = ask(SPACE, heard, seed=0, generation=2, count=24)
    assert sum(sum(c.hidden) for c in taught) < 0.7 * sum(cost)
    failed = [replace(one, point=None) for one in heard]
    assert taught != ask(SPACE, failed, seed=0, generation=2, count=24)


def test_the_study_opens_in_optuna(tmp_path: Path) -> None:
    import optuna

    heard = [
        Told(c, (0.5, 8.0) if i else None, {"state": "complete"})
        for i, c in enumerate(ask(SPACE, [], seed=0, generation=0, count=3))
    ]
    (tmp_path / "study.journal").write_text('{"op_code": 0, "wor', encoding="utf-8")
    for _ in range(2):  # made anew, neither read nor appended to
        write_study(tmp_path / "study.journal", SPACE, heard)
    backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "study.journal"))
    study = optuna.load_study(study_name=None, storage=optuna.storages.JournalStorage(backend))
    assert [t.state.name for t in study.trials] == ["FAIL", "COMPLETE", "COMPLETE"]
    assert study.trials[1].values == [0.5, 3.0]
    assert study.trials[1].params["inputs"] == heard[1].candidate.inputs
    assert [p.name for p in tmp_path.iterdir()] == ["study.journal"]


def candidate(**changes: Any) -> Candidate:
    one: dict[str, Any] = {
        "inputs": "profiles",
        "branches": False,
        "depth": 2,
        "widths": (8, 4, 16),
        "kind": "uniform",
        "weight_bits": 4,
        "activation_bits": 5,
        "input_bits": 6,
        "budget_ebops": 300.0,
        "recipe": "sieve",
        "initial_rate": 0.01,
        "epochs": 100,
        "learned_epochs": 300,
    }
    return Candidate(**one | changes)


def test_candidates_become_networks() -> None:
    spec = SPACE.spec(candidate(), WINDOW)
    assert spec.features == ("x_profile", "z_global", "y_profile", "y_local")
    assert spec.n_parameters == 37 * 8 + 9 * 4 + 5
    forked = SPACE.spec(candidate(branches=True), WINDOW)
    assert [layer.inputs for layer in forked.layers[:3]] == [
        ("x_profile", "z_global"),
        ("y_profile", "y_local"),
        ("x_dense1", "y_dense1"),
    ]
    assert forked.n_parameters == 23 * 8 + 15 * 8 + 17 * 4 + 5
    timed = SPACE.with_feature("hit_time_30ps").spec(candidate(), WINDOW)
    assert timed.features[-1] == "hit_time_30ps"
    assert SPACE.with_feature("z_global") == SPACE
    lone = SearchSpace(inputs=(InputSet("z", ("z_global",)),))
    one_sided = lone.spec(candidate(inputs="z", branches=True, depth=1), WINDOW)
    assert [layer.name for layer in one_sided.layers] == ["dense1", "output"]
    learned = candidate(kind="learned")
    assert learned.precision == LearnedPrecision(300.0, input_bits=6)
    assert SPACE.trained_by(learned).epochs == 300
    recipe = SPACE.trained_by(candidate())
    assert (recipe.epochs, recipe.initial_rate, recipe.scales) == (100, 0.01, "per_layer")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[architecture]\nwidth = [4]", "'architecture': unknown key 'width' (did you mean 'widt"),
        ("[architecture]\nwidths = []", "widths is empty; expected at least one value"),
        ("[architecture]\nwidths = [0]", "widths holds 0; expected 1 to 512"),
        ("[architecture]\ndepths = [2, 2]", "depths is [2, 2]; a value appears twice"),
        ("[precision]\nweights = [1]", "weights holds 1; expected 2 to 16"),
        ("[precision]\nkinds = ['learnt']", "'learnt' (did you mean 'learned'?)"),
        ("[precision]\nbudgets = [0.0]", "budget_ebops is 0"),
        ("[precision]\ninputs = 4", "'inputs' is 4; expected a list"),
        ("inputs = []", "inputs is empty; expected at least one table [[inputs]]"),
        ('[[inputs]]\nname = "a"\nfeatures = ["x_profil"]', "did you mean 'x_profile'"),
        ('[[inputs]]\nname = "a"\nfeatures = []', "inputs 'a': features: the list is empty"),
        ('[recipe]\nnames = ["siev"]', "unknown recipe 'siev' (did you mean 'sieve'?)"),
        ('[recipe]\nnames = ["original"]', "'original' cannot be searched"),
        ("[recipe]\ninitial_rates = [1e-2, 1e-3]", "expected the lowest and the highest"),
        ("[recipe]\nepochs = [0]", "epochs holds 0"),
        ("[recipe]\nlearned_epochs = [2]", "learned_epochs holds 2; expected 3 to"),
        ("[recipe]\ninitial_rates = [1e-3, inf]", "expected the lowest and the highest"),
        ('[[inputs]]\nname = "a"\nfeatures = ["log_charges"]', "inputs 'a': network 'dense_4', l"),
        ("recipes = 3", "belong in --recipes-file"),
    ],
)
def test_a_wrong_space_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "space.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        read_space(path)
    assert message in str(error.value)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_recipes_that_no_trial_could_train_with_are_one_line() -> None:
    taught = override(RECIPES["sieve"], name="r", distillation=0.5, teacher="boosted_trees")
    skipping = override(RECIPES["sieve"], name="r", skip_layers=("dense2",))
    for one, message in (
        (taught, "recipe: 'r' has the teacher 'boosted_trees', which a search does not train"),
        (skipping, "recipe 'r': skip_layers: network 'dense_4' has no layer 'dense2'"),
    ):
        with pytest.raises(ConfigError, match=message):
            replace(SPACE, recipe=RecipeChoices(names=("r",)), recipes=(one,))
    deep = replace(SPACE.architecture, depths=(2, 3), branches=(False,))
    space = replace(
        SPACE, architecture=deep, recipe=RecipeChoices(names=("r",)), recipes=(skipping,)
    )
    assert space.recipes == (skipping,)


def test_uniform_networks_are_named_and_trained_as_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'name = "small"\n[[layers]]\nkind = "dense"\nname = "output"\nunits = 1\n'
        'inputs = ["z_global"]\nrelu = false\n'
    )
    space = replace(SPACE, recipe=RecipeChoices(batch_size=128))
    config = SearchConfig(space, references=("model2", str(path)))
    assert [name for name, _ in config.uniform()] == ["model2", "small"]
    assert config.uniform_recipe == override(RECIPES["sieve"], batch_size=128)


def test_a_network_of_no_cost_divides_nothing() -> None:
    def line(name: str, kind: str, quality: float, luts: float) -> Any:
        return SimpleNamespace(
            name=name, kind=kind, validation=Mean(quality, 0.0), cost=lambda _name: luts
        )

    table = [line("a", "front", 0.9, 0.0), line("b", "uniform", 0.8, 70.0)]
    assert smaller(table, GOAL) == [Smaller("b", "a", 70.0)]


def test_a_network_that_is_saved_again_is_the_same(tmp_path: Path) -> None:
    one, again, other = (tmp_path / f"{name}.keras" for name in ("one", "again", "other"))
    for path, seed in ((one, 1), (again, 1), (other, 2)):
        save_model(path, tiny_model(4, seed))
    assert file_hash(one) != file_hash(again)  # Keras's part has a date
    assert model_hash(one) == model_hash(again) != model_hash(other)


@pytest.mark.parametrize(
    ("further", "taken"),
    [
        ([(0.91, 90)], (0.91, 90)),
        ([(0.91, 101)], (0.9, 100)),  # better, but over the limit
        ([(0.89, 50)], (0.9, 100)),
        ([(0.9, 80), (0.9, 70)], (0.9, 70)),
        ([], (0.9, 100)),
    ],
)
def test_further_training_is_taken_where_it_is_better_and_fits(
    monkeypatch: pytest.MonkeyPatch, further: list[tuple[float, float]], taken: tuple[float, float]
) -> None:
    asked = []

    def network(quality: float, luts: float) -> Any:
        def refine() -> list[Any]:
            asked.append((quality, luts))
            return [network(*point) for point in further]

        return SimpleNamespace(point=(quality, luts), refine=refine)

    def exact(networks: Sequence[Any], _: Any) -> Any:
        return [SimpleNamespace(network=n, measured=measured(*n.point)) for n in networks], []

    monkeypatch.setattr(endings, "_exact", exact)
    found = [network(0.95, 200), network(0.9, 100), network(0.8, 40)]
    tables: Any = None
    chosen, named = Fitting(GOAL, {"a": 100.0}, None)(found, tables)
    assert asked == [(0.9, 100)]
    assert named == {"a": (chosen, to_plain(measured(*taken)))}
    assert chosen.point == taken  # type: ignore[attr-defined]


def final_job() -> tuple[Job, Job, TrainingData]:
    features = FeatureSet(("z_global", "y_local"))
    spec = NetworkSpec("small", (Dense("output", 1, features.names, relu=False),))
    data = TrainingData(
        features.table(make_clusters(400)), features.table(make_clusters(200, seed=1)), "data"
    )
    job = Job(spec, Precision(4), override(RECIPES["sieve"], epochs=2, batch_size=64), 7, label="n")
    floats = Job(spec, None, override(FLOAT, epochs=2, batch_size=64), 7, label="n_float")
    return job, floats, data


def test_a_damaged_file_of_the_final_training_is_one_line(tmp_path: Path) -> None:
    job, floats, data = final_job()
    ending = Fitting(GOAL, {"n": None}, None)
    for name in ("jobs", "models"):
        (tmp_path / name).mkdir()
    kept = train_exactly(job, floats, data, tmp_path, ending)
    assert isinstance(kept, dict)
    path = tmp_path / "jobs" / "n.json"
    assert read_json(path)["networks"][0]["exact"] == to_plain(kept["n"])
    written = path.stat().st_mtime_ns
    other = Fitting(GOAL, {"n": None}, 100.0)
    assert train_exactly(job, floats, data, tmp_path, ending) == kept
    assert path.stat().st_mtime_ns == written
    train_exactly(job, floats, data, tmp_path, other)
    assert path.stat().st_mtime_ns > written  # of other settings
    path.write_text(path.read_text()[:40])
    with pytest.raises(RunError, match="remove the file and the network is trained again") as error:
        train_exactly(job, floats, data, tmp_path, ending)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_lost_model_is_trained_again(tmp_path: Path) -> None:
    job, floats, data = final_job()
    for name in ("jobs", "models"):
        (tmp_path / name).mkdir()

    def trained() -> dict[str, Measured] | str:
        return train_exactly(job, floats, data, tmp_path, Fitting(GOAL, {"n": None}, None))

    path = tmp_path / "models" / "n.keras"
    first = trained()
    written, contents = path.stat().st_mtime_ns, model_hash(path)
    assert isinstance(first, dict)
    assert (trained(), path.stat().st_mtime_ns) == (first, written)
    path.unlink()
    assert trained() == first
    assert model_hash(path) == contents


def test_a_space_in_the_docs_reads() -> None:
    text = (Path(__file__).parents[1] / "docs" / "search.md").read_text()
    import tomllib

    block = text.split("```toml\n")[1].split("```")[0]
    space = from_mapping(SearchSpace, tomllib.loads(block), "docs")
    assert space == SPACE  # the file in the docs is the default, written out


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metric": "rejecton_98"}, "unknown metric 'rejecton_98' (did you mean 'rejection_98'?)"),
        ({"cost": "lut"}, "unknown cost 'lut' (did you mean 'luts'?)"),
        ({"budget": 0.0}, "budget is 0; expected above 0"),
        ({"budget": math.inf}, "budget is inf; expected above 0"),
        ({"references": ("model2", "model2")}, "two networks are called 'model2'"),
        ({"generation": 0}, "generation is 0"),
        ({"references": ("model22",)}, "unknown network 'model22'"),
        ({"references": ("model2",), "reference_bits": (1,)}, "weight_bits is 1"),
    ],
)
def test_wrong_objectives_are_one_line(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        SearchConfig(SPACE, **changes)
    assert message in str(error.value)


GOAL = Goal("rejection_98", "luts", 0.02, None)


def record(number: int, quality: float, luts: float, state: Any = "complete") -> TrialRecord:
    one = measured(quality, luts)
    final = (one,) if state == "complete" else ()
    return TrialRecord(number, candidate(), TrialResult(state, None, one, final))


def test_the_front_takes_only_complete_trials_within_the_budget() -> None:
    records = [
        record(0, 0.7, 500),
        record(1, 0.8, 900),
        record(2, 0.6, 600),
        record(3, 0.9, 100, "stopped"),
        record(4, 0.95, 50, "failed"),
        record(5, 0.9, 5000),
    ]
    assert [p.record.number for p in front_of(GOAL, records)] == [0, 1, 5]
    tight = replace(GOAL, budget=1000)
    assert [p.record.number for p in front_of(tight, records)] == [0, 1]
    found = volumes(GOAL, records)
    assert found == sorted(found)
    assert 0 < found[0] < found[1] == found[2] == found[4] < found[5]
    points = [one.point for one in told(tight, records)]
    assert points == [(0.7, 500), (0.8, 900), (0.6, 600), (0.9, 100), None, (0.0, 5000)]


def test_a_training_of_bits_gives_many_points_and_tells_one() -> None:
    many = (measured(0.3, 10), measured(0.7, 100), measured(0.75, 100_000))
    learned = TrialRecord(0, candidate(kind="learned"), TrialResult("complete", networks=many))
    one = record(1, 0.72, 5000)
    front = front_of(GOAL, [learned, one])
    assert [p.name for p in front] == [
        "trial_0000_00",
        "trial_0000_01",
        "trial_0001",
        "trial_0000_02",
    ]
    assert [t.point for t in told(GOAL, [learned])] == [(0.7, 100)]
    tight = replace(GOAL, budget=50)
    assert [p.name for p in front_of(tight, [learned, one])] == ["trial_0000_00"]
    assert [t.point for t in told(tight, [learned, one])] == [(0.3, 10), (0.0, 5000)]


def test_every_network_of_a_trial_is_a_point_of_the_chart() -> None:
    many = (measured(0.3, 10), measured(0.7, 100))
    records = [
        TrialRecord(0, candidate(kind="learned"), TrialResult("complete", networks=many)),
        record(1, 0.6, 200),
    ]
    metrics: dict[str, Any] = {
        **dict.fromkeys(("budget", "front_end")),
        **{name: [] for name in ("seeds", "left_out", "smaller")},
        "split_by": "hand",
        "clusters": {},
        "metric": "rejection_98",
        "cost": "luts",
        "trials": [r.to_plain() for r in records],
        "front": [p.name for p in front_of(GOAL, records)],
        "rows": [],
        "states": {},
        "hypervolume": [],
    }
    grey, front, _ = pareto_choices(SearchResult.from_plain(metrics, "metrics"))[0].charts[0].series
    assert [(p.x, p.y) for p in front.points] == [(10, 0.3), (100, 0.7)]
    assert [(p.x, p.y) for p in grey.points] == [(200, 0.6)]
    assert front.points[0].told == "trial_0000_00: 8 - 4, profiles, learned bits"
    assert grey.points[0].told == "trial_0001: 8 - 4, profiles, 4/5/6 bits"


def test_of_near_networks_the_best_is_trained_again() -> None:
    records = [record(i, 0.5 + i / 100, 100 * 1.1**i) for i in range(20)]
    chosen = spaced(GOAL, front_of(GOAL, records), 1.25)
    costs = [p.measured.luts for p in chosen]
    assert 8 <= len(chosen) <= 10
    assert chosen[-1].record.number == 19
    assert costs == sorted(costs)


def test_a_budget_that_nothing_meets_is_one_line() -> None:
    goal = replace(GOAL, budget=10)
    records = [record(0, 0.7, 500), record(1, 0.9, 300, "stopped")]
    assert front_of(goal, records) == []
    line = why_no_front(goal, records)
    assert line.startswith(
        "budget 10 luts: none of 2 trials meets it, the smallest network needs 300;"
    )
    failed = [TrialRecord(0, candidate(), TrialResult("failed", "diverged"))]
    assert "e.g. diverged" in why_no_front(GOAL, failed)


def test_hopeless_trials_stop_and_others_do_not() -> None:
    def trial(rivals: Sequence[tuple[float, float]], budget: float | None = None) -> Trial:
        return Trial(
            spec=SPACE.spec(candidate(), WINDOW),
            precision=candidate().precision,
            recipe=SPACE.trained_by(candidate()),
            float_recipe=SPACE.float_recipe,
            mirror_x=False,
            seed=0,
            goal=replace(GOAL, budget=budget),
            first_epochs=15,
            rivals=tuple(rivals),
        )

    one = measured(0.70, 500)
    assert _hopeless(one, trial([])) is None
    assert _hopeless(one, trial([(0.719, 400), (0.9, 501)])) is None
    assert _hopeless(one, trial([(0.73, 500)])) == "dominated by more than 0.02 after 15 epochs"
    assert _hopeless(one, trial([], budget=300)) is None
    assert "over 2 budgets" in str(_hopeless(one, trial([], budget=200)))


def test_a_folder_in_use_is_one_line(tmp_path: Path) -> None:
    with (
        RunFolder(tmp_path / "r").claimed(to_plain(CONFIG)),
        pytest.raises(RunError, match="another process works in this folder"),
        RunFolder(tmp_path / "r").claimed(to_plain(CONFIG)),
    ):
        pass
