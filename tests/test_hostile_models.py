"""Models and settings of strangers: read without running anything that stands in them."""

from __future__ import annotations

import io
import json
import os
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from pixelsieve.core import archives
from pixelsieve.core.errors import ConfigError, PixelsieveError, RunError
from pixelsieve.importing import stored
from pixelsieve.importing.convert import ImportOptions, import_model
from pixelsieve.networks.model_file import load_model, save_model
from pixelsieve.networks.spec import read_network
from pixelsieve.training.recipe import read_recipes
from tests.fuzzing.campaign import watch
from tests.test_archives import Evil
from tests.tiny_networks import TINY, tiny_model

MODELS = Path(__file__).parent / "data" / "models"
Change = Callable[[dict[str, bytes], Path], None]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.keras"
    save_model(path, tiny_model(4))
    return path


def rewritten(source: Path, path: Path, change: Change) -> Path:
    with zipfile.ZipFile(source) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members, path.parent / "executed")
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def in_json(name: str, alter: Callable[[Any, Path], None]) -> Change:
    def change(members: dict[str, bytes], marker: Path) -> None:
        document = json.loads(members[name])
        alter(document, marker)
        members[name] = json.dumps(document).encode()

    return change


def in_card(**values: Any) -> Change:
    return in_json("pixelsieve.json", lambda document, _: document["card"].update(values))


def first_dense(config: Any) -> dict[str, Any]:
    layers = config["config"]["layers"]
    return next(entry for entry in layers if entry["class_name"] == "Dense")


def system(config: Any, marker: Path) -> None:
    """A layer that names a function of Python, as Keras's loader resolves classes."""
    first_dense(config).update(
        module="os",
        class_name="system",
        registered_name="os>system",
        config={"command": f"touch {marker}", "name": "dense"},
    )


def activation(config: Any, marker: Path) -> None:
    code = f"__import__('pathlib').Path({str(marker)!r}).touch()"
    first_dense(config)["config"]["activation"] = {
        "module": "builtins",
        "class_name": "function",
        "config": "eval",
        "registered_name": "eval",
        "inner": code,
    }


def activation_text(config: Any, marker: Path) -> None:
    code = f"__import__('pathlib').Path({str(marker)!r}).touch()"
    first_dense(config)["config"]["activation"] = code


def evil_arrays(members: dict[str, bytes], marker: Path) -> None:
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {"a/kernel": np.array([Evil(marker)], dtype=object)}
    np.savez(buffer, **arrays)
    members["pixelsieve_weights.npz"] = buffer.getvalue()


def climbing(name: str) -> Change:
    return lambda members, _: members.update({name: b"evil"})


def refusal(read: Callable[[Path], object], path: Path, *, refused: bool = True) -> str:
    """The line that `read` ends in; nothing ran, nothing was written beside `path`."""
    folder = path.parent
    before, outside = sorted(folder.rglob("*")), sorted(folder.parent.iterdir())
    message = ""
    if refused:
        with pytest.raises(PixelsieveError) as error:
            read(path)
        message = str(error.value)
        assert message.startswith(str(path))
        assert message.isprintable()
    else:
        read(path)
    assert not (folder / "executed").exists()
    assert sorted(folder.rglob("*")) == before
    assert sorted(folder.parent.iterdir()) == outside
    return message


def imported(path: Path) -> object:
    return import_model(path, ImportOptions())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (evil_arrays, "not a plain array"),
        (climbing("../../evil"), "holds '../../evil'; expected metadata.json"),
        (climbing("/tmp/evil"), "holds '/tmp/evil'"),
        (climbing("assets/../../evil"), "holds 'assets/../../evil'"),
        (climbing("evil.pkl"), "holds 'evil.pkl'"),
        (in_json("pixelsieve.json", lambda d, _: d["network"].update(name="../../x")), "network '"),
        (
            in_json("pixelsieve.json", lambda d, _: d["network"]["layers"][0].update(name="../x")),
            "expected a name",
        ),
        (
            in_json("pixelsieve.json", lambda d, _: d["network"].update(__class__="os.system")),
            "unknown key '__class__'",
        ),
        (
            in_json("pixelsieve.json", lambda d, _: d["precision"].update(weight_bits=10**30)),
            "weight_bits",
        ),
        (
            in_json("pixelsieve.json", lambda d, _: d["network"]["layers"][0].update(units=2**60)),
            "has no kernel of shape",
        ),
        (in_card(detector="name"), "card: detector: expected a table"),
        (in_card(detector={"name": "x", "sensor": {"rows": 13}}), "card: detector"),
        (in_card(front_end=[1]), "card: front_end: expected a table"),
        (in_card(front_end={"noise_e": -1}), "card: front_end: 'noise_e' is -1"),
    ],
)
def test_our_archives_by_strangers_are_refused(
    own: Path, tmp_path: Path, change: Change, message: str
) -> None:
    assert message in refusal(load_model, rewritten(own, tmp_path / "m.keras", change))


@pytest.mark.parametrize("alter", [system, activation_text])
def test_what_our_archives_say_to_keras_is_never_looked_at(
    own: Path, tmp_path: Path, alter: Callable[[Any, Path], None]
) -> None:
    def change(members: dict[str, bytes], marker: Path) -> None:
        config = {"config": {"layers": [{"class_name": "Dense", "config": {}}]}}
        alter(config, marker)
        members["config.json"] = json.dumps(config).encode()
        members["model.weights.h5"] = b"no HDF5"

    refusal(load_model, rewritten(own, tmp_path / "m.keras", change), refused=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (in_json("config.json", system), "'layers/dense' is of layer"),
        (in_json("config.json", activation), "'eval' on layer"),
        (in_json("config.json", activation_text), "activation"),
        (climbing("../../evil"), "'../../evil' belongs to no layer"),
        (climbing("evil.pkl"), "'evil.pkl' belongs to no layer"),
    ],
)
def test_foreign_archives_that_name_code_are_refused(
    tmp_path: Path, change: Change, message: str
) -> None:
    path = rewritten(MODELS / "float_keras3.keras", tmp_path / "m.keras", change)
    assert message in refusal(imported, path)


def test_a_member_that_is_a_symbolic_link_leads_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    with (
        zipfile.ZipFile(MODELS / "float_keras3.keras") as source,
        zipfile.ZipFile(path, "w") as target,
    ):
        for name in source.namelist():
            info = zipfile.ZipInfo(name)
            link = name == "config.json"
            info.external_attr = (stat.S_IFLNK | 0o777) << 16 if link else 0
            target.writestr(info, b"/etc/hostname" if link else source.read(name))
    assert "config.json: not valid JSON" in refusal(imported, path)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_lambda_of_keras_is_not_run(tmp_path: Path, suffix: str) -> None:
    import keras

    marker = tmp_path / "executed"
    inputs = keras.Input((1,), name="z_global")
    hidden = keras.layers.Lambda(
        lambda x, marker: (__import__("pathlib").Path(marker).touch(), x)[1],
        output_shape=(1,),
        arguments={"marker": str(marker)},
    )(inputs)
    path = tmp_path / f"m{suffix}"
    model = keras.Model(inputs, keras.layers.Dense(1)(hidden))
    model.save(path)
    assert "a Lambda holds code, which is never run" in refusal(imported, path)
    if suffix == ".keras":  # the file is as harmful as it should be
        keras.models.load_model(path, safe_mode=False)(np.zeros((1, 1)))
        assert marker.exists()


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("/etc/hostname", "x", (4,))
    file.create_virtual_dataset("v", layout)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (virtual, "'v': is no plain array of numbers"),
        (
            lambda f: f.create_dataset(
                "e", (4,), "u1", external=[("/etc/hostname", 0, h5py.h5f.UNLIMITED)]
            ),
            "'e': is no plain array of numbers",
        ),
        (lambda f: f.create_dataset("r", data=f.ref, dtype=h5py.ref_dtype), "'r': is no plain"),
        (lambda f: f.__setitem__("t", np.dtype("f4")), "'t': is neither a group nor an array"),
        (lambda f: f.__setitem__("loop", f["model_weights"]), "belongs to no layer"),
        (
            lambda f: f["model_weights"].__setitem__("again", f["model_weights"]),
            "nested too deep",
        ),
    ],
)
def test_hdf5_that_leads_out_of_its_file_is_refused(
    tmp_path: Path,
    spoil: Callable[[h5py.File], None],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stored, "read_isolated", archives.read_hdf5)
    path = tmp_path / "m.h5"
    path.write_bytes((MODELS / "asic_4b.h5").read_bytes())
    with h5py.File(path, "r+") as file:
        spoil(file)
    assert message in refusal(imported, path)


def test_hdf5_is_read_where_little_memory_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    limited = 'ulimit -v 3000000 && exec "$0" -m pixelsieve.core.archives "$@"'
    monkeypatch.setattr(archives, "_PROGRAM", ("sh", "-c", limited, sys.executable))
    assert archives.read_isolated(MODELS / "asic_4b.h5", "asic").arrays


SPINNING = """
import sys
from pixelsieve.core import archives
def spin(*_):
    while True:
        pass
archives.read_hdf5 = spin
sys.exit(archives._main(*sys.argv[1:]))
"""


def test_hdf5_that_never_ends_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "_PROGRAM", (sys.executable, "-c", SPINNING))
    monkeypatch.setattr(archives, "_COMPUTING", 2)
    with pytest.raises(RunError, match="asic: reading takes more than 2 s; the file is damaged"):
        archives.read_isolated(MODELS / "asic_4b.h5", "asic")


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (read_recipes, '[recipes."../../../evil"]\nbase = "sieve"', "'name' is|name is"),
        (read_recipes, '[recipes."/tmp/evil"]\nbase = "sieve"', "'name' is|name is"),
        (read_recipes, '[recipes."a\\nb"]\nbase = "sieve"', "'name' is|name is"),
        (read_recipes, "[recipes.x]\nepochs = 0x" + "f" * 9999, "64 bits"),
        (read_network, 'name = "../../evil"\nlayers = []', "expected a name of letters"),
        (read_network, "layers = " + "[" * 9999, "not valid TOML"),
    ],
)
def test_names_in_toml_cannot_leave_the_run_folder(
    tmp_path: Path, read: Callable[[Path], object], text: str, message: str
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as error:
        read(path)
    assert str(error.value).startswith(str(path))
    assert str(error.value).isprintable()


WATCHED = """
import sys
from pathlib import Path
from pixelsieve.networks.model_file import load_model
from pixelsieve.importing.convert import ImportOptions, import_model
from tests.fuzzing.campaign import watch
load_model(Path(sys.argv[1]))
import_model(Path(sys.argv[2]), ImportOptions())
events = watch(Path("/nowhere"))
load_model(Path(sys.argv[1]))
import_model(Path(sys.argv[2]), ImportOptions())
assert not events, events
assert not {"keras", "tensorflow", "jax"} & set(sys.modules), "Keras is loaded"
Path(sys.argv[3]).write_text("x")
assert events, "the watch is asleep"
"""


def test_reading_a_model_does_not_even_load_keras(own: Path, tmp_path: Path) -> None:
    foreign = MODELS / "float_keras3.keras"
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, own, foreign, tmp_path / "x"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
        env=os.environ,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert TINY.name == load_model(own).spec.name
    assert watch is not None
