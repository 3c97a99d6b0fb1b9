"""From the paths a user gives to clusters by split: one `Dataset`, that streams by default."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pixelsieve.core.config import to_plain
from pixelsieve.core.errors import ConfigError, DataError
from pixelsieve.core.files import file_hash
from pixelsieve.data.clusters import Clusters, concatenate, require_both_classes
from pixelsieve.data.detector import Detector
from pixelsieve.data.repeats import RepeatedClusters
from pixelsieve.data.splits import SPLIT_NAMES, SplitCheck, assign_by_hash, share_for_test
from pixelsieve.display import spec
from pixelsieve.display.html import table_html
from pixelsieve.display.shown import one_line
from pixelsieve.display.spec import Cells, Column, numbers, table
from pixelsieve.formats.columns import AS_THEY_ARE
from pixelsieve.formats.sources import find_files
from pixelsieve.formats.tables import Table
from pixelsieve.front_end import FrontEnd, FrontEndSummary, Kept, NothingReadOutError, read_out

BY_NAME = "file name"
"""The `split_by` of files whose names say their split."""

BY_HASH = "hash of"
"""The start of `split_by` if nothing but a hash of each cluster's group decides."""

_SHORT = {"train": "train", "validation": "val", "test": "test"}
_SUFFIXES = {"train": "train", "val": "validation", "validation": "validation", "test": "test"}

_SPLITS = _SUFFIXES | {str(number): name for number, name in enumerate(SPLIT_NAMES)}
"""What a column `split` may hold; ROOT's users put numbers."""

_TEST_SHARES: Mapping[TestFrom, float] = {"validation": 1 / 2, "train": 15 / 85}
"""Fraction of a split's groups that `test_from` takes; 70 : 15 : 15 with a validation split."""

_AT_LEAST = 20_000
"""Small row groups are joined up to so many clusters."""

TestFrom = Literal["validation", "train"]
"""The split that a test split is taken from."""

Stretches = Iterator[tuple[str, Clusters]]
"""Name of the split and clusters of it, in order of files and rows."""


@dataclass(slots=True, repr=False, eq=False)
class Dataset:
    """Clusters by split, as files hold them and a front end, if any, reads them out.

    They pass through memory some ten thousand at a time (`stretches`); what is asked for as a
    whole (`parts`, `train`, `validation`, `test`) is held from then on. `source` gives collected
    clusters by split. `split_by` says how they were split, `files` are the SHA-256 of each file by
    name, and `made` says of each file what made it: "simulation" or "conversion" of ours, None if
    it does not say.

    A `whole` dataset has three splits of both classes, before and after the front end, that share
    no particle group, or a pass through it ends in a `DataError`. `on_stretch` is called with the
    collected clusters of the first pass, `on_pass` at its end. `repeats` has then noticed files
    that hold the same clusters, which is meant to be if `same_clusters`.

    Examples
    --------
    >>> data = ps.load("clusters.parquet")
    >>> data.class_counts["test"]
    {'signal': ..., 'bib': ...}
    >>> data.train
    Clusters(1116 clusters: ... signal, ... BIB; 13 x 21 pixels; muon-collider-vxd)
    """

    source: Callable[[], Stretches]
    detector: Detector
    split_by: str
    files: Mapping[str, str] = field(default_factory=dict)
    made: Mapping[str, str | None] = field(default_factory=dict)
    front_end: FrontEnd | None = None
    whole: bool = False
    on_stretch: Callable[[Clusters], None] | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    checked: bool = False
    same_clusters: bool = False
    on_pass: Callable[[Dataset], None] | None = None
    repeats: RepeatedClusters = field(default_factory=RepeatedClusters)
    _held: dict[str, Clusters] = field(default_factory=dict, init=False)
    _complete: bool = field(default=False, init=False)
    _counts: dict[str, dict[str, Kept]] | None = field(default=None, init=False)

    @classmethod
    def of(
        cls, parts: Mapping[str, Clusters], split_by: str = "hand", *, whole: bool = False
    ) -> Dataset:
        """Return the dataset of clusters in memory."""
        detector = next(iter(parts.values())).detector
        return cls(partial(iter, [*parts.items()]), detector, split_by, whole=whole)

    def with_parts(self, parts: Mapping[str, Clusters], split_by: str | None = None) -> Dataset:
        """Return those collected clusters in place of its own, with what is known of its files."""
        return replace(
            self,
            source=partial(iter, [*parts.items()]),
            detector=next(iter(parts.values())).detector,
            split_by=split_by or self.split_by,
            checked=False,
            repeats=RepeatedClusters(),
        )

    def through(self, front_end: FrontEnd | None) -> Dataset:
        """Return the same clusters as that front end reads them out; None for collected charge."""
        if front_end == self.front_end:
            return self
        if self._complete and self.front_end is None:
            return replace(self, source=partial(iter, [*self._held.items()]), front_end=front_end)
        return replace(self, front_end=front_end)

    def as_collected(self) -> Dataset:
        """Return the clusters before the front end, with no say on which splits there must be."""
        held = self._complete and self.front_end is None
        source = partial(iter, [*self._held.items()]) if held else self.source
        return replace(self, source=source, front_end=None, whole=False)

    def __repr__(self) -> str:
        if self._counts is None:
            known = f"{len(self.files)} file{'s' * (len(self.files) != 1)}, not read yet"
        else:
            sizes = {n: sum(by.values()) for n, by in self.class_counts.items()}
            told = ", ".join(f"{name} {size}" for name, size in sizes.items())
            known = f"{sum(sizes.values())} clusters: {told}"
        chip = [] if self.front_end is None else ["behind a front end"]
        return one_line("Dataset", known, *chip, f"split by {self.split_by}")

    def _repr_html_(self) -> str:
        return table_html(self._summary())

    def _summary(self) -> spec.Table:
        """Return the clusters by split and class; the files if they are not read yet."""
        if self._counts is None:
            files = [(n, self.made.get(n) or "", sha[:16]) for n, sha in self.files.items()]
            return table(repr(self), ("file", "made by", "SHA-256"), files)
        titles = ["signal", "BIB"]
        if self.front_end is not None:
            titles += ["signal collected", "BIB collected"]
        rows: list[Cells] = []
        for name, by in self._counts.items():
            classes = (by["signal"], by["bib"])
            counts = [one.read_out for one in classes] + [one.collected for one in classes]
            rows.append((name, *counts[: len(titles)]))
        return table(repr(self), (Column("split"), *numbers(*titles)), rows)

    @property
    def identity(self) -> dict[str, object]:
        """The identity of these clusters as plain data."""
        read_out_by = {} if self.front_end is None else {"front_end": to_plain(self.front_end)}
        named = {"columns": dict(self.columns)} if self.columns else {}
        return {"data": dict(self.files), "split_by": self.split_by, **named, **read_out_by}

    @property
    def window(self) -> tuple[int, int]:
        """Rows and columns of the clusters."""
        return self.detector.sensor.rows, self.detector.sensor.columns

    @property
    def parts(self) -> dict[str, Clusters]:
        """Clusters by name of the split, those that are there, held in memory."""
        self.hold()
        return dict(self._held)

    def hold(self) -> Dataset:
        """Read everything into memory; return the same dataset."""
        if not self._complete:
            for _ in self._pass(None):
                pass
            self._complete = True
        return self

    @property
    def train(self) -> Clusters:
        """Training clusters as read out."""
        return self._part("train")

    @property
    def validation(self) -> Clusters:
        """Validation clusters as read out."""
        return self._part("validation")

    @property
    def test(self) -> Clusters:
        """Test clusters as read out."""
        return self._part("test")

    def _part(self, name: str) -> Clusters:
        found = self._held if name in self._held else self.parts
        if name not in found:
            raise _missing(name, self.split_by, next(iter(found.values())).origin)
        return found[name]

    @property
    def collected(self) -> Clusters:
        """Training clusters before the front end; not held."""
        if self.front_end is None and "train" in self._held:
            return self._held["train"]
        return _joined([part for name, part in self.source() if name == "train"])

    @property
    def counts(self) -> dict[str, dict[str, Kept]]:
        """Number of clusters by split and class (`signal`, `bib`)."""
        if self._counts is None:
            for _ in self._pass(()):
                pass
        assert self._counts is not None
        return self._counts

    @property
    def class_counts(self) -> dict[str, dict[str, int]]:
        """Number of clusters as read out, by split and class."""
        return {n: {k: c.read_out for k, c in by.items()} for n, by in self.counts.items()}

    @property
    def summary(self) -> FrontEndSummary | None:
        """The front end with what it keeps; None for collected charge."""
        return None if self.front_end is None else FrontEndSummary(self.front_end, self.counts)

    def stretches(self, *hold: str) -> Stretches:
        """Pass through all clusters as read out; hold the splits of those names.

        Raise `DataError` for what is wrong with them; for what needs all of them at the end.
        """
        return iter(self._held.items()) if self._complete else self._pass(hold)

    def _pass(self, hold: Sequence[str] | None) -> Stretches:
        """`hold` None holds every split."""
        tally, kept = _Tally(self.front_end), dict[str, list[Clusters]]()
        check = SplitCheck() if self.whole and not self.checked else None
        for name, part in self.source():
            if check is not None:
                check.require_one_detector(part)
                check.add(name, part)
            if not self.checked and len(self.files) > 1:
                self.repeats.add(_file_of(part.origin), part)
            if self.on_stretch is not None and not self.checked:
                self.on_stretch(part)
            read = tally.read_out(name, part)
            if read is not None:
                if hold is None or name in hold:
                    kept.setdefault(name, []).append(read)
                yield name, read
        if check is not None:
            self._require_whole(check, tally.origins)
        if self.on_pass is not None and not self.checked:
            self.on_pass(self)
        self.checked = True
        self._counts = tally.counted(whole=self.whole)
        self._held |= {name: _joined(kept.pop(name)) for name in self._counts if name in kept}

    @property
    def repeated(self) -> str:
        """Return a line on files that were found to hold the same clusters, empty without any."""
        pairs = self.repeats.pairs()
        if not pairs:
            return ""
        one = pairs[0]
        more = f" (and {len(pairs) - 1} more such pairs)" if len(pairs) > 1 else ""
        return (
            f"{one.second}: {100 * one.share:.0f} % of its clusters are in {one.first}, too{more}"
        )

    def require_different_clusters(self) -> None:
        """Raise `DataError` if files hold the same clusters, unless that is meant to be."""
        if not self.same_clusters and (line := self.repeated):
            msg = f"{line}; they would count twice: give one of the files, or --same-clusters"
            raise DataError(msg)

    def _require_whole(self, check: SplitCheck, origins: Mapping[str, str]) -> None:
        for name in SPLIT_NAMES:
            if name not in origins:
                first = next(origins[one] for one in SPLIT_NAMES if one in origins)
                raise _missing(name, self.split_by, first)
        check.require_both_classes()
        if not self.split_by.startswith(BY_HASH):  # equal groups have equal hashes
            check.require_disjoint()


class _Tally:
    """Counts what a front end keeps of clusters that come part by part, by split and class."""

    def __init__(self, front_end: FrontEnd | None) -> None:
        self._front_end = front_end
        self._counts: dict[str, dict[str, Kept]] = {}
        self._nothing_left: dict[str, NothingReadOutError] = {}
        self.origins: dict[str, str] = {}

    def read_out(self, name: str, part: Clusters) -> Clusters | None:
        """Return the clusters as read out, None if none is left."""
        read: Clusters | None = part
        try:
            if self._front_end is not None:
                read = read_out(self._front_end, part).clusters
        except NothingReadOutError as error:
            self._nothing_left.setdefault(name, error)  # of this part
            read = None
        self.origins.setdefault(name, part.origin)
        before = self._counts.get(name, {})
        signal, n = (0, 0) if read is None else (read.n_signal, len(read))
        self._counts[name] = {
            "signal": before.get("signal", Kept()) + Kept(part.n_signal, signal),
            "bib": before.get("bib", Kept()) + Kept(len(part) - part.n_signal, n - signal),
        }
        return read

    def counted(self, *, whole: bool) -> dict[str, dict[str, Kept]]:
        """Return the counts; raise `DataError` if too little is left of a split."""
        order = dict.fromkeys(n for n in (*SPLIT_NAMES, *self.origins) if n in self.origins)
        for name in order:
            left = [count.read_out for count in self._counts[name].values()]
            if not any(left):
                raise self._nothing_left[name]
            if whole:
                require_both_classes(self.origins[name], *left)
        return {name: self._counts[name] for name in order}


def _joined(parts: Sequence[Clusters]) -> Clusters:
    return parts[0] if len(parts) == 1 else concatenate(parts)


def _missing(name: str, split_by: str, first: str) -> DataError:
    """Return the error for a split without clusters; `first` is the origin of others."""
    way = ""
    if name == "test" and not split_by.startswith(BY_HASH):
        way = "; give one, or --test-from validation (or train) to take it from there by group"
    if split_by.startswith(BY_NAME):
        file = Table(Path(first)).file
        wanted = f"*_{_SHORT[name]}{file.suffix}"
        return DataError(f"{file.parent}: no file for the {name} split ({wanted}){way}")
    empty = f"{_file_of(first)}: the {name} split is empty"
    return DataError(empty + (way or "; more clusters are needed"))


def _file_of(origin: str) -> str:
    return origin.removesuffix("]").rsplit(" [", 1)[0] if origin.endswith("]") else origin


def open_dataset(
    patterns: Sequence[str | Path],
    front_end: FrontEnd | None = None,
    *,
    whole: bool = True,
    on_stretch: Callable[[Clusters], None] | None = None,
    columns: Mapping[str, str] = AS_THEY_ARE,
    test_from: TestFrom | None = None,
) -> Dataset:
    """Find files and how they are split; their clusters are read when they are asked for.

    Files named `*_train`, `*_val`, `*_test` keep that split; else a column `split` decides; else
    a hash of `group_id` (of the pixel charges without one), 70 : 15 : 15. `columns` gives the
    files' names of columns that they call otherwise. Files that say their split but bring none for
    the test get it by `test_from`: by a hash of its group a cluster of that split stays, or is of
    the test: one in two of validation, 15 in 85 of train. Raise `DataError` if only some files say
    their split, `ConfigError` for `test_from` if there is a test split.
    """
    files = [Table(path, columns) for path in find_files(patterns)]
    hashes = _file_hashes(files)
    made = dict(zip(hashes, map(_made_by, files), strict=True))
    names = splits_by_name([one.path for one in files])
    labels = [None if names else one.split_column() for one in files]
    if names:
        split_by, source = BY_NAME, partial(_named_stretches, files, names)
    elif any(one is not None for one in labels):
        numbers = [_split_numbers(f.path, one) for f, one in zip(files, labels, strict=True)]
        split_by, source = "column 'split'", partial(_divided_stretches, files, numbers)
    else:
        with_ids = files[0].has_groups()
        split_by = f"{BY_HASH} {'group_id' if with_ids else 'the pixel charges'}"
        source = partial(_divided_stretches, files, None)
    if test_from is not None:
        if split_by.startswith(BY_HASH):
            msg = f"--test-from: the {split_by} makes a test split; leave the option out"
            raise ConfigError(msg)
        split_by, source = (
            f"{split_by}, test from {test_from}",
            partial(_taking_test, source, test_from),
        )
    return Dataset(
        source,
        files[0].detector(),
        split_by,
        hashes,
        made,
        front_end,
        whole,
        on_stretch,
        columns,
    )


def load(patterns: Sequence[str | Path], *, columns: Mapping[str, str] = AS_THEY_ARE) -> Dataset:
    """Read files into train, validation and test, held in memory (see `open_dataset`).

    Raise `DataError` if a split is empty, lacks a class, or shares a group with another.
    """
    return open_dataset(patterns, columns=columns).hold()


def read_parts(patterns: Sequence[str | Path]) -> Dataset:
    """Read files into the splits that they tell of, which need be neither whole nor disjoint."""
    return open_dataset(patterns, whole=False).hold()


def _named_stretches(files: Sequence[Table], names: Sequence[str]) -> Stretches:
    first: dict[str, Clusters] = {}
    for file, name in zip(files, names, strict=True):
        for clusters in _file_stretches(file):
            _require_alike(first.setdefault(name, clusters.select(slice(0, 1))), clusters)
            yield name, clusters


def _divided_stretches(
    files: Sequence[Table], numbers: Sequence[NDArray[np.int64]] | None
) -> Stretches:
    """`numbers` of the split of each row by file; None for those of the hash of its group."""
    first: Clusters | None = None
    for place, file in enumerate(files):
        row = 0
        for clusters in _file_stretches(file):
            first = first or clusters.select(slice(0, 1))
            _require_alike(first, clusters)
            rows = slice(row, row + len(clusters))
            row += len(clusters)
            of = assign_by_hash(clusters.groups()) if numbers is None else numbers[place][rows]
            for number, name in enumerate(SPLIT_NAMES):
                chosen = np.flatnonzero(of == number)
                if len(chosen):
                    yield name, clusters.select(chosen, f"{clusters.origin} [{name}]")


def _taking_test(source: Callable[[], Stretches], test_from: TestFrom) -> Stretches:
    """Divide one split in two by a hash of each cluster's group."""
    for name, clusters in source():
        if name == "test":
            msg = f"--test-from: {_file_of(clusters.origin)} is a test split; leave the option out"
            raise ConfigError(msg)
        if name != test_from:
            yield name, clusters
            continue
        tested = share_for_test(clusters.groups(), _TEST_SHARES[test_from])
        for split, rows in ((name, ~tested), ("test", tested)):
            if rows.any():
                origin = f"{_file_of(clusters.origin)} [{split}]"
                yield split, clusters.select(np.flatnonzero(rows), origin)


def _require_alike(first: Clusters, clusters: Clusters) -> None:
    """Raise `DataError` if the clusters are of another detector, or only some have `group_id`."""
    concatenate([first, clusters.select(slice(0, 1))])


def _file_stretches(file: Table) -> Iterator[Clusters]:
    """The file's clusters in stretches of at least `_AT_LEAST`, but for the last."""
    kept: list[Clusters] = []
    for clusters in file.iterate():
        kept.append(clusters)
        if sum(map(len, kept)) >= _AT_LEAST:
            yield _joined(kept)
            kept = []
    if kept:
        yield _joined(kept)


def splits_by_name(files: Sequence[Path]) -> list[str]:
    """The split that each file's name says, `[]` where none does.

    Raise `DataError` if only some do.
    """
    by_name = [_SUFFIXES.get(Table(p).file.stem.rsplit("_", 1)[-1]) for p in files]
    said = [name for name in by_name if name]
    if said and len(said) < len(files):
        odd = files[by_name.index(None)]
        msg = f"{odd}: names no split, while other files do (*_train, *_val, *_test); use one way"
        raise DataError(msg)
    return said


def _made_by(file: Table) -> str | None:
    """`simulation` or `conversion`, None where the file does not say."""
    said = file.provenance()
    return next((how for how in ("simulation", "conversion") if how in said), None)


def _file_hashes(files: Sequence[Table]) -> dict[str, str]:
    """SHA-256 of each file by name, in the order of `files`; equal names get a number."""
    hashes: dict[str, str] = {}
    for one in files:
        name, number = one.name, 1
        while name in hashes:
            number += 1
            name = f"{one.name}#{number}"
        try:
            hashes[name] = file_hash(one.file)
        except OSError as error:
            msg = f"{one.file}: cannot be read ({error.strerror or error})"
            raise DataError(msg) from error
    return hashes


def _split_numbers(path: Path, labels: np.ndarray | None) -> np.ndarray:
    """Number of the split of each row, as the column `split` says; `DataError` without one."""
    if labels is None:
        msg = f"{path}: column 'split' is missing, while other files have it; use one way"
        raise DataError(msg)
    known = np.array([_SPLITS.get(str(v), "") for v in labels])
    if (known == "").any():
        row = int((known == "").argmax())
        msg = (
            f"{path}: column 'split', row {row}: {str(labels[row])!r}; expected train, val or test"
        )
        raise DataError(msg)
    return np.array([SPLIT_NAMES.index(str(v)) for v in known])
