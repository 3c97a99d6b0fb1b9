"""Teachers: boosted trees, float networks; the soft labels of a student and its loss."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pixelsieve import __version__
from pixelsieve.core.config import fingerprint, from_mapping, to_plain
from pixelsieve.core.files import file_hash, read_document, replacing, write_json
from pixelsieve.core.runs import RunFolder
from pixelsieve.features import FeatureTable
from pixelsieve.networks.spec import NetworkSpec, network
from pixelsieve.training.recipe import BOOSTED_TREES, OWN_FLOAT, Recipe

TREE_FEATURES = (
    "x_profile",
    "y_profile",
    "x_size",
    "y_size",
    "total_charge",
    "z_global",
    "y_local",
)
"""Features that trees that teach see besides the inputs of their student."""

_LARGEST_TREES = 800
_LEARNING_RATE = 0.08
_TREES_WITHOUT_GAIN = 20
_FOLDS = 5


def fit_trees(
    training: FeatureTable,
    validation: FeatureTable,
    seed: int,
    rows: NDArray[np.bool_] | None = None,
) -> Any:
    """scikit-learn's histogram gradient boosting on the inputs of a table, or on `rows` of it.

    Up to 800 trees of 31 leaves at rate 0.08, stopped by the validation loss.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    trees = HistGradientBoostingClassifier(
        max_iter=_LARGEST_TREES,
        learning_rate=_LEARNING_RATE,
        early_stopping=True,
        n_iter_no_change=_TREES_WITHOUT_GAIN,
        random_state=seed,
    )
    chosen: Any = slice(None) if rows is None else rows
    return trees.fit(
        _matrix(training)[chosen],
        training.labels[chosen],
        X_val=_matrix(validation),
        y_val=validation.labels,
    )


def tree_scores(trees: Any, table: FeatureTable) -> NDArray[np.float64]:
    """Logits (n,) of fitted trees."""
    return np.asarray(trees.decision_function(_matrix(table)), np.float64)


def _matrix(table: FeatureTable) -> NDArray[np.float32]:
    return np.concatenate([table.inputs[n] for n in table.features.names], axis=1)


@dataclass(frozen=True, slots=True)
class TreesTeacher:
    """Trees that teach the students of one seed; they see `features`."""

    features: tuple[str, ...]
    seed: int
    epochs: ClassVar[int] = 0

    @property
    def name(self) -> str:
        """E.g. `teacher_boosted_trees_seed0`."""
        return f"teacher_boosted_trees_seed{self.seed}"


@dataclass(frozen=True, slots=True)
class TreesResult:
    """The contents of teachers/NAME.json; `sha256` is that of the logits' file."""

    name: str
    fingerprint: str
    sha256: str
    features: tuple[str, ...]
    validation_auc: float


def grow(
    teacher: TreesTeacher,
    folder: Path,
    training: FeatureTable,
    validation: FeatureTable,
    groups: NDArray[Any],
    data: str,
) -> TreesResult:
    """Find the logits of the training clusters, each by trees that have not seen its group.

    Five times trees are fit to four fifths of the particle `groups` and give the logits of the
    rest. Write teachers/NAME.npz and .json; return the latter at once if the folder holds both for
    these clusters (`data` is their fingerprint).
    """
    from sklearn.metrics import roc_auc_score

    path = RunFolder(folder).teacher(teacher.name)
    about = path.with_suffix(".json")
    mark = fingerprint({"teacher": to_plain(teacher), "data": data, "pixelsieve": __version__})
    if path.exists() and about.exists():
        saved = read_document(about)
        if saved.get("fingerprint") == mark and saved.get("sha256") == file_hash(path):
            return from_mapping(TreesResult, saved, str(about))
    different, fold = np.unique(groups, return_inverse=True)
    of_group = np.random.default_rng(teacher.seed).permutation(len(different)) % _FOLDS
    fold = of_group[fold]
    logits = np.zeros(len(training), np.float32)
    validation_logits = np.zeros(len(validation))
    for one in range(_FOLDS):
        trees = fit_trees(training, validation, teacher.seed, fold != one)
        held_out = fold == one
        logits[held_out] = trees.decision_function(_matrix(training)[held_out])
        validation_logits += tree_scores(trees, validation) / _FOLDS
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, logits=logits)
    auc = float(roc_auc_score(validation.labels, validation_logits))
    result = TreesResult(teacher.name, mark, file_hash(path), teacher.features, auc)
    write_json(about, result)
    return result


def soft_labels(
    recipe: Recipe, labels: NDArray[np.float32], logits: NDArray[np.floating[Any]]
) -> NDArray[np.float32]:
    """Return the labels for the student in place of `labels` (n,), from its teacher's `logits`.

    At temperature 1 labels (n,) with `recipe.distillation` of the teacher's probabilities in them;
    the loss is linear in them. Else (n, 2): labels, and the probabilities at that temperature,
    for `cross_entropy`.
    """
    from scipy.special import expit

    if recipe.temperature == 1:
        share = np.float32(recipe.distillation)
        mixed: NDArray[np.float32] = (1 - share) * labels + share * expit(logits)
        return mixed
    softened = expit(np.asarray(logits, np.float64) / recipe.temperature)
    return np.stack([labels, softened.astype(np.float32)], axis=1)


class Softening(NamedTuple):
    """Distillation at a temperature T other than 1 (Hinton et al. 2015, arXiv:1503.02531).

    The loss of a cluster is (1 - share) H(label, logit) + share T^2 H(teacher's probability at T,
    logit / T), where H is the cross-entropy; labels are (n, 2) then.
    """

    share: float
    temperature: float


def softening_of(recipe: Recipe, *, taught: bool) -> Softening | None:
    """Return the recipe's softening; None without a teacher and at temperature 1."""
    if not taught or recipe.temperature == 1:
        return None
    return Softening(recipe.distillation, recipe.temperature)


def cross_entropy(logits: Any, labels: Any, softening: Softening | None) -> Any:
    """Return the mean loss of a batch (JAX); labels (n,) may be a teacher's probabilities."""
    import optax

    if softening is None:
        return optax.sigmoid_binary_cross_entropy(logits, labels).mean()
    share, heat = softening
    told = optax.sigmoid_binary_cross_entropy(logits, labels[:, 0])
    taught = optax.sigmoid_binary_cross_entropy(logits / heat, labels[:, 1])
    return ((1 - share) * told + share * heat**2 * taught).mean()


def teacher_network(recipe: Recipe, student: NetworkSpec) -> NetworkSpec | None:
    """The float network that teaches by `recipe`; None for a student's own, and for trees.

    It sees the arrival time where the student does. Raise `ConfigError` for unknown networks.
    """
    if not recipe.distillation or recipe.teacher in {OWN_FLOAT, BOOSTED_TREES}:
        return None
    time = next((f for f in student.features if f.startswith("hit_time")), None)
    return network(recipe.teacher, time).with_window(student.window)


def trees_teacher(recipe: Recipe, student: NetworkSpec, seed: int) -> TreesTeacher | None:
    """The trees that teach by `recipe`, None for other teachers."""
    if not recipe.distillation or recipe.teacher != BOOSTED_TREES:
        return None
    return TreesTeacher(tuple(dict.fromkeys((*student.features, *TREE_FEATURES))), seed)
