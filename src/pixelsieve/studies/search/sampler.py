"""The next trials: Optuna asks, generation by generation, and its study is kept as a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pixelsieve.core.files import replacing
from pixelsieve.studies.search.space import Candidate, SearchSpace

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

_RANDOM_TRIALS = 20
"""As many trials are drawn at random before the sampler learns from any."""

_STUDY = "pixelsieve search"


@dataclass(frozen=True, slots=True)
class Told:
    """A trial as Optuna hears of it: quality (more is better) and cost, None where it failed."""

    candidate: Candidate
    point: tuple[float, float] | None
    notes: dict[str, Any] = field(default_factory=dict)


def ask(
    space: SearchSpace, told: Sequence[Told], *, seed: int, generation: int, count: int
) -> list[Candidate]:
    """The candidates of a generation, given all trials of the generations before, in order.

    By Optuna's TPE for two objectives (Ozaki et al., JAIR 2022), at random for the first 20
    trials. The same arguments give the same candidates, so a search may stop and go on anywhere.
    """
    import optuna

    # The generation's own stream: its draws must not depend on how many were made before.
    state = int(np.random.SeedSequence([seed, generation]).generate_state(1)[0])
    sampler = optuna.samplers.TPESampler(seed=state, n_startup_trials=_RANDOM_TRIALS)
    study = _study(sampler, None)
    study.add_trials([_frozen(space, one) for one in told])
    candidates = []
    for _ in range(count):
        trial = study.ask()

        def pick(name: str, distribution: BaseDistribution, trial: Any = trial) -> Any:
            if isinstance(distribution, optuna.distributions.CategoricalDistribution):
                return trial.suggest_categorical(name, distribution.choices)
            assert isinstance(distribution, optuna.distributions.FloatDistribution)
            return trial.suggest_float(
                name, distribution.low, distribution.high, log=distribution.log
            )

        candidates.append(space.choose(pick))
    return candidates


def write_study(path: Path, space: SearchSpace, told: Sequence[Told]) -> None:
    """Write all trials as an Optuna journal, for Optuna's own tools; whole or not at all.

    The trials' own files say what was run; this one is made from them.
    """
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    with replacing(path) as temporary:
        study = _study(None, JournalStorage(JournalFileBackend(str(temporary))))
        study.add_trials([_frozen(space, one) for one in told])


def _study(sampler: Any, storage: Any) -> Any:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(
        study_name=_STUDY,
        directions=["maximize", "minimize"],
        sampler=sampler,
        storage=storage,
    )


def _frozen(space: SearchSpace, told: Told) -> FrozenTrial:
    import optuna

    distributions: dict[str, BaseDistribution] = {}
    params: dict[str, Any] = {}
    values = _values(told.candidate)

    def pick(name: str, distribution: BaseDistribution) -> Any:
        distributions[name], params[name] = distribution, values[name]
        return values[name]

    space.choose(pick)
    states = optuna.trial.TrialState
    return optuna.trial.create_trial(
        state=states.FAIL if told.point is None else states.COMPLETE,
        # In the logarithm of the cost a front is even.
        values=None if told.point is None else [told.point[0], float(np.log2(told.point[1]))],
        params=params,
        distributions=distributions,
        user_attrs=told.notes,
    )


def _values(candidate: Candidate) -> dict[str, Any]:
    values = asdict(candidate)
    widths = values.pop("widths")
    return values | {f"width_{i + 1}": width for i, width in enumerate(widths)}
