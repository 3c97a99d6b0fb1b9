"""The full-coverage report: what became of every layer and variable of the file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pixelsieve.core.errors import ConfigError
from pixelsieve.importing.graph import Node
from pixelsieve.importing.layers import ReadLayer
from pixelsieve.importing.stored import Variable
from pixelsieve.networks.fixed_point import FixedPoint
from pixelsieve.networks.layers import Flatten, Layer, MaxPool, Shape


@dataclass(frozen=True, slots=True)
class ReportRow:
    """A layer or a variable of the file: what it became, or why nobody needs it."""

    what: Literal["layer", "variable", "beside"]
    name: str
    used: bool
    note: str


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What was read, what it is, and a row for everything in it.

    `precision` is in words; `notes` are what the user must know to compare with the file's own
    program.
    """

    file: str
    sha256: str
    format: str
    network: str
    precision: str
    features: tuple[str, ...]
    parameters: int
    rows: tuple[ReportRow, ...]
    notes: tuple[str, ...]


@dataclass(slots=True)
class Mapped:
    """Layers of the network in order, its inputs with their grids, and the report."""

    layers: dict[str, ReadLayer | MaxPool | Flatten] = field(default_factory=dict)
    input_widths: dict[str, int] = field(default_factory=dict)
    input_grids: dict[str, FixedPoint | None] = field(default_factory=dict)
    rows: list[ReportRow] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def weighted(self) -> list[ReadLayer]:
        """The layers that have weights."""
        return [layer for layer in self.layers.values() if isinstance(layer, ReadLayer)]

    def weighted_layer(self, name: str) -> ReadLayer | None:
        """That layer, if it is one with weights."""
        found = self.layers.get(name)
        return found if isinstance(found, ReadLayer) else None

    def spec_layers(self) -> tuple[Layer, ...]:
        """Our layers."""
        return tuple(
            replace(layer.layer, relu=layer.relu) if isinstance(layer, ReadLayer) else layer
            for layer in self.layers.values()
        )


class Variables:
    """The variables of a file by layer and role; each may be taken once, and must be."""

    def __init__(self, variables: Sequence[Variable], where: str) -> None:
        self.where = where
        self.rows: list[ReportRow] = []
        self._left: dict[str, dict[str, Variable]] = {}
        for variable in variables:
            roles = self._left.setdefault(variable.layer, {})
            if variable.role in roles:
                msg = f"{where}: layer '{variable.layer}' has two variables '{variable.role}'"
                raise ConfigError(msg)
            roles[variable.role] = variable

    def take(self, node: Node, role: str, shape: Shape) -> NDArray[np.float32]:
        """The values, float32; raises `ConfigError` for what is missing, misshapen, not finite."""
        at = f"{self.where}: layer '{node.name}'"
        found = self._left.get(node.name, {}).pop(role, None)
        if found is None:
            msg = f"{at}: its variable '{role}' is missing; expected shape {shape}"
            raise ConfigError(msg)
        if found.values.shape != shape:
            msg = f"{at}: '{found.path}' has shape {found.values.shape}; expected {shape}"
            raise ConfigError(msg)
        values = found.values.astype(np.float32)
        if not np.isfinite(values).all():
            msg = f"{at}: '{found.path}' holds values that are not finite"
            raise ConfigError(msg)
        self.rows.append(ReportRow("variable", found.path, used=True, note=role))
        return values

    def pass_over(self, node: Node, role: str, reason: str) -> None:
        """Name a variable that nobody needs, if it is there."""
        found = self._left.get(node.name, {}).pop(role, None)
        if found is not None:
            self.rows.append(ReportRow("beside", found.path, used=False, note=reason))

    def taken(self) -> list[ReportRow]:
        """Rows of what was taken since the last call."""
        rows, self.rows = self.rows, []
        return rows

    def require_none_left(self) -> None:
        """Raise `ConfigError` for a variable that was not taken."""
        for layer, roles in self._left.items():
            for variable in roles.values():
                msg = f"{self.where}: variable '{variable.path}' of '{layer}' has no use"
                raise ConfigError(msg)
