from __future__ import annotations

import errno
import io
import json
import os
import stat
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pixelsieve.core.errors import ConfigError, RunError
from pixelsieve.core.files import read_json, replacing, write_json
from pixelsieve.core.runs import RunFolder
from pixelsieve.data.clusters import Clusters
from pixelsieve.features import FeatureSet, FeatureTable
from pixelsieve.networks.build import build
from pixelsieve.networks.model_file import Card, Model, load_model, save_model
from pixelsieve.networks.precision import LayerScale, Precision
from pixelsieve.networks.spec import initial_weights, network
from pixelsieve.training.engine import Checkpoint

CONFIG = {"bits": (2, 4), "seeds": 3}


def test_the_manifest_tells_how_the_run_was_made(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "a" / "b").claimed(CONFIG) as run:
        run.make()
    manifest = read_json(tmp_path / "a" / "b" / "manifest.json")
    assert manifest["config"] == {"bits": [2, 4], "seeds": 3}
    assert manifest["versions"]["keras"].startswith("3.")
    assert {"config_hash", "command", "started", "git", "python"} <= manifest.keys()


def test_the_same_run_goes_on_and_another_is_refused(tmp_path: Path) -> None:
    for _ in range(2):
        with RunFolder(tmp_path).claimed(CONFIG):
            pass
    with pytest.raises(RunError, match=r"other settings \(seeds\); choose another --out"):
        RunFolder(tmp_path).claimed({**CONFIG, "seeds": 4}).__enter__()


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(RunError, match=r"holds other files \(thesis.tex"):
        RunFolder(tmp_path).claimed(CONFIG).__enter__()
    assert (tmp_path / "thesis.tex").read_text() == "x"


def test_a_second_process_on_one_folder_is_refused(tmp_path: Path) -> None:
    with (
        RunFolder(tmp_path).claimed(CONFIG),
        pytest.raises(RunError, match="another process works in this folder"),
    ):
        RunFolder(tmp_path).claimed(CONFIG).__enter__()
    with RunFolder(tmp_path).claimed(CONFIG):
        pass


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"cannot be written .*; choose another --out"):
        RunFolder(tmp_path / "file" / "run").claimed(CONFIG).__enter__()


def test_files_are_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_json(path, {"a": np.float32(1.5), "b": (1, 2)})
    assert read_json(path) == {"a": 1.5, "b": [1, 2]}
    assert stat.S_IMODE(path.stat().st_mode) & 0o444
    with pytest.raises(RuntimeError, match="half"), replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError("half")
    assert read_json(path)["a"] == 1.5
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]
    path.write_text("{")
    with pytest.raises(RunError, match="not valid JSON"):
        read_json(path)
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(path, {"a": float("nan")})


def test_json_that_was_changed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_json(path, {"auc": 0.8125, "names": ["a", "b"]})
    text = path.read_text()
    path.write_text(json.dumps(json.loads(text)))
    assert read_json(path) == {"auc": 0.8125, "names": ["a", "b"]}
    for old, new in (("0.8125", "0.8165"), ('"auc"', '"avc"'), ('"b"', '"c"')):
        path.write_text(text.replace(old, new))
        with pytest.raises(RunError, match=r"x.json: its contents are not those of its contents_"):
            read_json(path)
    path.write_text('{"by": "hand"}')
    assert read_json(path) == {"by": "hand"}


def test_json_of_any_depth_is_read_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    for depth in range(700, 1100):
        path.write_text('{"contents_sha256": "", "a": ' + "[" * depth + "]" * depth + "}")
        with pytest.raises(RunError, match=r"x.json: (not valid JSON|its contents are not)"):
            read_json(path)


def test_what_killed_processes_left_is_removed_and_no_more(tmp_path: Path) -> None:
    with RunFolder(tmp_path).claimed(CONFIG) as run:
        run.make()
    left = [tmp_path / "jobs" / ".a-12345678.part.npz", tmp_path / ".metrics-abcdefgh.part.json"]
    for path in left:
        path.write_text("half")
    with replacing(tmp_path / "models" / "b.keras") as busy:
        busy.write_text("at work")
        with RunFolder(tmp_path).claimed(CONFIG):
            pass
        assert busy.exists()
    assert not any(path.exists() for path in left)
    left[0].write_text("half")
    write_json(tmp_path / "jobs" / "a.json", {})
    assert left[0].exists()
    with replacing(tmp_path / "jobs" / "a.npz") as temporary:
        temporary.write_text("whole")
    assert sorted(p.name for p in (tmp_path / "jobs").iterdir()) == ["a.json", "a.npz"]


def test_hidden_files_of_others_stay(tmp_path: Path) -> None:
    with RunFolder(tmp_path).claimed(CONFIG) as run:
        run.make()
    theirs = (
        ".my.particles.txt",
        ".notes.part",
        ".a-12345678.parts",
        ".b-12345678.part.c.d",
        ".-x",
    )
    kept = [tmp_path / "jobs" / name for name in (*theirs, "a-12345678.part.npz")]
    for path in kept:
        path.write_text("mine")
    with RunFolder(tmp_path).claimed(CONFIG):
        pass
    other = tmp_path / "jobs" / ".a-b-12345678.part.json"  # of a-b.json, which may be begun now
    other.write_text("half")
    write_json(tmp_path / "jobs" / "a.json", {})
    assert other.exists()
    assert all(path.exists() for path in kept)


def test_a_full_disk_is_one_line_and_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_json(path, {"a": 1})

    def fill() -> None:
        with replacing(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(RunError, match=r"x.json: cannot be written \(No space left on device\)$"):
        fill()
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]
    assert read_json(path) == {"a": 1}


def test_damaged_checkpoints_are_ignored(tmp_path: Path) -> None:
    """Any bit may be flipped: what is loaded is what was saved, or nothing."""
    path, arrays = tmp_path / "c.npz", {"weights": [np.arange(6.0)]}
    Checkpoint(path, "job", every_s=0).save_when_due(lambda: arrays, [{"epoch": 0.0}])
    whole = path.read_bytes()
    ignored = 0
    for bit in range(0, 8 * len(whole), 5):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        saved = Checkpoint(path, "job").load()
        ignored += saved is None
        if saved is not None:
            assert saved.history == [{"epoch": 0.0}]
            np.testing.assert_array_equal(saved.arrays["weights"][0], np.arange(6.0))
    assert ignored > 0


SPEC = network("model2")


CARD = Card(seed=1, others={"of_a_later_version": [1]})


def made(features: FeatureSet, precision: Precision | None = None) -> Model:
    return Model(SPEC, precision, initial_weights(SPEC, 1), features, CARD)


@pytest.mark.parametrize("precision", [None, Precision(4, scales=(LayerScale("output", 1, -1),))])
def test_models_come_back_with_the_same_answers_and_their_card(
    tmp_path: Path, precision: Precision | None, table: FeatureTable
) -> None:
    model = made(table.features, precision)
    path = tmp_path / "m.keras"
    save_model(path, model)
    loaded = load_model(path)
    assert loaded.card == CARD
    assert (loaded.features, loaded.spec) == (table.features, SPEC)
    assert loaded.precision == precision
    np.testing.assert_array_equal(loaded.logits(table), model.logits(table))


def test_plain_keras_reads_the_same_model(tmp_path: Path, table: FeatureTable) -> None:
    import keras

    path = tmp_path / "m.keras"
    model = made(table.features, Precision(3))
    save_model(path, model)
    plain = keras.saving.load_model(path, compile=False)
    inputs = {n: table.inputs[n] for n in SPEC.features}
    np.testing.assert_array_equal(np.asarray(plain(inputs))[:, 0], model.logits(table))


def test_models_refuse_data_scaled_another_way(tmp_path: Path, clusters: Clusters) -> None:
    path = tmp_path / "m.keras"
    save_model(path, made(FeatureSet(SPEC.features)))
    mirrored = FeatureSet(SPEC.features, mirror_x=True).table(clusters)
    with pytest.raises(ConfigError, match=r"m.keras: the data were scaled differently: mirror_x"):
        load_model(path).logits(mirrored)


def test_damaged_and_foreign_model_files(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    with pytest.raises(RunError, match="no such file"):
        load_model(path)
    build(SPEC).save(path)
    with pytest.raises(RunError, match=r"holds no pixelsieve.json"):
        load_model(path)
    model = made(FeatureSet(SPEC.features))
    save_model(path, model)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(RunError, match="not a whole archive"):
        load_model(path)
    path.write_bytes(b"PK")
    with pytest.raises(RunError, match="not a whole archive"):
        load_model(path)
    model.weights["output"]["bias"] = np.zeros(2, np.float32)
    with pytest.raises(ValueError, match="shape"):
        save_model(path, model)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("pixelsieve.json", json.dumps({"schema": 99}))
        archive.writestr("pixelsieve_weights.npz", npz({}))
    with pytest.raises(RunError, match="another version"):
        load_model(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("pixelsieve.json", json.dumps({"schema": 1, "network": None}))
        archive.writestr("pixelsieve_weights.npz", npz({}))
    with pytest.raises(RunError, match="has no precision; the file is damaged"):
        load_model(path)


def test_weights_that_do_not_fit_the_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    save_model(path, made(FeatureSet(SPEC.features)))
    with zipfile.ZipFile(path) as archive:
        card = archive.read("pixelsieve.json")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("pixelsieve.json", card)
        archive.writestr("pixelsieve_weights.npz", npz({"xz_dense1/kernel": np.zeros((3, 3))}))
    with pytest.raises(RunError, match=r"layer 'xz_dense1' has no kernel of shape \(22, 32\)"):
        load_model(path)


def npz(arrays: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()
