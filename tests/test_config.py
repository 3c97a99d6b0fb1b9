"""What every error, every TOML and every JSON file is held to."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixelsieve.core.config import fingerprint, from_mapping, read_toml, to_plain
from pixelsieve.core.errors import ConfigError, DataError, RunError, WorkerError
from pixelsieve.core.files import parse_json, read_document, read_kept


@given(st.text(st.characters(exclude_categories=())))
def test_an_error_is_one_line_that_a_terminal_only_prints(text: str) -> None:
    shown = str(DataError(f"file.toml: {text}"))
    assert shown.isprintable()
    assert shown.startswith("file.toml: ")
    if text.isprintable() and len(text) < 900:
        assert shown == f"file.toml: {text}"


def test_long_values_lose_their_middle_and_a_defect_keeps_its_traceback() -> None:
    shown = str(ConfigError("file.toml: " + "9" * 100_000 + "; expected 2 to 16"))
    assert len(shown) < 1100
    assert shown.endswith("; expected 2 to 16")
    assert str(ConfigError("\x1b[31mred\nline")) == "\\x1b[31mred\\nline"
    assert "\n" in str(WorkerError("ValueError: x\nTraceback ..."))


@pytest.mark.parametrize(
    "text",
    [
        "x = [" * 5000,
        "x = " + "{a = " * 5000,
        "x = " + "9" * 5000,
        "x = 0x" + "f" * 5000,
        "x = [{ y = 9223372036854775808 }]",
        "x = -9223372036854775809",
        "[" + "a." * 100_000 + "a]",
        "a." * 101 + "a = 1",
        '"a" . ' * 101 + "a = 1",
        "x = { " + "a." * 101 + "a = 1 }",
        "#" * (1 << 22) + "\n",
        "x = \x00",
        "\xff",
    ],
)
def test_hostile_toml_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"x\.toml: not valid TOML") as error:
        read_toml(path)
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 1100


def test_toml_of_64_bits_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    numbers = ", ".join(["0.5"] * 70_000)  # as many as an ADC may have codes
    path.write_text(
        f"x = [9223372036854775807, -9223372036854775808]\ny = inf\na.b.c = '.'\nz = [{numbers}]\n"
        f"# {'.' * 500}\n"
    )
    found = read_toml(path)
    assert found.pop("z") == [0.5] * 70_000
    assert found == {
        "x": [2**63 - 1, -(2**63)],
        "y": math.inf,
        "a": {"b": {"c": "."}},
    }


@pytest.mark.parametrize(
    "text", ["NaN", "[Infinity]", "-Infinity", "1e999", "[" * 100_000, "9" * 5000]
)
def test_hostile_json_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "metrics.json"
    path.write_text(text)
    with pytest.raises(RunError, match=r"metrics\.json: not valid JSON"):
        read_document(path)
    with pytest.raises(RunError, match=r"^m.keras: not valid JSON"):
        parse_json(text, "m.keras")


def test_documents_are_objects(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    path.write_text("[1]")
    with pytest.raises(RunError, match=r"metrics\.json: no JSON object"):
        read_document(path)
    path.write_text('{"schema": 1, "models": [1]}')
    with pytest.raises(RunError, match=r"metrics\.json: 'models' is no dict"):
        read_kept(path, 1, "models", dict)
    assert read_kept(path, 1, "models", list) == [1]
    assert read_kept(tmp_path / "none.json", 1, "models", dict) is None


@dataclass(frozen=True, slots=True)
class Settings:
    rate: float
    bits: int = 4


def test_a_number_too_large_for_a_float_is_one_line() -> None:
    with pytest.raises(ConfigError, match=r"x\.json: 'rate' is a number of 1329 bits"):
        from_mapping(Settings, {"rate": 10**400}, "x.json")


@dataclass(frozen=True)
class _Numbers:
    share: float
    limit: float | None
    count: int


def test_whole_numbers_in_fields_of_floats_have_one_hash() -> None:
    assert fingerprint(_Numbers(1, 2, 3)) == fingerprint(_Numbers(1.0, 2.0, 3))
    plain = to_plain(_Numbers(1, None, 3))
    assert plain == {"share": 1.0, "limit": None, "count": 3}
    assert [type(value) for value in plain.values()] == [float, type(None), int]


def test_errors_call_options_by_the_names_of_arguments() -> None:
    error = ConfigError("--float-epochs, --epochs: give --bits; see dask worker --nthreads 1")
    error.name_arguments(["float_epochs", "bits", "epochs"])
    assert str(error) == "float_epochs, epochs: give bits; see dask worker --nthreads 1"
    assert error.line.startswith("--float-epochs, --epochs: give --bits")
