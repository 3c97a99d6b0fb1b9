from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixelsieve.errors import DataError
from pixelsieve.formats.dataset import Parts
from pixelsieve.splits import Splits, assign_by_hash
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
        Splits(train, validation, test)


def test_without_groups_identical_large_clusters_are_a_leak() -> None:
    train = make_clusters(100, group_id=None)
    validation = make_clusters(100, seed=1, group_id=None)
    test = make_clusters(100, seed=2, group_id=None)
    Splits(train, validation, test)
    pixels = test.pixels_e.copy()
    pixels[4] = train.pixels_e[np.argmax((train.pixels_e > 0).sum(axis=(1, 2)))]
    with pytest.raises(DataError, match="identical clusters"):
        Splits(train, validation, make_clusters(100, seed=2, group_id=None, pixels_e=pixels))


def test_a_split_without_a_class_is_refused() -> None:
    test = make_clusters(50, signal=np.zeros(50, np.int8), group_id=np.arange(50) + 5000)
    with pytest.raises(DataError, match="no signal clusters"):
        Splits(
            make_clusters(50),
            make_clusters(50, seed=1, group_id=np.arange(50) + 1000),
            test,
        )


def test_one_split_is_taken_alone_if_it_shares_no_group_with_what_is_there() -> None:
    one_class = make_clusters(50, signal=np.zeros(50, np.int8))
    test = make_clusters(50, seed=1, group_id=np.arange(50) + 1000)
    parts = Parts({"train": one_class, "test": test}, "column", {})
    assert list(only(parts, "test").parts) == ["test"]
    leaking = Parts({"train": test, "test": test}, "column", {})
    with pytest.raises(DataError, match="in both train and test"):
        only(leaking, "test")
