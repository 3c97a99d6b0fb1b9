"""Values show themselves: one line, a table, rows for Arrow and pandas, axes that they share."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pyarrow.parquet as pq
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

import pixelsieve as ps
from pixelsieve.core.errors import ConfigError
from pixelsieve.display.axes import colour
from pixelsieve.display.spec import BASELINE, INK
from pixelsieve.formats import parquet
from tests.conftest import make_clusters


def test_every_public_class_has_a_value_here(values: dict[str, Any]) -> None:
    classes = {getattr(ps, name) for name in ps.__all__ if name[0].isupper()}
    errors = {one for one in classes if issubclass(one, Exception | Warning)}
    assert classes - errors <= {type(one) for one in values.values()}


_NAMES = {
    "Precision": "Uniform",
    "LearnedPrecision": "Learned",
    "NetworkSpec": "Network",
    "TrainedModel": "Model",
    "ImportedModel": "Model",
}


def test_every_value_is_one_line_of_at_most_100_letters(values: dict[str, Any]) -> None:
    for name, one in values.items():
        text = repr(one)
        kind = type(one).__name__
        assert text.startswith(f"{_NAMES.get(kind, kind)}("), name
        assert len(text) <= 100, name
        assert text.isprintable(), name


def test_a_line_says_what_a_user_wants_to_know(values: dict[str, Any]) -> None:
    expected = {
        "front end": "FrontEnd(noise_e 80; threshold_e 200)",
        "uniform bits": "Uniform(4 bits; activation_bits 6)",
        "learned bits": "Learned(down to 300.5 EBOPs)",
        "network": "Network(net; 16 parameters; 3 - 1; x_size, y_size, z_global)",
        "vendor reports": "VendorReports(vitis-hls csynth: <img",
        "hls project": "HlsProject(Vitis; 0 mismatches in 14 vectors; ",
        "recipe": "Recipe(mine; 50 epochs; rate 0.001; skip_layers output, output, ",
        "conversion": "Conversion(9 clusters: 4 signal, 5 BIB; 3 pixelav files; ",
    }
    for name, text in expected.items():
        assert repr(values[name]).startswith(text), name
    assert repr(ps.FrontEnd()) == "FrontEnd(changes nothing)"
    assert "13 x 21 pixels of 12.5 x 50 um" in repr(ps.Detector.preset("smart-pixel-lhc"))


def test_every_value_has_a_table_that_is_whole_and_harmless(values: dict[str, Any]) -> None:
    for name, one in values.items():
        text = one._repr_html_()
        assert "<tbody>" in text, name
        assert "<img" not in text, name
        assert "<script" not in text, name
        assert "http" not in text, name


def test_a_table_of_settings_has_units(values: dict[str, Any]) -> None:
    text = values["detector"]._repr_html_()
    cell = '<td class="num"><span class="value">{}</span></td><td><span class="value">{}</span>'
    for field, value, unit in (
        ("sensor.pitch_x_um", "50", "um"),
        ("barrel.field_T", "3.8", "T"),
        ("sensor.rows", "13", ""),
    ):
        row = f'<span class="value">{field}</span></th>{cell.format(value, unit)}'
        assert row in text, field


def test_a_table_of_a_model_counts_its_weights(values: dict[str, Any]) -> None:
    model = values["model"]
    text = model._repr_html_()
    for layer, arrays in model.weights.items():
        count = sum(a.size for a in arrays.values())
        left = sum(np.count_nonzero(a) for a in arrays.values())
        row = next(line for line in text.splitlines() if f'"value">{layer}<' in line)
        assert f'"value">{count}<' in row
        assert f'"value">{left}<' in row
        assert "fixed&lt;4,1&gt;" in row
    assert "float" in values["float model"]._repr_html_()


def test_a_dataset_shows_files_then_clusters_of_each_split(values: dict[str, Any]) -> None:
    assert "SHA-256" in values["dataset not read"]._repr_html_()
    data = values["dataset behind a front end"]
    text = data._repr_html_()
    for name, by in data.class_counts.items():
        row = next(line for line in text.splitlines() if f'"value">{name}<' in line)
        assert all(f'"value">{count}<' in row for count in by.values())
    assert "signal collected" in text


def test_names_that_are_no_unicode_can_be_shown(values: dict[str, Any], tmp_path: Path) -> None:
    path = shutil.copy(values["model"].path, tmp_path / "model_\udcff.keras")
    model = ps.load_model(path)
    assert repr(model).startswith("Model(model_?; small, 4 bits")
    json.dumps(model._repr_html_(), ensure_ascii=False).encode()


ROWS: dict[str, Callable[[Any], int]] = {
    "clusters": len,
    "scores": lambda scores: len(scores.labels),
    "front": len,
    "study": lambda study: (
        sum(len(row.seeds) for row in study.comparison.rows) + len(study.comparison.baselines)
    ),
    "search": lambda search: len(search.result.trials),
    "robustness": lambda found: len(found.result.approaches[0].rows),
}


@pytest.mark.parametrize("name", ROWS)
def test_rows_go_to_arrow_and_pandas(name: str, values: dict[str, Any]) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    one = values[name]
    table, frame = one.to_arrow(), one.to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert table.num_rows == len(frame) == ROWS[name](one)
    assert list(frame.columns) == table.column_names


def test_rows_hold_the_figures(values: dict[str, Any]) -> None:
    scores, study = values["scores"], values["study"]
    assert (np.array(scores.to_arrow()["logit"]) == scores.logits).all()
    rows = study.to_arrow().to_pylist()
    of_sieve = [row for row in rows if row["approach"] == "sieve"]
    (summary,) = [row for row in study.comparison.rows if row.approach == "sieve"]
    assert [row["auc"] for row in of_sieve] == [one.auc for one in summary.by_seed]
    assert [row["model"] for row in of_sieve] == list(summary.models)
    assert {row["bits"] for row in of_sieve} == {"4 bits"}
    trees = next(row for row in rows if row["seed"] is None)
    assert trees["approach"] in {one.approach for one in study.comparison.baselines}
    front = values["front"].to_arrow()
    assert front["auc"].to_pylist() == [one.merits["auc"] for one in values["front"].figures]
    search = values["search"].to_arrow().to_pylist()
    assert [(row["network"], row["front"], row["luts"]) for row in search] == [
        ("trial_0003", True, 100.0)
    ]
    first = values["robustness"].to_arrow().to_pylist()[0]
    merit = values["robustness"].result.approaches[0].rows[0].figures["rejection"]
    assert (first["rejection"], first["rejection_error"]) == (merit.mean, merit.error)


def test_clusters_written_by_arrow_are_read_back(tmp_path: Path) -> None:
    clusters = make_clusters(300)
    pq.write_table(clusters.to_arrow(), tmp_path / "clusters.parquet")
    back = parquet.read(tmp_path / "clusters.parquet")
    assert back.columns().keys() == clusters.columns().keys()
    for name, column in clusters.columns().items():
        assert (back.columns()[name] == column).all(), name
    data = ps.load(tmp_path / "clusters.parquet")
    assert len(data.train) + len(data.validation) + len(data.test) == 300


def test_without_pandas_one_line_says_what_to_do() -> None:
    code = (
        "import sys\n"
        "class Hidden:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'pandas': raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Hidden())\n"
        "import pixelsieve as ps\n"
        "from tests.conftest import make_clusters\n"
        "try: make_clusters(4).to_pandas()\n"
        "except ps.PixelsieveError as error: print(error)\n"
    )
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root
    )
    assert done.stdout == (
        "to_pandas: pandas is not installed; pip install pandas, or use to_arrow()\n"
    )


PLOTS: dict[str, tuple[str, Callable[[Any, Axes | None], Axes]]] = {
    "ROC": ("scores", lambda one, ax: one.plot_roc(ax)),
    "front": ("front", lambda one, ax: one.plot(ax, "auc")),
    "bits": ("study", lambda one, ax: one.plot("bits", ax)),
    "ROC of a study": ("study", lambda one, ax: one.plot("roc", ax)),
    "history": ("trained model", lambda one, ax: one.plot_history(ax)),
    "search": ("search", lambda one, ax: one.plot(ax)),
    "efficiency": ("robustness", lambda one, ax: one.plot(ax)),
    "rejection": ("robustness", lambda one, ax: one.plot(ax, "rejection")),
}


def _colours(ax: Axes) -> list[str]:
    """The colours of the legend."""
    handles, _ = ax.get_legend_handles_labels()
    lines: list[Any] = [one[0] if isinstance(one, tuple) else one for one in handles]
    return [to_hex(line.get_color()) for line in lines]


@pytest.mark.parametrize("name", PLOTS)
def test_plots_take_an_axis_or_make_one_and_share_it(name: str, values: dict[str, Any]) -> None:
    of, plot = PLOTS[name]
    plt.close("all")
    try:
        own = plot(values[of], None)
        assert [plt.figure(n) for n in plt.get_fignums()] == [own.figure]
        alone = _colours(own)
        ax = plt.figure().add_subplot()
        ax.set_title("mine", loc="left")
        figures = plt.get_fignums()
        assert plot(values[of], ax) is ax
        assert _colours(ax) == alone
        assert plot(values[of], ax) is ax
        assert plt.get_fignums() == figures
        assert ax.get_title(loc="left") == "mine"
        both, ours = Counter(_colours(ax)), Counter(alone)
        assert both >= ours
        theirs = both - ours
        assert theirs.total() == ours.total()
        assert ours.keys() & theirs.keys() <= {colour(INK), colour(BASELINE)}
        assert ax.get_legend() is not None
    finally:
        plt.close("all")


def test_another_cluster_takes_the_place_of_the_first() -> None:
    clusters = make_clusters(10)
    plt.close("all")
    try:
        made, ax = plt.subplots()
        for row in range(3):
            assert clusters.plot(row, ax) is ax
        assert plt.get_fignums() == [made.number]
        assert len(ax.images) == 1
        assert len(made.axes) == 2  # with the scale of the charge
        drawn = ax.images[0].get_array()
        assert drawn is not None
        assert drawn.max() == clusters.pixels_e[2].max()
        assert len(clusters.plot(0).figure.axes) == 2
    finally:
        plt.close("all")


def test_a_figure_of_robustness_that_is_not_drawn_is_one_line(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="did you mean 'rejection'"):
        values["robustness"].plot(metric="rejektion")
