"""`FeatureSet`: which inputs a model sees, how they are scaled, and the table of their values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pixelsieve.core.config import fingerprint, from_mapping, to_plain
from pixelsieve.core.errors import ConfigError, DataError, nearest
from pixelsieve.data.clusters import Clusters
from pixelsieve.features.registry import LARGEST_INPUT, REGISTRY, WINDOW, Array
from pixelsieve.features.scaling import Scale

_CHUNK = 16_384
"""Clusters at a time that are computed in float64."""


@dataclass(frozen=True, slots=True)
class FeatureSet:
    """Which features a model sees and how they are scaled; saved inside every model.

    With `mirror_x` the window's columns are reversed and z_global replaced by |z_global| where
    z < 0, before any feature is computed, so that both ends of the barrel look alike. `divisors`
    is filled from the registry; a set that was saved with other divisors than today's registry is
    refused. `window` are the rows and columns of the clusters. `scales` are of features that an
    imported model takes otherwise than the registry says; their divisors are those, and they are
    cut where they say alone.
    """

    names: tuple[str, ...]
    mirror_x: bool = False
    divisors: tuple[float, ...] = ()
    window: tuple[int, int] = WINDOW
    scales: tuple[Scale, ...] = ()

    def __post_init__(self) -> None:
        if not self.names:
            msg = "features: the list is empty; expected at least one name"
            raise ConfigError(msg)
        for name in self.names:
            if name not in REGISTRY:
                known = ", ".join(REGISTRY)
                msg = f"unknown feature '{name}'{nearest(name, REGISTRY)}; known: {known}"
                raise ConfigError(msg)
        stated = {one.feature: one for one in self.scales}
        if len(stated) < len(self.scales) or not set(stated) <= set(self.names):
            msg = f"features: scales of {', '.join(stated)}; expected those of inputs, each once"
            raise ConfigError(msg)
        today = tuple(float((stated.get(n) or REGISTRY[n]).divisor) for n in self.names)
        if len(self.divisors) not in (0, len(today)):
            msg = f"features: {len(self.divisors)} divisors for {len(today)} names"
            raise ConfigError(msg)
        object.__setattr__(self, "divisors", self.divisors or today)

    @property
    def fingerprint(self) -> str:
        """Hash of names, scaling and mirroring: equal sets make equal inputs."""
        return fingerprint(self.to_plain())

    def to_plain(self) -> dict[str, object]:
        """Plain data for JSON; `scales` only if there are any."""
        plain: dict[str, object] = to_plain(self)
        return {name: value for name, value in plain.items() if name != "scales" or value}

    def scale(self, name: str) -> Scale | None:
        """Return the stated scale of a feature, None for the registry's."""
        return next((one for one in self.scales if one.feature == name), None)

    def divisor(self, name: str) -> float:
        """Return the divisor of a feature."""
        return self.divisors[self.names.index(name)]

    @property
    def assumed(self) -> tuple[str, ...]:
        """Return the scaling of the features without a stated one, in words: `z_global / 65`."""
        pairs = zip(self.names, self.divisors, strict=True)
        return tuple(f"{name} / {one:g}" for name, one in pairs if self.scale(name) is None)

    def with_names(self, names: tuple[str, ...]) -> FeatureSet:
        """Return the set of other features, each scaled as here if it is one of these."""
        scales = tuple(one for one in self.scales if one.feature in names)
        return replace(self, names=names, divisors=(), scales=scales)

    @classmethod
    def from_plain(cls, data: Mapping[str, object], where: str) -> FeatureSet:
        """Rebuild a saved set; raises `ConfigError` where the registry scales differently."""
        saved = from_mapping(cls, data, where)
        for name, divisor in zip(saved.names, saved.divisors, strict=True):
            stated = saved.scale(name)
            now = (stated or REGISTRY[name]).divisor
            if stated and divisor != now:
                msg = f"{where}: feature '{name}': two divisors, {divisor:g} and {now:g}"
                raise ConfigError(msg)
            if divisor != now:
                msg = (
                    f"{where}: feature '{name}' was divided by {divisor:g} when the model was "
                    f"trained, now it is divided by {now:g}; train again or use that version"
                )
                raise ConfigError(msg)
        return saved

    def table(self, clusters: Clusters, *, saturated: bool = True) -> FeatureTable:
        """Compute the inputs, float32 of shape (n, size) in [-1, 1), by feature name.

        Not `saturated` they keep what lies beyond: for classifiers that are no circuit. Those of
        stated `scales` have the limits of these alone. Raise `DataError` for clusters of another
        window and for missing columns.
        """
        if clusters.window != self.window:
            (rows, columns), (its_rows, its_columns) = self.window, clusters.window
            msg = (
                f"{clusters.origin}: windows of {its_rows} rows x {its_columns} columns; the "
                f"network takes {rows} x {columns}"
            )
            raise DataError(msg)
        seen = _mirrored(clusters) if self.mirror_x else clusters
        inputs = {}
        for name, divisor in zip(self.names, self.divisors, strict=True):
            stated = self.scale(name)
            if stated is not None:
                inputs[name] = _stated(stated, seen)
                continue
            values = np.asarray(REGISTRY[name].compute(seen), dtype=np.float32)
            values = values.reshape(len(clusters), REGISTRY[name].size(self.window))
            scaled = values / np.float32(divisor)
            inputs[name] = np.clip(scaled, -1, np.float32(LARGEST_INPUT)) if saturated else scaled
        return FeatureTable(self, inputs, clusters.signal.astype(np.float32), saturated)


def _stated(scale: Scale, clusters: Clusters) -> Array:
    """Return inputs as the field's programs make them: in float64, stored in float32."""
    feature, window = REGISTRY[scale.feature], clusters.window
    inputs = np.empty((len(clusters), feature.size(window)), np.float32)
    for start in range(0, len(clusters), _CHUNK):
        rows = slice(start, start + _CHUNK)
        doubled: Any = _InFloat64(clusters.select(rows, clusters.origin))
        values = np.asarray(feature.compute(doubled), np.float64)
        inputs[rows] = scale.scaled(values.reshape(len(values), -1))
    return inputs


class _InFloat64:
    """Clusters whose numbers are read in float64."""

    def __init__(self, clusters: Clusters) -> None:
        self._clusters = clusters

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._clusters, name)
        is_float = isinstance(value, np.ndarray) and value.dtype == np.float32
        return value.astype(np.float64) if is_float else value


def _mirrored(clusters: Clusters) -> Clusters:
    back = (clusters.z_global_mm < 0)[:, None, None]
    return clusters.replace(
        pixels_e=np.where(back, clusters.pixels_e[:, :, ::-1], clusters.pixels_e),
        z_global_mm=np.abs(clusters.z_global_mm),
    )


@dataclass(frozen=True, slots=True)
class FeatureTable:
    """Scaled inputs (n, size) and labels (n,), with the set that made them.

    Networks take `saturated` inputs alone.
    """

    features: FeatureSet
    inputs: dict[str, Array]
    labels: Array
    saturated: bool = True

    def __len__(self) -> int:
        return len(self.labels)

    def require(self, expected: FeatureSet, model: str) -> None:
        """Raise `ConfigError` unless these inputs were made the way `model` was trained."""
        if self.features == expected and self.saturated:
            return
        differences = [
            f"{part} {ours} in the data, {theirs} in the model"
            for part, ours, theirs in (
                ("saturated", self.saturated, True),
                ("features", self.features.names, expected.names),
                ("divisors", self.features.divisors, expected.divisors),
                ("scales", _told(self.features), _told(expected)),
                ("mirror_x", self.features.mirror_x, expected.mirror_x),
                ("window", self.features.window, expected.window),
            )
            if ours != theirs
        ]
        msg = f"{model}: the data were scaled differently: {'; '.join(differences)}"
        raise ConfigError(msg)


def _told(features: FeatureSet) -> tuple[str, ...]:
    return tuple(map(str, features.scales))


class GrowingTable:
    """A feature table that is made stretch by stretch."""

    def __init__(self, features: FeatureSet, *, saturated: bool = True) -> None:
        self._features = features
        self._saturated = saturated
        self._inputs: dict[str, list[Array]] = {name: [] for name in features.names}
        self._labels: list[Array] = []

    def add(self, clusters: Clusters) -> None:
        """Append the inputs of clusters; raise `DataError` as `FeatureSet.table`."""
        table = self._features.table(clusters, saturated=self._saturated)
        for name, values in table.inputs.items():
            self._inputs[name].append(values)
        self._labels.append(table.labels)

    def table(self) -> FeatureTable:
        """Return the whole table; its parts are let go, one feature after the other."""
        inputs = {name: _joined(self._inputs.pop(name)) for name in self._features.names}
        return FeatureTable(self._features, inputs, _joined(self._labels), self._saturated)


def _joined(parts: list[Array]) -> Array:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
