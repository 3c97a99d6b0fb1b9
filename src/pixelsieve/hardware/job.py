"""From a run's model to a folder of verified Verilog."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pixelsieve.core.config import to_plain
from pixelsieve.core.files import (
    MARKER,
    check_replaceable,
    claimed_folder,
    failed_folder,
    keep_copy,
    put_back,
    replacing_folder,
    scratch,
    write_json,
)
from pixelsieve.core.processes import scratch_folder
from pixelsieve.core.programs import VERILATOR, YOSYS, Tool, find
from pixelsieve.data.clusters import Clusters
from pixelsieve.front_end import FrontEnd
from pixelsieve.hardware.ports import Design, Timing
from pixelsieve.hardware.readme import readme
from pixelsieve.hardware.resources import expected_duration, synthesize
from pixelsieve.hardware.rtl import design, write_verilog
from pixelsieve.hardware.synthesis import Measure, Settings, Synthesis
from pixelsieve.hardware.testbench import Vectors, edge_codes, vectors, write_testbench
from pixelsieve.hardware.upsets import FlipStudy, flip_study
from pixelsieve.hardware.verify import (
    AnswerCheck,
    Verification,
    verify,
    verify_netlist,
    verify_vhdl,
)
from pixelsieve.integer.file import write_beside, write_integer_network
from pixelsieve.integer.network import IntegerNetwork, from_model
from pixelsieve.integer.pixel_logic import PixelCost, pixel_cost
from pixelsieve.integer.pixels import PixelNetwork, Program, from_pixels
from pixelsieve.metrics.metrics import EFFICIENCY, tie_loss_at
from pixelsieve.metrics.threshold import Threshold, choose_threshold
from pixelsieve.networks.model_file import Model

LARGEST_NETLIST = 5_000
"""LUTs (alkaid's estimate) up to which a netlist is simulated; larger ones compile for long."""


@dataclass(frozen=True, slots=True)
class Extras:
    """Extra work besides verified Verilog of the network.

    `measures` are counted by Yosys within `settings`; the netlist of a network of at most
    `LARGEST_NETLIST` LUTs (alkaid's estimate) is simulated too. `bit_flips` studies flips of
    stored weight bits on the validation split. `vhdl` writes the same design in VHDL 2008 too,
    which is simulated if GHDL is on PATH. From `pixels`, the Verilog also makes the features, of
    the codes of `front_end`, which the model was trained with.
    """

    measures: tuple[Measure, ...] = ()
    settings: Settings = field(default_factory=Settings)
    bit_flips: bool = False
    vhdl: bool = False
    pixels: bool = False
    front_end: FrontEnd | None = None


@dataclass(frozen=True, slots=True)
class FirmwareResult:
    """All that was made, and its folder; `folder` ends in `.failed` if a check did not hold.

    `tie_loss` is the rejection that ties at the threshold cost (`metrics.tie_loss_at`).
    """

    model: str
    folder: Path
    design: Design
    threshold: Threshold
    tie_loss: float
    verification: Verification
    network_sha256: str
    synthesis: tuple[Synthesis, ...] = ()
    netlist: AnswerCheck | None = None
    vhdl: AnswerCheck | None = None
    bit_flips: FlipStudy | None = None
    pixel_cost: PixelCost | None = None

    @property
    def passed(self) -> bool:
        """Whether Keras, the integer program and all that was simulated agreed."""
        more = [check for check in (self.netlist, self.vhdl) if check is not None]
        return self.verification.passed and all(check.passed for check in more)

    def plain(self) -> dict[str, Any]:
        """Return plain data for JSON, without the Verilog itself."""
        chosen = to_plain(self.threshold)
        code = {"code": int(chosen.pop("threshold")), **chosen}
        made = {k: v for k, v in to_plain(self.design).items() if k != "files"}
        checked = {"passed": self.verification.passed, **to_plain(self.verification)}
        return {
            "schema": 1,
            "model": self.model,
            "network_sha256": self.network_sha256,
            "passed": self.passed,
            "from": "pixels" if self.pixel_cost else "features",
            "threshold": {**code, "validation_tie_loss": self.tie_loss},
            "design": made,
            "verification": checked,
            "synthesis": to_plain(self.synthesis),
            "netlist": to_plain(self.netlist),
            "vhdl": to_plain(self.vhdl),
            "bit_flips": to_plain(self.bit_flips),
            "pixel_cost": to_plain(self.pixel_cost),
        }


def make_firmware(
    model: Model,
    validation: Clusters,
    test: Clusters,
    out: Path,
    *,
    efficiency: float = EFFICIENCY,
    timing: Timing | None = None,
    extras: Extras | None = None,
    jobs: int = 2,
    on_step: Callable[[str], None] | None = None,
    on_flip: Callable[[int, int], None] | None = None,
) -> FirmwareResult:
    """Write `out` (Verilog, test bench, README.md, network.json, verification.json, ...), check it.

    The integer network of a model that was read from a file is also written beside that. Verilog
    that passed the gate is in `out` before anything of `extras` starts, so that whatever becomes
    of these, it stays. If a check does not hold the folder is `out` with `.failed` behind its name,
    and what `out` held before stays. Raise `PixelsieveError`s of one line for everything that the
    user can mend.
    """
    say, extras = on_step or (lambda _: None), extras or Extras()
    verilator = find(VERILATOR)
    if extras.measures:
        find(YOSYS)
    check_replaceable(out)
    network = from_model(model, model.name)
    program = from_pixels(network, extras.front_end) if extras.pixels else network
    say("threshold from the validation split")
    validation.require_both_classes()
    logits = network.run(network.codes(validation))
    threshold = choose_threshold(logits, validation.signal, efficiency)
    tie_loss = tie_loss_at(logits, validation.signal, efficiency)
    say("Verilog")
    made = design(program, threshold.code, timing=timing)
    of = vectors(
        program,
        program.codes(test),
        features=network.features.table(test),
        edges=edge_codes(program, program.codes(validation), threshold.code),
    )
    with claimed_folder(out), scratch() as work:
        (work / "verilog").mkdir()
        write_verilog(work / "verilog", made)
        (work / "testbench").mkdir()
        write_testbench(work / "testbench", made, program, of)
        say("verification")
        checked = verify(model, program, work / "verilog", made, of, verilator, jobs=jobs)
        result = FirmwareResult(model.origin, out, made, threshold, tie_loss, checked, "")
        if isinstance(program, PixelNetwork):
            result = replace(result, pixel_cost=pixel_cost(network, program.adc_bits))
        job = _Job(network, program, of, work, out, verilator, jobs)
        keep_copy(out)
        result = job.written(result)
        if model.path is not None:
            write_beside(model.path, network)
        if result.passed and extras.measures:
            how_long = expected_duration(made, extras.measures, extras.settings)
            say(f"verified Verilog and alkaid's estimate are in {out}; Yosys counts {how_long}")
            result = job.written(job.counted(result, extras))
        if result.passed and extras.vhdl:
            say("VHDL")
            again = design(program, threshold.code, timing=timing, language="vhdl")
            result = job.written(job.with_vhdl(result, again))
        if result.passed and extras.bit_flips:
            say("bit flips in the stored weights")
            flips = flip_study(network, validation, efficiency=efficiency, on_flip=on_flip)
            result = job.written(replace(result, bit_flips=flips))
    return result


@dataclass(frozen=True, slots=True)
class _Job:
    """A program whose Verilog is in the folder `work`, on its way to the folder `out`."""

    network: IntegerNetwork
    program: Program
    of: Vectors
    work: Path
    out: Path
    verilator: Tool
    jobs: int

    def written(self, result: FirmwareResult) -> FirmwareResult:
        """Write the folder whole; the result that says where it is."""
        target = self.out if result.passed else failed_folder(self.out)
        with replacing_folder(target) as folder:
            shutil.copytree(self.work, folder, dirs_exist_ok=True)
            sha256 = write_integer_network(folder / "network.json", self.network)
            result = replace(result, folder=target, network_sha256=sha256)
            text = readme(self.program, result.design, result.verification, result.threshold)
            (folder / "README.md").write_text(text, encoding="utf-8")
            write_json(folder / MARKER, result.plain())
        if not result.passed:
            put_back(self.out)
        return result

    def counted(self, result: FirmwareResult, extras: Extras) -> FirmwareResult:
        """Count by Yosys, and compare the netlist if that is not too large."""
        folder, made = self.work / "synthesis", result.design
        folder.mkdir()
        plain = folder / "netlist_simulation.v"
        found = synthesize(
            self.work / "verilog",
            made,
            extras.measures,
            extras.settings,
            netlist=folder / "netlist_xilinx.v",
            simulation=plain,
        )
        check = None
        if plain.exists() and made.lut_estimate <= LARGEST_NETLIST:
            with scratch_folder() as alone:
                shutil.copy(plain, alone)
                check = verify_netlist(
                    alone, made, self.program, self.of, self.verilator, jobs=self.jobs
                )
        return replace(result, synthesis=found, netlist=check)

    def with_vhdl(self, result: FirmwareResult, made: Design) -> FirmwareResult:
        """Write the VHDL of `made` too, and compare it."""
        folder = self.work / "vhdl"
        folder.mkdir()
        write_verilog(folder, made)
        check = verify_vhdl(folder, made, self.program, self.of)
        return replace(result, vhdl=check)
