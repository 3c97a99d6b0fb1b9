"""Runs the notebooks and puts what their cells show into them: `python docs/generate/notebook.py`.

With `--check` nothing is written, and the exit code is 1 where a cell fails or shows other words
than the notebook; numbers and pictures may differ from machine to machine and are not compared.
For the site, `mkdocs` calls `on_files`, which makes a page of each notebook.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

FOLDER = Path(__file__).parents[1] / "notebooks"

Notebook = Any
"""A notebook as plain data, or as `nbformat` holds it."""


def run(notebook: Notebook, settings: Path) -> None:
    """Run all cells in an empty folder, with `settings` as Jupyter's own."""
    from nbclient import NotebookClient

    os.environ |= {"IPYTHONDIR": str(settings), "JUPYTER_PLATFORM_DIRS": "1"}
    os.environ.pop("MPLBACKEND", None)  # the kernel draws into its cells
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(notebook, timeout=600, resources={"metadata": {"path": folder}})
        client.record_timing = False
        client.execute()
    notebook.metadata.language_info = {"name": "python"}
    for cell in notebook.cells:
        shown = cell.get("outputs", [])
        shown[:] = [one for one in shown if "pixelsieve-progress" not in str(one.get("data"))]


def words_shown(notebook: Notebook) -> list[Any]:
    """Return the words that each cell shows as text or as a table."""
    from tutorial import words_of

    return [words_of("".join(map(_text, cell.get("outputs", [])))) for cell in notebook["cells"]]


def _text(output: Any) -> str:
    text = output.get("text") or output.get("data", {}).get("text/plain", "")
    return "".join(text)


def main() -> int:
    """Run the notebooks; write them or check them."""
    import nbformat

    for path in sorted(FOLDER.glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        before = words_shown(notebook)
        with tempfile.TemporaryDirectory() as settings:
            run(notebook, Path(settings))
        if "--check" not in sys.argv:
            nbformat.write(notebook, path)
            continue
        for cell, was, now in zip(notebook.cells, before, words_shown(notebook), strict=True):
            if was != now:
                print(f"{path.name}, cell '{cell.id}': no longer {was - now}, but {now - was}")
                print("run: python docs/generate/notebook.py")
                return 1
    return 0


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each notebook, with its pictures."""
    from mkdocs.structure.files import File

    for notebook in [one for one in files if one.src_uri.endswith(".ipynb")]:
        place = Path(notebook.src_uri)
        text, pictures = page(json.loads(notebook.content_string), place)
        made: dict[str, str | bytes] = {f"{place.with_suffix('')}.md": text}
        made |= {f"{place.parent}/{name}": picture for name, picture in pictures.items()}
        for name, content in made.items():
            files.append(File.generated(config, name, content=content))
    return files


def page(notebook: Notebook, place: Path) -> tuple[str, dict[str, bytes]]:
    """Return a notebook as Markdown, and its pictures by file name."""
    parts, pictures = list[str](), dict[str, bytes]()
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/png" in data:
                name = f"{place.stem}_{len(pictures)}.png"
                pictures[name] = base64.b64decode(data["image/png"])
                parts.append(f"![What the cell draws]({name})")
            elif "text/html" in data:
                parts.append("".join(data["text/html"]))
            else:
                parts.append(f"```text\n{_text(output).rstrip()}\n```")
    heading, *rest = parts
    link = f"This page is a notebook: [{place.name}]({place.name})."
    return "\n\n".join([heading, link, *rest]) + "\n", pictures


if __name__ == "__main__":
    sys.exit(main())
