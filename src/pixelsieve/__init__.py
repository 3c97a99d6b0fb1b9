"""pixelsieve: the smallest network that keeps signal clusters and drops beam-induced background.

    import pixelsieve as ps

    data = ps.load("clusters.parquet")
    wide = ps.train(data, "model2")
    four = ps.train(data, "model2", bits=4, start=wide)
    print(ps.evaluate(four, data))
    chip = ps.firmware(four, data, out="chip")

Every name is loaded when it is first used.
"""

from __future__ import annotations

import os
from importlib import import_module

TYPE_CHECKING = False  # for type checkers alone; `typing` takes longer to import than all of this
if TYPE_CHECKING:
    from pixelsieve.api.arguments import load_model
    from pixelsieve.api.circuits import (
        Costs,
        Firmware,
        HlsProject,
        VendorReports,
        firmware,
        hand_over,
        import_report,
        resources,
    )
    from pixelsieve.api.comparing import Study, compare
    from pixelsieve.api.data import (
        ImportedModel,
        Inspected,
        convert,
        convert_model,
        inspect,
        load,
        simulate,
    )
    from pixelsieve.api.pages import Installed, doctor, report
    from pixelsieve.api.scoring import Paired, Scores, evaluate
    from pixelsieve.api.searching import Search, search
    from pixelsieve.api.tracking import to_mlflow
    from pixelsieve.api.training import Front, TrainedModel, train
    from pixelsieve.api.varying import Robustness, robustness
    from pixelsieve.core.errors import PixelsieveError, PixelsieveWarning
    from pixelsieve.data.clusters import Clusters
    from pixelsieve.data.detector import Detector
    from pixelsieve.formats.dataset import Dataset
    from pixelsieve.front_end import FrontEnd
    from pixelsieve.networks.model_file import Model
    from pixelsieve.networks.precision import LearnedPrecision as Learned
    from pixelsieve.networks.precision import Precision as Uniform
    from pixelsieve.networks.spec import NetworkSpec as Network
    from pixelsieve.training.recipe import Recipe

__all__ = [
    "Clusters",
    "Costs",
    "Dataset",
    "Detector",
    "Firmware",
    "Front",
    "FrontEnd",
    "HlsProject",
    "ImportedModel",
    "Inspected",
    "Installed",
    "Learned",
    "Model",
    "Network",
    "Paired",
    "PixelsieveError",
    "PixelsieveWarning",
    "Recipe",
    "Robustness",
    "Scores",
    "Search",
    "Study",
    "TrainedModel",
    "Uniform",
    "VendorReports",
    "__version__",
    "compare",
    "convert",
    "convert_model",
    "doctor",
    "evaluate",
    "firmware",
    "hand_over",
    "import_report",
    "inspect",
    "load",
    "load_model",
    "report",
    "resources",
    "robustness",
    "search",
    "simulate",
    "to_mlflow",
    "train",
]
__version__ = "0.1.0"

# Keras reads its backend once, at its first import; everything here is written for JAX.
os.environ["KERAS_BACKEND"] = "jax"

_HOMES = {
    "api.arguments": "load_model",
    "api.circuits": "Costs Firmware HlsProject VendorReports firmware hand_over import_report "
    "resources",
    "api.comparing": "Study compare",
    "api.data": "ImportedModel Inspected convert convert_model inspect load simulate",
    "api.pages": "Installed doctor report",
    "api.scoring": "Paired Scores evaluate",
    "api.searching": "Search search",
    "api.tracking": "to_mlflow",
    "api.training": "Front TrainedModel train",
    "api.varying": "Robustness robustness",
    "core.errors": "PixelsieveError PixelsieveWarning",
    "data.clusters": "Clusters",
    "data.detector": "Detector",
    "formats.dataset": "Dataset",
    "front_end": "FrontEnd",
    "networks.model_file": "Model",
    "networks.precision": "Learned=LearnedPrecision Uniform=Precision",
    "networks.spec": "Network=NetworkSpec",
    "training.recipe": "Recipe",
}
"""Modules with the public names that they define, under another name there after `=`."""

_PUBLIC = {
    name.partition("=")[0]: (module, name.rpartition("=")[2])
    for module, names in _HOMES.items()
    for name in names.split()
}

if not TYPE_CHECKING:  # so that type checkers find names that are misspelled

    def __getattr__(name: str) -> object:
        if name not in _PUBLIC:
            msg = f"module '{__name__}' has no attribute '{name}'"
            raise AttributeError(msg)
        module, there = _PUBLIC[name]
        found = getattr(import_module(f"{__name__}.{module}"), there)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return __all__
