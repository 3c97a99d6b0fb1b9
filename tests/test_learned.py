"""Bits learned under a budget: what training promises, and that the result is exact."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixelsieve.core.errors import ConfigError, ConstantLogitError, DataError
from pixelsieve.features import FeatureSet, FeatureTable
from pixelsieve.integer import logic
from pixelsieve.integer.logic import check_exactness
from pixelsieve.integer.network import from_model
from pixelsieve.metrics.metrics import on_front, roc_auc
from pixelsieve.networks.layers import Conv, Dense, Flatten, MaxPool
from pixelsieve.networks.model_file import Card, Model
from pixelsieve.networks.precision import LearnedPrecision
from pixelsieve.networks.spec import NetworkSpec, initial_weights
from pixelsieve.studies.endings import Refined
from pixelsieve.training.engine import Checkpoint, EpochRecord, Rows, Session
from pixelsieve.training.learned import (
    MixedNetwork,
    Snapshot,
    keep_unbeaten,
    refine_learned,
    train_learned,
)
from pixelsieve.training.recipe import LEARNED, REFINED, Recipe
from pixelsieve.training.run import Offer

from .conftest import make_clusters

SPEC = NetworkSpec(
    "small",
    (
        Dense("hidden", 6, ("y_size", "z_global", "y_local")),
        Dense("output", 1, ("hidden",), relu=False),
    ),
)
PRECISION = LearnedPrecision(budget_ebops=60)
RECIPE = replace(LEARNED, epochs=80, batch_size=32, initial_rate=2e-2, end_rate=1e-2)


@lru_cache(maxsize=1)
def tables() -> tuple[FeatureTable, FeatureTable]:
    features = FeatureSet(SPEC.features, mirror_x=True)
    return features.table(make_clusters(800)), features.table(make_clusters(400, seed=1))


def run(precision: LearnedPrecision = PRECISION, **more: Any) -> list[MixedNetwork]:
    training, validation = tables()
    arguments: dict[str, Any] = {"seed": 5, "monitors": {"auc": roc_auc}, **more}
    recipe = arguments.pop("recipe", RECIPE)
    start = initial_weights(SPEC, 3)
    rows = Rows(training, validation)
    return train_learned(SPEC, precision, recipe, start, rows, Session(**arguments))[0]


@lru_cache(maxsize=1)
def found() -> list[MixedNetwork]:
    return run()


def test_the_budget_is_reached_by_candidates_of_many_sizes() -> None:
    history: list[EpochRecord] = []
    several = run(report=history.append)
    sizes = [c.ebops for c in several]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 2 * sizes[-1]
    assert history[-1]["ebops"] <= 1.3 * PRECISION.budget_ebops
    assert history[0]["ebops"] > 3 * PRECISION.budget_ebops
    assert [r["epoch"] for r in history] == list(range(RECIPE.epochs))
    for one in several:
        for other in several:
            assert one is other or one.ebops != other.ebops or one.merits == other.merits
            assert not (one.ebops > other.ebops and one.merits["auc"] < other.merits["auc"])


@pytest.mark.parametrize("precision", [PRECISION, replace(PRECISION, cost="ebops", rounding="RND")])
def test_candidates_are_exact_and_see_in_training_what_they_are(
    precision: LearnedPrecision,
) -> None:
    training, validation = tables()
    several = found() if precision == PRECISION else run(precision)
    for candidate in (several[0], several[-1]):
        model = candidate.model(SPEC, training.features, Card())
        integers = from_model(model)
        logits = integers.run(integers.input_codes(training))
        scale = 2.0**integers.logit_fraction_bits
        np.testing.assert_array_equal(model.logits(training).astype(np.float64) * scale, logits)
        # Ranges hold the training set: no activation is cut or wrapped there.
        counters = integers.trace(integers.input_codes(training)).counters
        assert not any(c.saturated for c in counters)
        got = roc_auc(model.logits(validation), validation.labels)
        assert got == pytest.approx(candidate.merits["auc"], abs=0.02)


def test_the_same_seed_gives_the_same_networks() -> None:
    recipe = replace(RECIPE, epochs=8)
    one, other = run(recipe=recipe), run(recipe=recipe)
    assert [c.precision for c in one] == [c.precision for c in other]
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a.weights["hidden"]["kernel"], b.weights["hidden"]["kernel"])
    different = run(recipe=recipe, seed=6)
    assert [c.ebops for c in one] != [c.ebops for c in different]


class StoppedError(Exception):
    pass


@pytest.mark.parametrize("stop_after", [1, 5, 12])
def test_a_stopped_training_goes_on_to_the_same_networks(tmp_path: Path, stop_after: int) -> None:
    recipe = replace(RECIPE, epochs=16)

    def stop(record: EpochRecord) -> None:
        if record["epoch"] == stop_after + 1:
            raise StoppedError

    path = tmp_path / "job.npz"
    with pytest.raises(StoppedError):
        run(recipe=recipe, checkpoint=Checkpoint(path, "mark", every_s=0), report=stop)
    seen: list[float] = []
    resumed = run(
        recipe=recipe,
        checkpoint=Checkpoint(path, "mark", every_s=0),
        report=lambda r: seen.append(r["epoch"]),
    )
    assert seen[0] == stop_after + 1
    undisturbed = run(recipe=recipe)
    assert [(c.epoch, c.ebops, c.merits, c.precision) for c in resumed] == [
        (c.epoch, c.ebops, c.merits, c.precision) for c in undisturbed
    ]
    for one, other in zip(resumed, undisturbed, strict=True):
        for layer, values in one.weights.items():
            for name, value in values.items():
                np.testing.assert_array_equal(value, other.weights[layer][name])


def test_soft_labels_and_copies_take_the_place_of_labels_and_inputs() -> None:
    training, validation = tables()
    recipe, start = replace(RECIPE, epochs=8), initial_weights(SPEC, 3)

    def front_of(recipe: Recipe, **more: Any) -> list[tuple[float, dict[str, float]]]:
        rows = Rows(training, validation, **more)
        session = Session(5, {"auc": roc_auc})
        several, _ = train_learned(SPEC, PRECISION, recipe, start, rows, session)
        return [(c.ebops, c.merits) for c in several]

    plain = front_of(recipe)
    assert front_of(recipe, copies=[training], soft_labels=[training.labels]) == plain
    assert front_of(recipe, soft_labels=[1 - training.labels]) != plain
    # At a temperature the teacher's part has a loss of its own; a share of 0 leaves the labels.
    heated = replace(recipe, distillation=0.5, temperature=3.0)
    told = np.stack([training.labels, np.full(len(training), 0.5, np.float32)], axis=1)
    assert front_of(heated, soft_labels=[told]) != plain
    other = FeatureSet(SPEC.features, mirror_x=True).table(make_clusters(800, seed=7))
    shown = replace(training, inputs=other.inputs)
    assert front_of(recipe, copies=[training, shown]) != plain


IMAGES = NetworkSpec(
    "images",
    (
        Conv("conv", 3, (3, 2), ("log_charges",)),
        MaxPool("pool", (2, 2), ("conv",)),
        Conv("narrow", 2, (2, 2), ("pool",), padding="valid"),
        Flatten("flat", ("narrow",)),
        Dense("hidden", 4, ("flat", "z_global")),
        Dense("output", 1, ("hidden",), relu=False),
    ),
)


def test_bits_of_convolutions_are_learned_and_exact() -> None:
    features = FeatureSet(IMAGES.features, mirror_x=True)
    rows = Rows(features.table(make_clusters(600)), features.table(make_clusters(300, seed=1)))
    history: list[EpochRecord] = []
    several, _ = train_learned(
        IMAGES,
        LearnedPrecision(budget_ebops=3000),
        replace(RECIPE, epochs=30),
        initial_weights(IMAGES, 3),
        rows,
        Session(5, {"auc": roc_auc}, report=history.append),
    )
    assert history[-1]["ebops"] < 0.5 * history[1]["ebops"]
    assert max(c.merits["auc"] for c in several) > 0.8
    for candidate in (several[0], several[-1]):
        model = candidate.model(IMAGES, features, Card())
        integers = from_model(model)
        logits = integers.run(integers.input_codes(rows.training))
        keras = model.logits(rows.training).astype(np.float64)
        np.testing.assert_array_equal(keras * 2.0**integers.logit_fraction_bits, logits)
        assert not any(
            c.saturated for c in integers.trace(integers.input_codes(rows.training)).counters
        )
        got = roc_auc(model.logits(rows.validation), rows.validation.labels)
        assert got == pytest.approx(candidate.merits["auc"], abs=0.02)
        # What training counts is what the integers have, but for the biases and unused digits.
        biases = sum(prod(IMAGES.shapes()[layer]) for layer in model.weights) * 16
        assert 0 < logic.ebops(integers) <= candidate.ebops + biases


def test_refining_keeps_bits_and_zeros() -> None:
    training, validation = tables()
    candidate = found()[-1]
    refined = refine_learned(
        SPEC,
        PRECISION,
        replace(REFINED, epochs=10, batch_size=64, initial_rate=2e-2),
        candidate,
        Rows(training, validation),
        Session(1, {"auc": roc_auc}),
    )
    assert len(refined) == 1
    (better,) = refined
    kernel, before = (c.weights["hidden"]["kernel"] for c in (better, candidate))
    assert not np.array_equal(kernel, before)
    assert not kernel[before == 0].any()
    bits = candidate.variables["hidden"]["kernel_bits"]
    scaled = kernel * np.exp2(np.rint(bits))
    np.testing.assert_array_equal(scaled, np.rint(scaled))


def test_exact_networks_and_their_front() -> None:
    pytest.importorskip("alkaid", reason="alkaid is not installed")
    training, validation = tables()
    models = [c.model(SPEC, training.features, Card()) for c in found()]
    checked = [check_exactness(m, validation) for m in models]
    assert all(one.passed for one in checked)
    luts = np.array([one.cost.luts for one in checked])
    aucs = np.array([roc_auc(one.logits, validation.labels) for one in checked])
    assert len(checked) > 2
    kept = on_front(aucs, luts)
    best = sorted(set(zip(luts[kept], aucs[kept], strict=True)))
    assert [one[0] for one in best] == sorted({one[0] for one in best})
    assert [one[1] for one in best] == sorted({one[1] for one in best})
    for size, auc in zip(luts, aucs, strict=True):
        assert any(b[0] <= size and b[1] >= auc for b in best)
    nothing = {k: {n: v * 0 for n, v in vs.items()} for k, vs in models[0].weights.items()}
    with pytest.raises(ConstantLogitError):
        check_exactness(replace(models[0], weights=nothing), validation)


def test_the_exact_front_of_a_training_and_what_becomes_of_it() -> None:
    pytest.importorskip("alkaid", reason="alkaid is not installed")
    training, validation = tables()
    models = [c.model(SPEC, training.features, Card()) for c in found()]
    nothing = {k: {n: v * 0 for n, v in vs.items()} for k, vs in models[0].weights.items()}
    refined: list[float | None] = []

    def network(index: int, model: Model) -> Offer:
        def refine() -> list[Offer]:
            refined.append(found()[index].ebops)
            return [network(0, replace(models[0], weights=nothing))]  # of which nothing is left

        one = found()[index]
        return Offer(model, one.epoch, one.ebops, one.merits, refine)

    networks = [network(i, model) for i, model in enumerate(models)]
    largest = networks[0].ebops
    assert largest is not None
    chosen, kept = Refined("n", PRECISION, largest)(networks, validation)
    assert chosen in [one for one, _ in kept.values()]
    assert list(kept) == [f"n_{i:02d}" for i in range(len(kept))]
    points = [exact for _, exact in kept.values() if exact is not None]
    assert len(points) == len(kept) == len(refined) > 2
    sizes = [exact["luts"] for exact in points]
    assert sizes == sorted(sizes, reverse=True)
    assert not any(exact["differing"] for exact in points)
    # Each network is smaller, or better in one of the two merits, than every other.
    traced = {
        name: check_exactness(one.model, validation).cost.traced_luts
        for name, (one, _) in kept.items()
    }
    for name, (_, exact) in kept.items():
        assert exact is not None
        smaller = [kept[n][1] or {} for n, luts in traced.items() if luts < traced[name]]
        assert any(
            all(other[merit] < exact[merit] for other in smaller)
            for merit in ("auc", "rejection_98")
        )
    assert set(refined) == {one.ebops for one, _ in kept.values()}
    with pytest.raises(ConfigError, match="--refine 1: no network of so few EBOPs"):
        Refined("n", PRECISION, 1.0)(networks, validation)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), min_size=1, max_size=12))
def test_the_archive_holds_what_nothing_beats(met: list[tuple[int, int]]) -> None:
    archive: list[Snapshot] = []
    for epoch, (ebops, auc) in enumerate(met):
        keep_unbeaten(archive, Snapshot(epoch, float(ebops), {"auc": float(auc)}, {}))
    kept = {(m.ebops, m.merits["auc"]) for m in archive}
    assert len(kept) == len(archive)
    for ebops, auc in met:
        assert ((ebops, auc) in kept) != any(
            e <= ebops and a >= auc and (e, a) != (ebops, auc) for e, a in kept
        )


@pytest.mark.parametrize("hold", [0.0, 0.02])
def test_without_a_hold_the_budget_is_reached_from_above(hold: float) -> None:
    history: list[EpochRecord] = []
    several = run(replace(PRECISION, hold=hold), report=history.append)
    sizes = [one["ebops"] for one in history]
    assert sizes[5] > PRECISION.budget_ebops
    assert 0.5 * PRECISION.budget_ebops < sizes[-1] < 1.3 * PRECISION.budget_ebops
    assert max(c.merits["auc"] for c in several) > 0.6


def test_what_cannot_be_trained_is_one_line() -> None:
    with pytest.raises(ConfigError, match="epochs is 2; expected at least 3"):
        run(recipe=replace(RECIPE, epochs=2))
    with pytest.raises(DataError, match=r"batch_size is 4096, the training set has 800 rows"):
        run(recipe=replace(RECIPE, batch_size=4096))
