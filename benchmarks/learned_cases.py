"""What `learned_front.py` trains: networks of docs/networks, budgets, and what tables show."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pixelsieve.networks.precision import LearnedPrecision
from pixelsieve.networks.spec import NetworkSpec, network

NETWORKS = Path(__file__).parents[1] / "docs" / "networks"


@dataclass(frozen=True)
class Case:
    """A network, the EBOPs to end with, and what its table shows.

    Networks of at most `largest` EBOPs are measured and refined. `digitised` clusters come through
    a front end.
    """

    name: str
    budget: int
    largest: int
    merit: str
    levels: dict[str, tuple[float, ...]]
    limits: tuple[int, ...]
    digitised: bool = False

    @property
    def spec(self) -> NetworkSpec:
        """The network of the case's file."""
        return network(str(NETWORKS / f"{self.name}.toml"))

    @property
    def precision(self) -> LearnedPrecision:
        """The bits, to be learned under the case's budget."""
        return LearnedPrecision(float(self.budget))


TIMED = {"rejection": (0.95, 0.97, 0.975, 0.98), "auc": (0.99, 0.994, 0.995)}
SMALL = {"auc": (0.92, 0.93, 0.935, 0.94, 0.945), "rejection": (0.75, 0.775, 0.8)}
CASES = {
    "profiles": Case(
        *("profiles", 600, 6000, "auc"),
        {"auc": (0.935, 0.94, 0.945, 0.95, 0.953), "rejection": (0.75, 0.775, 0.8)},
        (1000, 1200, 2000, 3000, 4000),
    ),
    "wide profiles": Case(
        *("wide_profiles", 2000, 11000, "rejection"),
        {"auc": (0.953, 0.955), "rejection": (0.8, 0.81, 0.82, 0.83, 0.84, 0.85)},
        (2000, 3000, 5000, 7500),
    ),
    "small profiles": Case("small_profiles", 300, 5000, "auc", SMALL, (600, 1200, 2000, 3000)),
    "scalars": Case(
        *("scalars", 150, 3000, "auc"),
        {"auc": (0.92, 0.925, 0.93, 0.933), "rejection": (0.75, 0.76)},
        (200, 300, 400, 700),
    ),
    "scalars and time": Case("scalars_time", 40, 1000, "rejection", TIMED, (40, 80, 150, 300, 400)),
    "code profiles": Case(
        "code_profiles", 600, 6000, "rejection", SMALL, (1000, 2000, 3000, 4000), digitised=True
    ),
    "code scalars": Case(
        *("scalars", 150, 3000, "auc"),
        {"auc": (0.91, 0.915, 0.92), "rejection": (0.7, 0.72)},
        (200, 300, 400, 700),
        digitised=True,
    ),
    "code scalars and time": Case(
        "scalars_time", 40, 1000, "rejection", TIMED, (40, 80, 150, 300, 400), digitised=True
    ),
}
