"""The examples in the docstrings of the public names, run as they stand."""

from __future__ import annotations

import ast
import doctest
import inspect
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import pixelsieve as ps

NAMES = [name for name in ps.__all__ if name != "__version__"]
MADE_BY = {
    "data": "load",
    "model": "train",
    "front": "train",
    "study": "compare",
    "chip": "firmware",
}
"""Names that examples use, and the function whose own example makes each."""

SKIPPED = {doctest.SKIP: True}


class Examples:
    """Examples in one folder; each is run once, after those that make what it uses."""

    def __init__(self) -> None:
        self._done: dict[str, dict[str, Any]] = {}

    def run(self, name: str) -> dict[str, Any]:
        """Run the examples of a public name; return the names that they leave."""
        if name not in self._done:
            left: dict[str, Any] = {}
            for test in doctests_of(name):
                test.globs = {"ps": ps}
                source = "".join(one.source for one in test.examples if one.options != SKIPPED)
                for used in names_in(source) & MADE_BY.keys():
                    if MADE_BY[used] != name:
                        test.globs[used] = self.run(MADE_BY[used])[used]
                if '"runs/' in source and name != "compare":
                    self.run("compare")
                said: list[str] = []
                runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
                runner.run(test, out=said.append, clear_globs=False)
                if said:
                    pytest.fail("".join(said), pytrace=False)
                left |= test.globs
            self._done[name] = left
        return self._done[name]


def doctests_of(name: str) -> list[doctest.DocTest]:
    found = doctest.DocTestFinder().find(getattr(ps, name), name, globs={})
    return [test for test in found if test.examples]


def names_in(source: str) -> set[str]:
    return {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}


@pytest.fixture(scope="module")
def examples(dataset_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Examples]:
    folder, before = tmp_path_factory.mktemp("examples"), Path.cwd()
    (folder / "clusters.parquet").symlink_to(dataset_file)
    os.chdir(folder)
    yield Examples()
    os.chdir(before)


@pytest.mark.filterwarnings("ignore:.*over the budget")  # the price of a short training
@pytest.mark.parametrize("name", NAMES)
def test_examples_hold(name: str, examples: Examples) -> None:
    examples.run(name)


@pytest.mark.parametrize("name", NAMES)
def test_public_names_have_docstring_types_and_example(name: str) -> None:
    public = getattr(ps, name)
    assert public.__doc__
    assert any(test.name == name for test in doctests_of(name)), "no example"
    if issubclass(public, Exception) if inspect.isclass(public) else False:
        return
    parameters = inspect.signature(public).parameters.values()
    assert [one.name for one in parameters if one.annotation is one.empty] == []
