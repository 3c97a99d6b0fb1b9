from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pixelsieve.core.config import fingerprint
from pixelsieve.core.errors import ConfigError
from pixelsieve.training.recipe import (
    FLOAT,
    RECIPES,
    Recipe,
    learning_rates,
    override,
    read_recipes,
    recipe,
)


def test_the_fields_recipes() -> None:
    original, first, conservative = (
        RECIPES[n] for n in ("original", "first_attempt", "conservative")
    )
    assert not original.warm_start
    assert set(learning_rates(original, 3)) == {np.float32(1e-3)}
    assert first.skip_layers == ("output",)
    assert (first.initial_rate, first.end_rate, first.power) == (1e-3, 1e-4, 2)
    assert first.clip_norm is None
    assert (conservative.initial_rate, conservative.end_rate) == (5e-4, 1e-5)
    assert (conservative.clip_norm, conservative.skip_layers) == (1.0, ())


@pytest.mark.parametrize("power", [1.0, 2.0, 3.0])
def test_polynomial_decay_follows_its_formula_and_uses_every_step(power: float) -> None:
    r = Recipe("r", epochs=7, initial_rate=1e-3, end_rate=1e-4, power=power)
    rates = learning_rates(r, 13)
    left = 1 - np.arange(91) / 91
    np.testing.assert_allclose(rates, 1e-4 + 9e-4 * left**power, rtol=1e-5)


def test_cosine_decay_with_warm_up() -> None:
    r = Recipe("r", epochs=10, initial_rate=1e-2, end_rate=1e-5, decay="cosine", warm_up=0.2)
    rates = learning_rates(r, 10)
    np.testing.assert_allclose(rates[:20], 1e-2 * np.arange(20) / 20, rtol=1e-5)
    x = np.arange(80) / 80
    np.testing.assert_allclose(
        rates[20:], 1e-5 + (1e-2 - 1e-5) * (1 + np.cos(np.pi * x)) / 2, rtol=1e-4
    )


def test_toml_recipes_start_from_a_base(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text(
        '[recipes.mine]\nbase = "conservative"\ninitial_rate = 3e-4\nepochs = 80\n'
        '[recipes.more]\nbase = "mine"\nskip_layers = ["output"]\nclip_norm = 2\n'
        '[recipes.free]\nbase = "conservative"\nclip_norm = "none"\n'
    )
    found = read_recipes(path)
    assert found["mine"] == override(
        RECIPES["conservative"], name="mine", initial_rate=3e-4, epochs=80
    )
    assert found["more"].skip_layers == ("output",)
    assert found["more"].clip_norm == 2.0
    assert found["free"].clip_norm is None
    assert recipe("more", found) is found["more"]
    assert fingerprint(found["mine"]) != fingerprint(found["more"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[recipes.a]\ninital_rate = 1.0\n", r"unknown key 'inital_rate' \(did you mean 'initial_"),
        (
            '[recipes.a]\nepochs = "many"\n',
            r"\[recipes.a\]: 'epochs' is 'many'; expected a whole number",
        ),
        ("[recipes.a]\nepochs = 2.5\n", "'epochs' is 2.5; expected a whole number"),
        ("[recipes.a]\nepochs = true\n", "'epochs' is True; expected a whole number"),
        ("[recipes.a]\nepochs = 0\n", "epochs is 0; expected at least 1"),
        ('[recipes.a]\ndecay = "cosin"\n', r"'cosin' \(did you mean 'cosine'\?\); expected one of"),
        ('[recipes.a]\nbase = "conservativ"\n', r"unknown recipe 'conservativ' \(did you mean"),
        ("[recipes.a]\nend_rate = 1.0\n", "end_rate is 1.0; expected from 0 to initial_rate"),
        ("[recipes.a]\nwarm_start = false\nskip_layers = ['x']\n", "skip_layers is"),
        ('[recipes."a/b"]\nepochs = 1\n', "name is 'a/b'; expected letters, digits"),
        ("[recipes.a]\nclip_norm = inf\n", "clip_norm is inf; expected above 0"),
        ("[recipes.a]\ninitial_rate = inf\n", "initial_rate is inf; expected a finite"),
        ("[recipes.a]\ndecay = 'constant'\n", "end_rate is 0.0001; expected initial_rate"),
        ("[recipes.float]\nepochs = 3\n", "a name that is not taken"),
        ("[recipe.a]\nepochs = 1\n", "expected nothing but tables"),
        ("recipes = 3\n", "expected nothing but tables"),
        ("[recipes\n", "not valid TOML"),
    ],
)
def test_bad_toml_is_named(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "r.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=expected):
        read_recipes(path)


def test_overrides_keep_the_rates_in_order() -> None:
    assert override(RECIPES["conservative"], initial_rate=3e-4, power=None).end_rate == 1e-5
    assert override(RECIPES["conservative"], initial_rate=1e-6).end_rate == 1e-6
    constant = override(RECIPES["original"], initial_rate=3e-4)
    assert constant.end_rate == 3e-4
    assert set(learning_rates(constant, 2)) == {np.float32(3e-4)}


def test_float_training_needs_no_float_network() -> None:
    assert not FLOAT.needs_float
    assert RECIPES["sieve"].needs_float
    assert not RECIPES["original"].needs_float
