"""Network inputs: the registry of them, and the set that a model sees."""

from __future__ import annotations

from pixelsieve.features.feature_set import FeatureSet, FeatureTable, GrowingTable
from pixelsieve.features.registry import (
    LARGEST_INPUT,
    REGISTRY,
    WINDOW,
    Along,
    Feature,
    Logic,
    pixel_codes,
    pixel_sums,
)
from pixelsieve.features.scaling import FAMILIES, Scale, Statement, statement

__all__ = [
    "FAMILIES",
    "LARGEST_INPUT",
    "REGISTRY",
    "WINDOW",
    "Along",
    "Feature",
    "FeatureSet",
    "FeatureTable",
    "GrowingTable",
    "Logic",
    "Scale",
    "Statement",
    "pixel_codes",
    "pixel_sums",
    "statement",
]
