"""A foreign model file into one of ours: a file of its own, or a run folder."""

from __future__ import annotations

import os
from pathlib import Path

from pixelsieve.config import to_plain
from pixelsieve.errors import ConfigError, RunError
from pixelsieve.files import write_json
from pixelsieve.model_file import save_model
from pixelsieve.model_import.convert import ImportOptions, import_model, model_name
from pixelsieve.model_import.report import ImportReport
from pixelsieve.model_import.stored import SUFFIXES
from pixelsieve.runs import RunFolder

__all__ = ["convert_model"]


def convert_model(source: Path, out: Path, options: ImportOptions) -> tuple[Path, ImportReport]:
    """Import `source`; returns our model file and the report.

    `out` ending in `.keras` is that file, which must not exist; else it is a run folder, which
    gets `models/NAME.keras` and `import.json`. Raises what `import_model` raises, before anything
    is written, and `RunError` where `out` cannot be written.
    """
    if out.suffix in SUFFIXES and out.suffix != ".keras":
        msg = f"{out}: models are written as .keras; expected a run folder or a name that ends so"
        raise ConfigError(msg)
    model, report = import_model(source, options)
    if out.suffix == ".keras":
        if os.path.lexists(out):
            msg = f"{out}: exists and would be overwritten; name another --out or remove it"
            raise RunError(msg)
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            save_model(out, model)
        except OSError as error:
            msg = f"{out}: cannot be written ({error.strerror or error})"
            raise RunError(msg) from error
        return out, report
    identity = {"import": {"sha256": report.sha256, **to_plain(options)}}
    with RunFolder(out, identity) as run:
        path = run.folder("models") / f"{model_name(source)}.keras"
        save_model(path, model)
        write_json(out / "import.json", report)
    return path, report
