from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixelsieve.core.errors import DataError
from pixelsieve.data.clusters import Clusters
from pixelsieve.data.splits import SPLIT_NAMES, assign_by_hash
from pixelsieve.formats.dataset import Dataset
from pixelsieve.studies.evaluate import only
from tests.conftest import make_clusters


@given(st.lists(st.integers(0, 2**63), min_size=1, max_size=50), st.randoms())
def test_a_groups_split_depends_on_the_group_alone(groups: list[int], random: object) -> None:
    keys = np.array(groups, dtype=np.uint64)
    numbers = assign_by_hash(keys)
    order = np.random.default_rng(0).permutation(len(keys))
    np.testing.assert_array_equal(assign_by_hash(keys[order]), numbers[order])
    alone = [int(assign_by_hash(keys[i : i + 1])[0]) for i in range(len(keys))]
    assert alone == numbers.tolist()


GROUPS = st.lists(st.integers(0, 30), min_size=2, max_size=12)


@settings(max_examples=40)
@given(GROUPS, GROUPS, GROUPS)
def test_splits_hold_where_no_group_is_shared_and_only_there(
    first: list[int], second: list[int], third: list[int]
) -> None:
    several = [set(first), set(second), set(third)]
    shared = any(a & b for a, b in combinations(several, 2))
    parts = [part_of(groups, seed) for seed, groups in enumerate((first, second, third))]
    if shared:
        with pytest.raises(DataError, match="splits must share no group"):
            whole(*parts)
    else:
        whole(*parts)


def whole(*parts: Clusters) -> Dataset:
    """Three splits, checked."""
    return Dataset.of(dict(zip(SPLIT_NAMES, parts, strict=True)), whole=True).hold()


def part_of(groups: list[int], seed: int) -> Clusters:
    return make_clusters(len(groups), seed, group_id=np.array(groups, np.int64))


@settings(max_examples=25)
@given(st.lists(st.integers(0, 60), min_size=60, max_size=120), st.booleans(), st.integers(0, 99))
def test_clusters_are_split_whatever_their_order_and_company(
    groups: list[int], with_ids: bool, seed: int
) -> None:
    clusters = part_of(groups, seed)
    if not with_ids:  # equal pixels are one group then
        clusters = clusters.replace(group_id=None)
    split = assign_by_hash(clusters.groups())
    order = np.random.default_rng(seed).permutation(len(clusters))
    np.testing.assert_array_equal(assign_by_hash(clusters.select(order).groups()), split[order])
    half = clusters.select(slice(0, len(clusters) // 2))
    np.testing.assert_array_equal(assign_by_hash(half.groups()), split[: len(half)])
    by_split = [set(clusters.groups()[split == one].tolist()) for one in range(3)]
    assert not any(a & b for a, b in combinations(by_split, 2))


def test_hash_shares_are_as_documented() -> None:
    numbers = assign_by_hash(np.arange(100_000, dtype=np.uint64))
    shares = np.bincount(numbers) / len(numbers)
    np.testing.assert_allclose(shares, (0.70, 0.15, 0.15), atol=0.005)


def test_a_shared_group_is_named() -> None:
    groups = np.arange(100, dtype=np.int64)
    train = make_clusters(100, group_id=groups)
    validation = make_clusters(100, seed=1, group_id=groups + 100)
    leaking = groups + 200
    leaking[10] = 55
    test = make_clusters(100, seed=2, group_id=leaking)
    with pytest.raises(DataError, match="in both train and test, first: group_id 55"):
        whole(train, validation, test)


def test_without_groups_identical_large_clusters_are_a_leak() -> None:
    train = make_clusters(100, group_id=None)
    validation = make_clusters(100, seed=1, group_id=None)
    test = make_clusters(100, seed=2, group_id=None)
    whole(train, validation, test)
    pixels = test.pixels_e.copy()
    pixels[4] = train.pixels_e[np.argmax((train.pixels_e > 0).sum(axis=(1, 2)))]
    with pytest.raises(DataError, match="identical clusters"):
        whole(train, validation, make_clusters(100, seed=2, group_id=None, pixels_e=pixels))


def test_a_split_without_a_class_is_refused() -> None:
    test = make_clusters(50, signal=np.zeros(50, np.int8), group_id=np.arange(50) + 5000)
    with pytest.raises(DataError, match="no signal clusters"):
        whole(
            make_clusters(50),
            make_clusters(50, seed=1, group_id=np.arange(50) + 1000),
            test,
        )


def test_one_split_is_taken_alone_if_it_shares_no_group_with_what_is_there() -> None:
    one_class = make_clusters(50, signal=np.zeros(50, np.int8))
    test = make_clusters(50, seed=1, group_id=np.arange(50) + 1000)
    parts = Dataset.of({"train": one_class, "test": test}, "column")
    assert list(only(parts, "test").parts) == ["test"]
    leaking = Dataset.of({"train": test, "test": test}, "column")
    with pytest.raises(DataError, match="in both train and test"):
        only(leaking, "test")
