"""Teachers of several recipes: who is trained for whom."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pixelsieve.cli import app
from pixelsieve.core.errors import ConfigError
from pixelsieve.networks.spec import network
from pixelsieve.studies.compare import CompareConfig, jobs_of, teachers_for
from pixelsieve.training.recipe import Recipe
from tests.test_distillation import TEACHER

STUDENT = network("model1")
RECIPE = Recipe("taught", epochs=3, batch_size=128, distillation=0.5)

RECIPE_TOML = """
[recipes.{name}]
base = "sieve"
teacher = "{teacher}"
"""


def test_different_teachers_of_one_name_are_refused(tmp_path: Path, dataset_file: Path) -> None:
    paths = [tmp_path / folder / "wide.toml" for folder in ("one", "other", "same")]
    for path, units in zip(paths, (4, 5, 4), strict=True):
        path.parent.mkdir()
        path.write_text(TEACHER.replace("units = 4", f"units = {units}"))
    named = tmp_path / "named.toml"
    named.write_text(f'name = "model2"\n{TEACHER}')
    trees = tmp_path / "boosted_trees.toml"
    trees.write_text(TEACHER)

    def jobs(*teachers: object) -> list[str]:
        recipes = tuple(
            replace(RECIPE, name=f"by_{i}", teacher=str(t)) for i, t in enumerate(teachers)
        )
        config = CompareConfig(STUDENT, recipes, (4,), 2)
        jobs_of(config)
        return [teacher.name for teacher in teachers_for(config)]

    for pair in (paths[:2], ("model2", named), ("boosted_trees", trees)):
        with pytest.raises(ConfigError) as error:
            jobs("float", *pair)
        assert "recipes 'by_1' and 'by_2': their teachers " in str(error.value)
        assert all(f"'{teacher}'" in str(error.value) for teacher in pair)
    assert jobs(paths[0], paths[2], paths[0]) == ["teacher_wide_seed0", "teacher_wide_seed1"]
    assert len(jobs("model2", "model3", "boosted_trees")) == 6

    recipes, out = tmp_path / "recipes.toml", tmp_path / "run"
    recipes.write_text(
        "\n".join(RECIPE_TOML.format(name=n, teacher=t) for n, t in zip("ab", paths, strict=False))
    )
    arguments = ["compare", "--data", dataset_file, "--out", out, "--recipes-file", recipes,
                 "--recipe", "a", "--recipe", "b"]  # fmt: skip
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exit_code == 2, result.output
    (line,) = result.output.strip().splitlines()
    assert line.startswith("pixelsieve: recipes 'a' and 'b': their teachers ")
    assert line.endswith("both would be 'teacher_wide_seed0'; give one network another name")
    assert not out.exists()
