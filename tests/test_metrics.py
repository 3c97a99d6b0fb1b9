from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import roc_auc_score

from pixelsieve.core.errors import ConfigError, DataError
from pixelsieve.evaluation.baselines import boosted_trees, time_cut, time_of
from pixelsieve.features import FeatureSet
from pixelsieve.metrics.metrics import (
    EFFICIENCIES,
    accuracy,
    auc_of,
    rank,
    rejection_at,
    rejection_of,
    roc_auc,
    roc_curve,
    tie_loss_at,
)
from pixelsieve.metrics.statistics import (
    METRICS,
    PairedTest,
    bootstrap,
    corrected,
    paired_test,
    score,
    summarize,
)
from tests.conftest import make_clusters, random_logits

SCORED = st.lists(st.tuples(st.integers(-4, 4), st.booleans()), min_size=2, max_size=60).filter(
    lambda rows: len({s for _, s in rows}) == 2
)


@given(SCORED)
def test_auc_equals_counting_pairs(rows: list[tuple[int, bool]]) -> None:
    signal = [x for x, s in rows if s]
    bib = [x for x, s in rows if not s]
    pairs = [1.0 if a > b else 0.5 if a == b else 0.0 for a in signal for b in bib]
    scores, labels = np.array([x for x, _ in rows]), np.array([s for _, s in rows])
    assert roc_auc(scores, labels) == pytest.approx(sum(pairs) / len(pairs), abs=1e-12)


def scored_rows(kind: str, number: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    rows = st.lists(st.tuples(number, st.booleans()), min_size=2, max_size=12)
    both = rows.filter(lambda rows: len({s for _, s in rows}) == 2)
    return both.map(lambda r: (np.array([x for x, _ in r], kind), np.array([s for _, s in r])))


ANY_SCORES = (
    scored_rows("f8", st.floats(allow_nan=False, allow_infinity=False))
    | scored_rows("f4", st.floats(allow_nan=False, allow_infinity=False, width=32))
    | scored_rows("i8", st.integers(-(2**53), 2**53))
    | scored_rows("u1", st.integers(0, 255))
)
"""Scores of every kind that has a meaning: subnormal, -0.0 beside 0.0, the ends of their type."""


@given(ANY_SCORES)
def test_any_numbers_are_ranked_as_their_pairs_are(
    scored: tuple[NDArray[Any], NDArray[np.bool_]],
) -> None:
    scores, labels = scored
    signal, bib = scores[labels].tolist(), scores[~labels].tolist()
    pairs = [Fraction(1) if a > b else Fraction(a == b, 2) for a in signal for b in bib]
    expected = float(sum(pairs, start=Fraction(0)) / len(pairs))
    assert roc_auc(scores, labels) == pytest.approx(expected, abs=1e-12)
    rejection, achieved, threshold = rejection_at(scores, labels, 0.9)
    kept = [sum(a >= t for a in signal) for t in set(signal) | set(bib)]
    enough = [k for k in kept if k >= 0.9 * len(signal)]
    assert round(achieved * len(signal)) == min(enough)
    assert round((1 - rejection) * len(bib)) == sum(b >= threshold for b in bib)
    assert sum(a >= threshold for a in signal) == min(enough)


@given(SCORED, st.integers(0, 2**32))
def test_weights_count_a_cluster_so_many_times(rows: list[tuple[int, bool]], seed: int) -> None:
    scores, labels = np.array([x for x, _ in rows]), np.array([s for _, s in rows])
    counts = np.random.default_rng(seed).integers(0, 4, len(rows))
    repeated = np.repeat(np.arange(len(rows)), counts)
    if len(set(labels[repeated])) < 2:
        return
    weighted = rank(scores, labels).kept(counts.astype(float))
    again = scores[repeated], labels[repeated]
    assert float(auc_of(*weighted)) == pytest.approx(roc_auc(*again), abs=1e-12)
    for efficiency in EFFICIENCIES:
        found = float(rejection_of(*weighted, efficiency)[0])
        assert found == pytest.approx(rejection_at(*again, efficiency)[0], abs=1e-12)


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=10), st.booleans())
def test_one_class_alone_has_no_figure(values: list[int], signal: bool) -> None:
    scores, labels = np.array(values), np.full(len(values), signal)
    for figure in (roc_auc, roc_curve, score, lambda s, n: rejection_at(s, n, 0.9)):
        with pytest.raises(DataError, match="only one class"):
            figure(scores, labels)


@given(SCORED, st.sampled_from([0.5, 0.9, 0.95, 0.98, 0.99, 1.0]))
def test_rejection_equals_trying_every_threshold(
    rows: list[tuple[int, bool]], efficiency: float
) -> None:
    signal = np.array([x for x, s in rows if s])
    bib = np.array([x for x, s in rows if not s])
    enough = [t for t in range(-5, 6) if np.mean(signal >= t) >= efficiency - 1e-12]
    best = max(enough)
    scores, labels = np.array([x for x, _ in rows]), np.array([s for _, s in rows])
    rejection, achieved, threshold = rejection_at(scores, labels, efficiency)
    assert rejection == pytest.approx(np.mean(bib < best))
    assert achieved == pytest.approx(np.mean(signal >= best))
    assert np.mean(signal >= threshold) == pytest.approx(achieved)
    assert achieved >= efficiency - 1e-12


def test_ties_count_against_us() -> None:
    scores, labels = np.zeros(10), np.arange(10) % 2
    assert rejection_at(scores, labels, 0.9) == (0.0, 1.0, 0.0)
    assert roc_auc(scores, labels) == 0.5
    assert accuracy(scores, labels) == 0.5


@given(SCORED, st.integers(-5, 5))
def test_accuracy_keeps_what_the_keep_bit_keeps(rows: list[tuple[int, bool]], code: int) -> None:
    right = sum((score >= code) == signal for score, signal in rows)
    scores, labels = np.array([x for x, _ in rows]), np.array([s for _, s in rows])
    assert accuracy(scores, labels, code) == pytest.approx(right / len(rows))
    interval = bootstrap([scores], labels, np.arange(len(rows)), threshold=code)["accuracy"]
    assert 0 <= interval.low <= interval.high <= 1
    if right in (0, len(rows)):  # no resample can differ
        assert interval.low == interval.high == right / len(rows)


@given(SCORED, st.sampled_from([0.5, 0.9, 0.98, 1.0]))
def test_ties_cost_what_a_random_choice_among_them_would_save(
    rows: list[tuple[int, bool]], efficiency: float
) -> None:
    scores, labels = np.array([x for x, _ in rows]), np.array([s for _, s in rows])
    rejection, _, threshold = rejection_at(scores, labels, efficiency)
    signal, bib = scores[labels], scores[~labels]
    # Of the clusters at the threshold so many of the signal need not be kept, and so many BIB.
    spare = np.sum(signal >= threshold) - efficiency * len(signal)
    saved = max(spare, 0) / np.sum(signal == threshold) * np.sum(bib == threshold)
    loss = tie_loss_at(scores, labels, efficiency)
    assert loss == pytest.approx(saved / len(bib), abs=1e-9)
    assert 0 <= loss <= 1 - rejection + 1e-12
    apart = scores + np.linspace(0, 0.5, len(scores))
    assert tie_loss_at(apart, labels, efficiency) <= 1 / len(bib)


@given(st.integers(0, 1000))
def test_row_order_changes_nothing(seed: int) -> None:
    scores, labels = random_logits(80, seed)
    order = np.random.default_rng(seed).permutation(80)
    assert score(scores, labels) == score(scores[order], labels[order])


@settings(max_examples=20)
@given(st.integers(0, 1000))
def test_row_order_changes_no_interval(seed: int) -> None:
    scores, labels = random_logits(60, seed)
    groups = np.arange(60) // 2
    order = np.random.default_rng(seed).permutation(60)
    first = bootstrap([scores], labels, groups, resamples=30)
    assert first == bootstrap([scores[order]], labels[order], groups[order], resamples=30)


def test_auc_agrees_with_scikit_learn() -> None:
    scores, labels = random_logits(5000)
    assert roc_auc(scores, labels) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


def test_the_roc_curve_ends_at_one_and_never_falls() -> None:
    curve = roc_curve(*random_logits(300))
    assert (curve.signal_efficiency[-1], curve.bib_kept[-1]) == (1, 1)
    assert (np.diff(curve.signal_efficiency) >= 0).all()
    assert (np.diff(curve.bib_kept) >= 0).all()


def test_bad_scores_are_refused() -> None:
    scores, labels = random_logits(20)
    scores[3] = np.nan
    with pytest.raises(DataError, match="diverged"):
        roc_auc(scores, labels)
    with pytest.raises(DataError, match="only one class"):
        roc_auc(np.ones(3), np.ones(3))


def test_spread_over_seeds() -> None:
    figures = [score(*random_logits(200, seed)) for seed in range(4)]
    summary = summarize(figures)
    assert set(summary) == set(METRICS)
    values = [f["auc"] for f in figures]
    assert summary["auc"].mean == pytest.approx(np.mean(values))
    assert summary["auc"].spread == pytest.approx(np.std(values, ddof=1))
    assert summarize(figures[:1])["auc"].spread == 0


def test_bootstrap_matches_the_known_error_of_a_share() -> None:
    scores, labels = random_logits(4000)
    interval = bootstrap([scores], labels, np.arange(4000))["accuracy"]
    p = accuracy(scores, labels)
    half = (interval.high - interval.low) / 2
    assert half == pytest.approx(np.sqrt(p * (1 - p) / 4000), rel=0.2)
    assert interval.low < p < interval.high


def test_bootstrap_of_a_handful_has_no_number_that_is_none() -> None:
    scores = np.arange(12.0)
    labels = np.r_[np.zeros(11), 1]
    intervals = bootstrap([scores], labels, np.arange(12))
    assert all(np.isfinite([i.low, i.high]).all() for i in intervals.values())
    assert intervals["rejection_95"].high == 1


def test_bootstrap_draws_whole_groups() -> None:
    scores, labels = random_logits(500)
    doubled = bootstrap([np.tile(scores, 4)], np.tile(labels, 4), np.tile(np.arange(500), 4))
    single = bootstrap([scores], labels, np.arange(500))
    assert doubled == single  # copies within a group bring no information


def test_bootstrap_agrees_with_resampling_by_hand() -> None:
    scores, labels = random_logits(300)
    rng = np.random.default_rng(0)
    draws = rng.multinomial(300, np.full(300, 1 / 300), size=200)
    values = []
    for counts in draws:
        rows = np.repeat(np.arange(300), counts)
        values.append(rejection_at(scores[rows], labels[rows], 0.95)[0])
    interval = bootstrap([scores], labels, np.arange(300))["rejection_95"]
    np.testing.assert_allclose((interval.low, interval.high), np.quantile(values, (0.16, 0.84)))


def test_paired_test_agrees_with_scipy() -> None:
    first, second = [0.91, 0.93, 0.92, 0.95], [0.90, 0.91, 0.92, 0.92]
    got = paired_test("auc", "a", "b", first, second)
    expected = stats.ttest_rel(first, second)
    assert got.p_value == pytest.approx(expected.pvalue)
    low, high = expected.confidence_interval(0.95)
    assert got.low == pytest.approx(low)
    assert got.high == pytest.approx(high)
    assert got.difference == pytest.approx(np.mean(first) - np.mean(second))


def test_paired_test_without_spread_or_seeds() -> None:
    assert paired_test("auc", "a", "b", [0.9], [0.8]).p_value is None
    # Equal differences tell no spread: no p = 0, and no interval of no width.
    for first, second in (
        ([0.9, 0.8], [0.9, 0.8]),
        ([0.5, 0.5], [0.25, 0.25]),
        ([0.9123, 0.9456], [0.9023, 0.9356]),  # not quite equal in floating point
    ):
        got = paired_test("auc", "a", "b", first, second)
        assert (got.p_value, got.low, got.high) == (None, None, None)
        assert got.difference == pytest.approx(first[0] - second[0])


@given(st.lists(st.none() | st.floats(1e-6, 1.0), max_size=8))
def test_p_values_are_corrected_by_holm(p_values: list[float | None]) -> None:
    tests = [PairedTest("auc", "a", "b", 3, 0.1, 0.0, 0.2, p) for p in p_values]
    got = [t.p_corrected for t in corrected(tests)]
    known = [p for p in p_values if p is not None]
    for p, found in zip(p_values, got, strict=True):
        if p is None or found is None:
            assert p is found is None
            continue
        # The definition: the largest of (tests that are no smaller) x p over all no larger p.
        steps = [(len(known) - sum(q < r for q in known)) * r for r in known if r <= p]
        assert found == pytest.approx(min(1.0, max(steps)))
        assert p <= found <= min(1.0, len(known) * p) + 1e-12


def test_holm_gives_the_published_example() -> None:
    tests = [PairedTest("auc", "a", "b", 3, 0.1, 0.0, 0.2, p) for p in (0.01, 0.04, 0.03, 0.005)]
    assert [t.p_corrected for t in corrected(tests)] == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_time_cut_separates_late_background() -> None:
    training, test = make_clusters(3000), make_clusters(2000, seed=1)
    cut = time_cut([training], test, "hit_time_30ps")
    figures = score(cut.scores, test.signal, cut.threshold)
    assert test.hit_time_30ps_ns is not None
    best = max(
        np.mean((np.abs(test.hit_time_30ps_ns) <= t) == (test.signal > 0))
        for t in np.linspace(0, 0.5, 200)
    )
    assert best - 0.01 < figures["accuracy"] <= best + 0.001


def test_the_time_that_a_cut_uses() -> None:
    times = np.zeros(10, np.float32)
    without = make_clusters(10, hit_time_30ps_ns=None)
    assert time_of(without) is None
    assert time_of(without.replace(hit_time_60ps_ns=times)) == "hit_time_60ps"
    both = make_clusters(10, hit_time_60ps_ns=times)
    assert time_of(both) == "hit_time_30ps"
    assert time_of(both, ("x_size", "hit_time_60ps")) == "hit_time_60ps"
    assert time_of(both.replace(hit_time_measured_ns=times)) == "hit_time_measured"


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=30))
def test_a_cut_on_coarse_times_is_the_best_there_is(rows: list[tuple[int, bool]]) -> None:
    n = len(rows) + 2
    times = np.array([0, 1, *(t for t, _ in rows)], np.float32)
    labels = np.array([1, 0, *(s for _, s in rows)], np.int8)
    clusters = make_clusters(n, hit_time_30ps_ns=times, signal=labels)
    cut = time_cut([clusters], clusters, "hit_time_30ps")
    tried = [np.mean((np.abs(times) <= t) == (labels > 0)) for t in (-1, 0, 1, 2, 9)]
    assert accuracy(cut.scores, labels, cut.threshold) == max(tried)


def test_boosted_trees_learn_the_task() -> None:
    features = FeatureSet(("x_size", "y_size", "z_global"), mirror_x=True)
    training, validation, test = (features.table(make_clusters(1500, s)) for s in range(3))
    one, same = (boosted_trees(training, validation, test, seed=0) for _ in range(2))
    assert roc_auc(one.scores, test.labels) > 0.9
    np.testing.assert_array_equal(one.scores, same.scores)


def test_boosted_trees_see_what_lies_beyond_the_inputs_of_a_circuit() -> None:
    features = FeatureSet(("hit_time_30ps",))
    late = np.linspace(1, 20, 400).astype(np.float32)  # ns; the input ends at 0.25 ns
    clusters = make_clusters(400, hit_time_30ps_ns=late, signal=(late < 10).astype(np.int8))
    cut, whole = (features.table(clusters, saturated=s) for s in (True, False))
    assert np.ptp(cut.inputs["hit_time_30ps"]) == 0
    scores = boosted_trees(whole, whole, whole, seed=0).scores
    assert roc_auc(scores, clusters.signal) == 1
    with pytest.raises(ConfigError, match="saturated False in the data, True in the model"):
        whole.require(features, "model")
