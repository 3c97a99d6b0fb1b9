"""A model file holds its network twice, for us and for Keras: the two must be one."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from pixelsieve.core.errors import RunError
from pixelsieve.formats import parquet
from pixelsieve.networks.model_file import (
    load_model,
    model_hash,
    require_same_keras,
    save_model,
    stored_keras_model,
)

from .conftest import make_clusters
from .test_cli import pixelsieve
from .test_mixed_precision import mixed_model
from .tiny_networks import tiny_model

WEIGHTS, CONFIG = "model.weights.h5", "config.json"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    (folder / "models").mkdir()
    save_model(folder / "models" / "tiny.keras", tiny_model(4, 1))
    save_model(folder / "other.keras", tiny_model(4, 2))
    parquet.write(make_clusters(800), folder / "clusters.parquet")
    return folder


def tampered(source: Path, target: Path, **changes: Callable[[bytes], bytes]) -> Path:
    """A copy in which the members of these names (with _ for .) are changed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            change = changes.get(name.replace(".", "_"))
            new.writestr(name, change(old.read(name)) if change else old.read(name))
    return target


def variables(change: Callable[[str, Any], Any]) -> Callable[[bytes], bytes]:
    """Change every variable of the HDF5 file by its path."""

    def changed(data: bytes) -> bytes:
        buffer = io.BytesIO(data)
        with h5py.File(buffer, "r+") as file:

            def visit(path: str, item: Any) -> None:
                if isinstance(item, h5py.Dataset):
                    item[...] = change(path, item[...])

            file.visititems(visit)
        return buffer.getvalue()

    return changed


def negated_kernels(path: str, value: Any) -> Any:
    return -value if value.ndim == 2 and "quantizer" not in path else value


def one_bit_more(path: str, value: Any) -> Any:
    return value + 1 if path.endswith("q_dense/oq/quantizer/vars/1") else value


def other_rounding(data: bytes) -> bytes:
    return data.replace(b'"RND_CONV"', b'"TRN"', 1)


def lambda_layer(data: bytes) -> bytes:
    config = json.loads(data)
    config["config"]["layers"][-1] |= {"module": "keras.layers", "class_name": "Lambda"}
    return json.dumps(config).encode()


CHANGES = {
    "kernels": {"model_weights_h5": variables(negated_kernels)},
    "bits of an activation": {"model_weights_h5": variables(one_bit_more)},
    "rounding": {"config_json": other_rounding},
    "a layer that runs code": {"config_json": lambda_layer},
}


@pytest.mark.parametrize("changes", CHANGES.values(), ids=list(CHANGES))
def test_a_changed_keras_part_is_refused_by_both_verbs(
    run: Path, tmp_path: Path, changes: dict[str, Callable[[bytes], bytes]]
) -> None:
    pytest.importorskip("alkaid", reason="alkaid is not installed")
    model = tampered(run / "models" / "tiny.keras", tmp_path / "models" / "tiny.keras", **changes)
    data = ["--data", run / "clusters.parquet"]
    hand_over = ["firmware", tmp_path, *data, "--hand-over", "vitis"]
    for arguments in (["evaluate", model, *data], ["firmware", tmp_path, *data], hand_over):
        result = pixelsieve(*arguments)
        assert result.exit_code == 2, result.output
        last = result.stderr.splitlines()[-1]
        assert last.startswith(f"pixelsieve: {model}: its Keras part (")
        assert "is not the network of its pixelsieve part" in last
    assert not (tmp_path / "firmware").exists()
    assert model_hash(model) != model_hash(run / "models" / "tiny.keras")


def test_the_variables_of_another_seed_are_refused(run: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(run / "other.keras") as other:
        data = other.read(WEIGHTS)
    changes: dict[str, Callable[[bytes], bytes]] = {"model_weights_h5": lambda _: data}
    model = tampered(run / "models" / "tiny.keras", tmp_path / "m.keras", **changes)
    loaded = load_model(model)
    with pytest.raises(RunError, match=r"m.keras: its Keras part \(model.weights.h5: layers/"):
        require_same_keras(loaded)
    with pytest.raises(RunError, match="is not the network of its pixelsieve part"):
        stored_keras_model(loaded)


@pytest.mark.parametrize("member", [WEIGHTS, CONFIG, "metadata.json"])
def test_a_damaged_or_missing_keras_part_is_one_line(
    run: Path, tmp_path: Path, member: str
) -> None:
    source = run / "models" / "tiny.keras"
    changes = {member.replace(".", "_"): lambda data: data[:50]}
    model = load_model(tampered(source, tmp_path / "m.keras", **changes))
    with pytest.raises(RunError, match=member):
        require_same_keras(model)
    path = tmp_path / "less.keras"
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            if name != member:
                new.writestr(name, old.read(name))
    with pytest.raises(RunError, match=f"holds no {member}"):
        require_same_keras(load_model(path))


def test_what_keras_loads_is_what_we_evaluate(tmp_path: Path) -> None:
    for i, model in enumerate((tiny_model(4, 1), tiny_model(None, 1), mixed_model(3))):
        path = tmp_path / f"{i}.keras"
        save_model(path, model)
        loaded = load_model(path)
        table = model.features.table(make_clusters(200))
        require_same_keras(loaded)
        stored = stored_keras_model(loaded).predict(dict(table.inputs), verbose=0)[:, 0]
        rounding = 1e-6 if model.precision is None else 0.0  # float sums depend on their order
        np.testing.assert_allclose(stored, loaded.logits(table), rtol=rounding)


def test_the_hash_is_of_the_contents_and_not_of_the_writing(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("one.keras", "again.keras", "other.keras")]
    for path, seed in zip(paths, (1, 1, 2), strict=True):
        save_model(path, tiny_model(4, seed))
    one, again, other = map(model_hash, paths)
    assert paths[0].read_bytes() != paths[1].read_bytes()
    assert one == again != other


def test_settings_of_another_version_of_keras_are_no_difference(run: Path, tmp_path: Path) -> None:
    def older(data: bytes) -> bytes:
        return json.dumps(json.loads(data) | {"keras_version": "3.0.0"}).encode()

    def with_another_key(data: bytes) -> bytes:
        config = json.loads(data)
        config["config"]["layers"][-1]["config"]["known_to_one_alone"] = 1
        return json.dumps(config).encode()

    source = run / "models" / "tiny.keras"
    changes = {"metadata_json": older, "config_json": with_another_key}
    require_same_keras(load_model(tampered(source, tmp_path / "old.keras", **changes)))
    same = tampered(source, tmp_path / "same.keras", config_json=with_another_key)
    with pytest.raises(RunError, match="known_to_one_alone"):
        require_same_keras(load_model(same))
