"""Imported networks whose images are joined and flattened, against Keras."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pixelsieve.core import archives
from pixelsieve.core.errors import ConfigError
from pixelsieve.features import FeatureTable
from pixelsieve.importing import stored
from pixelsieve.importing.convert import ImportOptions, import_model

IMAGES = ("log_charges", "code_image")


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "read_isolated", archives.read_hdf5)


def saved(path: Path, shape: tuple[int, ...], join: Callable[[Any, Any, Any], Any]) -> Any:
    """A float logit behind `join(keras.layers, image, image)`, written to `path`."""
    import keras

    images = [keras.Input(shape, name=name) for name in IMAGES]
    joined = join(keras.layers, *images)
    keras_model = keras.Model(images, keras.layers.Dense(1, name="output")(joined))
    keras_model.save(path)
    return keras_model


def flat(layers: Any, *tensors: Any, **how: Any) -> Any:
    return layers.Concatenate()([layers.Flatten(**how)(tensor) for tensor in tensors])


@pytest.mark.parametrize(
    ("shape", "join"),
    [
        ((4, 6, 1), lambda la, a, b: la.Flatten()(la.Concatenate()([a, b]))),
        ((4, 6, 1), lambda la, a, b: la.Flatten()(la.Concatenate(axis=3)([a, b]))),
        ((4, 6, 1), flat),
        ((4, 6), flat),
    ],
)
def test_joined_images_stand_in_the_order_of_keras(
    tmp_path: Path, shape: tuple[int, ...], join: Callable[[Any, Any, Any], Any]
) -> None:
    keras_model = saved(tmp_path / "m.keras", shape, join)
    model, _ = import_model(tmp_path / "m.keras", ImportOptions())
    rng = np.random.default_rng(0)
    inputs = {name: rng.uniform(-1, 1, (20, 24)).astype("f4") for name in IMAGES}
    table = FeatureTable(model.features, inputs, np.zeros(20, np.float32))
    expected = keras_model([values.reshape(-1, *shape) for values in inputs.values()])
    np.testing.assert_allclose(model.logits(table), np.asarray(expected)[:, 0], atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "join", "message"),
    [
        (
            (4, 6),
            lambda la, a, b: la.Flatten()(la.Concatenate(name="side")([a, b])),
            "layer 'side': joins images without channels side by side",
        ),
        (
            (4, 6),
            lambda la, a, b: la.Flatten()(la.Concatenate(axis=2, name="side")([a, b])),
            "layer 'side': joins images without channels side by side",
        ),
        (
            (4, 6),
            lambda la, a, b: la.Flatten()(la.Concatenate(axis=1, name="below")([a, b])),
            "layer 'below': joins along axis 1; expected the last one",
        ),
        (
            (4, 6, 1),
            lambda la, a, b: la.Flatten()(la.Concatenate(axis=2, name="side")([a, b])),
            "layer 'side': joins along axis 2; expected the last one",
        ),
        (
            (4, 6),
            lambda la, a, b: flat(la, a, b, data_format="channels_first"),
            "data_format is 'channels_first'; expected 'channels_last'",
        ),
    ],
)
def test_images_in_another_order_are_refused(
    tmp_path: Path, shape: tuple[int, ...], join: Callable[[Any, Any, Any], Any], message: str
) -> None:
    saved(tmp_path / "m.keras", shape, join)
    with pytest.raises(ConfigError) as error:
        import_model(tmp_path / "m.keras", ImportOptions())
    assert message in str(error.value)
    assert "\n" not in str(error.value)
