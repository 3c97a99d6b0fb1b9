"""An exported notebook in a real browser: every value's table is seen, and does nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.public_values import HOSTILE

ROOT = Path(__file__).parents[1]
WIDTH = 1000


def exported(cells: list[str], path: Path) -> Path:
    """Run a notebook of those cells; write it as HTML."""
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
    nbconvert = pytest.importorskip("nbconvert", reason="nbconvert is not installed")
    if find_spec("ipykernel") is None:  # a process that imports it passes for a kernel
        pytest.skip("ipykernel is not installed")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(one) for one in cells])
    where = {"metadata": {"path": str(ROOT)}}  # where `tests` is
    nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3", resources=where).execute()
    text, _ = nbconvert.HTMLExporter().from_notebook_node(notebook)
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def pages(
    values: dict[str, Any], values_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path, list[str]]:
    """A notebook that shows all values, one that shows nothing, the names of the values."""
    folder = tmp_path_factory.mktemp("notebook")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IPYTHONDIR", str(folder / "ipython"))
        patch.setenv("JUPYTER_DATA_DIR", str(folder / "jupyter"))
        patch.setenv("JUPYTER_RUNTIME_DIR", str(folder / "runtime"))
        first = (
            "from pathlib import Path\n"
            "from tests.public_values import public_values\n"
            f"values = public_values(Path({str(values_folder)!r}))"
        )
        cells = [first, *(f"values[{name!r}]" for name in values)]
        shown = exported(cells, folder / "shown.html")
        bare = exported(["1"], folder / "bare.html")
    return shown, bare, list(values)


@contextmanager
def opened(browser: Any, path: Path) -> Iterator[tuple[Any, set[str]]]:
    """The page, and all that it asked for, said or ran into; nothing but the file is answered."""
    context = browser.new_context(viewport={"width": WIDTH, "height": 800})
    page = context.new_page()
    events: set[str] = set()

    def dismissed(dialog: Any) -> None:
        events.add(f"dialog: {dialog.message}")
        dialog.dismiss()

    page.route(
        "**/*",
        lambda route: route.continue_() if route.request.url.startswith("file:") else route.abort(),
    )
    page.on("console", lambda message: events.add(f"console: {message.text}"))
    page.on("pageerror", lambda error: events.add(f"error: {error}"))
    page.on("dialog", dismissed)
    page.on("request", lambda request: events.add(f"request: {Path(request.url).name}"))
    page.goto(path.as_uri())
    yield page, events
    context.close()


def test_every_value_is_a_table_in_an_exported_notebook(
    browser: Any, pages: tuple[Path, Path, list[str]]
) -> None:
    shown, bare, names = pages
    with opened(browser, bare) as (_, usual):
        pass
    with opened(browser, shown) as (page, events):
        ours = page.locator(".pixelsieve")
        assert ours.count() == len(names)
        for i, name in enumerate(names):
            one = ours.nth(i)
            assert one.locator("table").is_visible(), name
            assert one.locator("tbody tr").count() > 0, name
            box = one.bounding_box()
            assert box["x"] + box["width"] <= WIDTH, name
        assert page.evaluate("document.documentElement.scrollWidth") <= WIDTH
        aligned = "all => all.map(one => getComputedStyle(one).textAlign)"
        numbers = page.eval_on_selector_all(".pixelsieve .num", aligned)
        assert len(numbers) > len(names)
        assert set(numbers) == {"right"}
        texts = ".pixelsieve td:not(.num), .pixelsieve th:not(.num)"
        assert set(page.eval_on_selector_all(texts, aligned)) == {"left"}
        assert page.locator(".pixelsieve :is(script, img, link, iframe)").count() == 0
        hostile = ours.filter(has_text=HOSTILE.split("\n")[0])
        assert hostile.count() > 5
        wrong = {one.replace(shown.name, bare.name) for one in events} - usual
        assert wrong == set()
