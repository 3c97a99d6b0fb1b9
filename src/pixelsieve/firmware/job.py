"""From a run's model to a folder of verified Verilog."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pixelsieve.clusters import Clusters
from pixelsieve.errors import ConfigError, RunError, nearest
from pixelsieve.evaluation.metrics import rejection_at
from pixelsieve.files import write_json
from pixelsieve.firmware.folder import MARKER, check_replaceable, failed_folder, replacing_folder
from pixelsieve.firmware.integer import IntegerNetwork, from_model
from pixelsieve.firmware.integer_file import write_integer_network
from pixelsieve.firmware.readme import readme
from pixelsieve.firmware.rtl import Design, design, write_verilog
from pixelsieve.firmware.tools import find_verilator
from pixelsieve.firmware.verify import Verification, edge_codes, verify
from pixelsieve.model_file import Model, load_model

__all__ = ["Chosen", "FirmwareResult", "choose_threshold", "make_firmware", "pick_model"]


@dataclass(frozen=True, slots=True)
class Chosen:
    """A threshold code, and what it does on the split that it was chosen on."""

    code: int
    efficiency: float
    validation_efficiency: float
    validation_rejection: float


@dataclass(frozen=True, slots=True)
class FirmwareResult:
    """What was made and where; `folder` ends in `.failed` where the gate did not hold."""

    model: str
    folder: Path
    design: Design
    chosen: Chosen
    verification: Verification
    network_sha256: str

    def to_plain(self) -> dict[str, Any]:
        """Plain data for JSON, without the Verilog itself."""
        made = {k: v for k, v in asdict(self.design).items() if k != "files"}
        checked = {"passed": self.verification.passed, **asdict(self.verification)}
        return {
            "schema": 1,
            "model": self.model,
            "network_sha256": self.network_sha256,
            "threshold": asdict(self.chosen),
            "design": made,
            "verification": checked,
        }


def pick_model(run: Path, name: str | None) -> Model:
    """The named model of a run folder, or its only quantized one.

    Raises `RunError` for a folder without models, `ConfigError` for unknown and ambiguous names.
    """
    paths = {p.stem: p for p in sorted((run / "models").glob("[!.]*.keras"))}
    if not paths:
        msg = f"{run}: no models in it; expected the folder of a run (models/NAME.keras)"
        raise RunError(msg)
    if name is not None:
        wanted = name.removesuffix(".keras")
        if wanted not in paths:
            msg = f"--model {name}{nearest(wanted, paths)}: not in {run}; it has {', '.join(paths)}"
            raise ConfigError(msg)
        return load_model(paths[wanted])
    models = {stem: load_model(path) for stem, path in paths.items()}
    quantized = {stem: m for stem, m in models.items() if m.precision is not None}
    if not quantized:
        msg = f"{run}: only float models; firmware needs a quantized one (train --bits N)"
        raise ConfigError(msg)
    if len(quantized) > 1:
        msg = f"{run}: several quantized models; choose one with --model: {', '.join(quantized)}"
        raise ConfigError(msg)
    return next(iter(quantized.values()))


def choose_threshold(
    network: IntegerNetwork, validation: Clusters, efficiency: float = 0.98
) -> Chosen:
    """The largest code that keeps at least `efficiency` of the signal; equal codes are all kept.

    Raises `DataError` for a split without both classes.
    """
    if not 0 < efficiency <= 1:
        msg = f"--efficiency is {efficiency:g}; expected a share above 0, at most 1"
        raise ConfigError(msg)
    validation.require_both_classes()
    logits = network.run(network.input_codes(network.features.table(validation)))
    rejection, achieved, code = rejection_at(logits, validation.signal, efficiency)
    return Chosen(int(code), efficiency, achieved, rejection)


def make_firmware(
    model: Model,
    validation: Clusters,
    test: Clusters,
    out: Path,
    *,
    efficiency: float = 0.98,
    stages: int | None = None,
    clock_ns: float | None = None,
    jobs: int = 2,
    on_step: Callable[[str], None] | None = None,
) -> FirmwareResult:
    """Write `out` (Verilog, README.md, network.json, verification.json) and check it.

    The integer network is also written beside the model. Where the gate does not hold the folder
    is `out` with `.failed` behind its name, and what `out` held before stays. Raises
    `PixelsieveError`s of one line for everything that the user can mend.
    """
    say = on_step or (lambda _: None)
    name = Path(model.origin).stem
    verilator = find_verilator()
    check_replaceable(out)
    network = from_model(model, name)
    say("threshold from the validation split")
    chosen = choose_threshold(network, validation, efficiency)
    say("Verilog")
    made = design(network, chosen.code, stages=stages, clock_ns=clock_ns)
    codes = network.input_codes(network.features.table(test))
    at_threshold = edge_codes(
        network, network.input_codes(network.features.table(validation)), chosen.code
    )
    say("verification")
    with tempfile.TemporaryDirectory(prefix="pixelsieve-") as scratch:
        try:
            write_verilog(Path(scratch), made)
        except OSError as error:
            msg = f"{scratch}: cannot be written ({error.strerror or error}); set TMPDIR"
            raise RunError(msg) from error
        checked = verify(
            model,
            network,
            Path(scratch),
            made,
            chosen.code,
            codes,
            verilator,
            edges=at_threshold,
            jobs=jobs,
        )
    target = out if checked.passed else failed_folder(out)
    with replacing_folder(target) as folder:
        sha256 = write_integer_network(folder / "network.json", network)
        result = FirmwareResult(model.origin, target, made, chosen, checked, sha256)
        (folder / "verilog").mkdir()
        write_verilog(folder / "verilog", made)
        (folder / "README.md").write_text(
            readme(network, made, checked, asdict(chosen)), encoding="utf-8"
        )
        write_json(folder / MARKER, result.to_plain())
    _beside(Path(model.origin), network)
    return result


def _beside(model: Path, network: IntegerNetwork) -> None:
    path = model.with_suffix(".json")
    try:
        write_integer_network(path, network)
    except OSError as error:
        msg = f"{path}: cannot be written ({error.strerror or error})"
        raise RunError(msg) from error
