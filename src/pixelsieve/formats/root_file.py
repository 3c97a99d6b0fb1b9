"""Trees of ROOT files, opened and read in stretches by uproot, whose errors become one line.

A tree is named as uproot's users do: `FILE.root:TREE`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixelsieve.core.errors import DataError, PixelsieveError, ToolError, nearest
from pixelsieve.core.files import is_pointer, not_fetched

SUFFIX = ".root"
_TREES = ("TTree", "TNtuple", "TNtupleD", "ROOT::RNTuple")
_MAGIC = b"root"
_PODIO = "podio_metadata"
SHOWN = 12
"""The most names that a message lists."""

FLAT = "docs/formats.md says how to make a flat tree of EDM4hep and LCIO"


def file_and_tree(path: str | Path) -> tuple[Path, str | None]:
    """Return the file of `FILE.root:TREE` and the tree, None without one."""
    head, colon, tree = str(path).partition(f"{SUFFIX}:")
    if not colon or Path(path).exists():
        return Path(path), None
    return Path(head + SUFFIX), tree


def in_tree(path: Path, tree: str | None) -> Path:
    """Return `FILE.root:TREE`, the file alone without a tree."""
    return path if tree is None else Path(f"{path}:{tree}")


@dataclass(frozen=True, slots=True)
class Tree:
    """An open tree and its number of entries, one per cluster.

    `names` are its branches, `nested` is a branch inside another, if there is one.
    """

    path: Path
    tree: Any
    names: list[str]
    nested: str | None
    entries: int

    def stretches(self, wanted: list[str], rows: int, stop: int | None = None) -> Iterator[Any]:
        """Yield the entries, `rows` at a time, as records of Awkward Array."""
        chosen: Callable[[str], bool] = set(wanted).__contains__
        stretches = self.tree.iterate(
            filter_name=chosen, step_size=rows, entry_stop=stop, library="ak"
        )
        left = self.entries if stop is None else min(self.entries, stop)
        while left:
            with _telling(self.path):
                arrays: Any = next(stretches, ())
            if len(arrays) != min(rows, left):
                msg = f"{self.path}: holds fewer entries than it says; fetch or write it again"
                raise DataError(msg)
            left -= len(arrays)
            for name in wanted:
                if name not in arrays.fields:
                    msg = f"{self.path}: branch '{name}' holds nothing that uproot can read"
                    raise DataError(msg)
            yield arrays


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Tree]:
    """Open the tree that a path names, else the only one."""
    try:
        import uproot
    except ImportError as error:
        msg = f"{path}: uproot, which reads ROOT files, is not installed: "
        msg += "pip install 'pixelsieve[root]'"
        raise ToolError(msg) from error
    file, name = file_and_tree(path)
    with contextlib.ExitStack() as stack:
        with _telling(path):
            with file.open("rb") as opened_file:
                if opened_file.read(len(_MAGIC)) != _MAGIC:
                    msg = f"{path}: is no ROOT file; expected a TTree or an RNTuple in one"
                    raise DataError(not_fetched(file) if is_pointer(file) else msg)
            # Not as text, in which uproot would look for a colon.
            directory = stack.enter_context(uproot.open({file: None}, array_cache=None))
            # What a file says of classes that uproot does not know would become Python and be run.
            directory.file._streamers = {}  # noqa: SLF001
            kinds = directory.classnames(recursive=True, cycle=False)
            trees = [key for key, kind in kinds.items() if kind in _TREES]
            chosen = _chosen(path, name, trees, kinds, lambda key: directory[key].num_entries)
            tree = directory[chosen]
            if not hasattr(tree, "iterate"):
                msg = f"{path}: tree '{chosen}' is of a version that uproot does not know; copy it "
                raise DataError(msg + "with ROOT of today, e.g. by hadd")
            names = tree.keys(recursive=False)
            entries = int(tree.num_entries)
            nested = next((key for key in tree.keys() if key not in names), None)  # noqa: SIM118
        yield Tree(path, tree, names, nested, entries)


def _chosen(
    path: Path,
    name: str | None,
    trees: list[str],
    kinds: Mapping[str, str],
    entries: Callable[[str], int],
) -> str:
    file, _ = file_and_tree(path)
    if name in trees:
        return name
    if not trees:
        others = ", ".join(f"{kind} '{key}'" for key, kind in [*kinds.items()][:SHOWN])
        msg = f"{path}: holds no tree (TTree or RNTuple) but {others or 'nothing at all'}; "
        raise DataError(msg + "expected one entry per cluster")
    if name is None and any(key.rsplit("/", 1)[-1] == _PODIO for key in trees):
        msg = f"{path}: is EDM4hep or another model of podio, no flat tree; expected one entry "
        msg += f"per cluster, {FLAT}"
        raise DataError(msg)
    if name is None and len(trees) == 1:
        return trees[0]
    shown = ", ".join(f"'{key}' ({entries(key)} entries)" for key in trees[:SHOWN])
    if name is not None:
        msg = f"{file}: holds no tree '{name}'{nearest(name, trees)}; there is {shown}"
        raise DataError(msg)
    msg = f"{path}: holds several trees: {shown}; name one as {file}:{trees[0]}"
    raise DataError(msg)


@contextlib.contextmanager
def _telling(path: Path) -> Iterator[None]:
    """Turn any error of uproot's into a `DataError`: damage may lead it anywhere."""
    try:
        yield
    except PixelsieveError:
        raise
    except FileNotFoundError as error:
        msg = f"{path}: no such file"
        raise DataError(msg) from error
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        msg = f"{path}: not a whole ROOT file ({reason}); fetch or write it again"
        raise DataError(msg) from error
