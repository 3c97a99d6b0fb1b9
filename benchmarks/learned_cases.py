"""What `learned_front.py` trains: networks, their budgets, and what their tables show."""

from __future__ import annotations

from dataclasses import dataclass

from pixelsieve.networks.precision import LearnedPrecision
from pixelsieve.networks.spec import Dense, NetworkSpec
from pixelsieve.training.recipe import LEARNED

SCALARS = ("x_size", "y_size", "z_global", "y_local")
TIME = "hit_time_30ps"
X_LOGS, Y_LOGS = ("x_profile",), ("y_profile",)
X_CODES, Y_CODES = ("x_code_profile", "x_count_profile"), ("y_code_profile", "y_count_profile")


@dataclass(frozen=True)
class Case:
    """A network, its budget, and what its table shows; `largest` EBOPs are looked at.

    `digitised` clusters come through a front end.
    """

    spec: NetworkSpec
    precision: LearnedPrecision
    merit: str
    levels: dict[str, tuple[float, ...]]
    limits: tuple[int, ...]
    largest: int
    epochs: int = LEARNED.epochs
    digitised: bool = False


def scalars(name: str, inputs: tuple[str, ...], *units: int) -> NetworkSpec:
    names = [f"hidden{i}" for i in range(len(units))]
    sources = [inputs, *((n,) for n in names)]
    hidden = [Dense(n, u, s) for n, u, s in zip(names, units, sources, strict=False)]
    return NetworkSpec(name, (*hidden, Dense("output", 1, sources[-1], relu=False)))


def profiles(
    name: str,
    first: int,
    second: int,
    third: int,
    x: tuple[str, ...] = X_LOGS,
    y: tuple[str, ...] = Y_LOGS,
) -> NetworkSpec:
    return NetworkSpec(
        name,
        (
            Dense("xz_dense", first, (*x, "z_global")),
            Dense("yl_dense", first, (*y, "y_local")),
            Dense("merged_dense1", second, ("xz_dense", "yl_dense")),
            Dense("merged_dense2", third, ("merged_dense1",)),
            Dense("output", 1, ("merged_dense2",), relu=False),
        ),
    )


CASES = {
    "profiles": Case(
        profiles("profiles", 16, 32, 16),
        LearnedPrecision(budget_ebops=600),
        "auc",
        {"auc": (0.935, 0.94, 0.945, 0.95, 0.953), "rejection": (0.75, 0.775, 0.8)},
        (1000, 1200, 2000, 3000, 4000),
        6000,
    ),
    "wide profiles": Case(
        profiles("wide_profiles", 24, 48, 24),
        LearnedPrecision(budget_ebops=2000),
        "rejection",
        {"auc": (0.953, 0.955), "rejection": (0.8, 0.81, 0.82, 0.83, 0.84, 0.85)},
        (2000, 3000, 5000, 7500),
        11000,
    ),
    "small profiles": Case(
        profiles("small_profiles", 8, 16, 8),
        LearnedPrecision(budget_ebops=300),
        "auc",
        {"auc": (0.92, 0.93, 0.935, 0.94, 0.945), "rejection": (0.75, 0.775, 0.8)},
        (600, 1200, 2000, 3000),
        5000,
    ),
    "scalars": Case(
        scalars("scalars", SCALARS, 16, 8),
        LearnedPrecision(budget_ebops=150),
        "auc",
        {"auc": (0.92, 0.925, 0.93, 0.933), "rejection": (0.75, 0.76)},
        (200, 300, 400, 700),
        3000,
    ),
    "scalars and time": Case(
        scalars("scalars_time", (*SCALARS, TIME), 8, 4),
        LearnedPrecision(budget_ebops=40),
        "rejection",
        {"rejection": (0.95, 0.97, 0.975, 0.98), "auc": (0.99, 0.994, 0.995)},
        (40, 80, 150, 300, 400),
        1000,
    ),
    "code profiles": Case(
        profiles("code_profiles", 16, 32, 16, X_CODES, Y_CODES),
        LearnedPrecision(budget_ebops=600),
        "rejection",
        {"auc": (0.92, 0.93, 0.935, 0.94, 0.945), "rejection": (0.75, 0.775, 0.8)},
        (1000, 2000, 3000, 4000),
        6000,
        digitised=True,
    ),
    "code scalars": Case(
        scalars("code_scalars", SCALARS, 16, 8),
        LearnedPrecision(budget_ebops=150),
        "auc",
        {"auc": (0.91, 0.915, 0.92), "rejection": (0.7, 0.72)},
        (200, 300, 400, 700),
        3000,
        digitised=True,
    ),
    "code scalars and time": Case(
        scalars("code_scalars_time", (*SCALARS, TIME), 8, 4),
        LearnedPrecision(budget_ebops=40),
        "rejection",
        {"rejection": (0.95, 0.97, 0.975, 0.98), "auc": (0.99, 0.994, 0.995)},
        (40, 80, 150, 300, 400),
        1000,
        digitised=True,
    ),
}
