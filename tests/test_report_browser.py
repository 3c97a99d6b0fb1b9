"""The report in a real browser: nothing is loaded, nothing fails, tables sort, clusters browse."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.test_cli import pixelsieve

CHECKED = {
    "schema": 1,
    "passed": True,
    "from": "features",
    "threshold": {"code": 3, "validation_efficiency": 0.98, "validation_rejection": 0.7},
    "design": {"latency": 2, "lut_estimate": 99.5, "levels": 7.2, "register_bits": 40},
    "verification": {
        "passed": True,
        "clusters": 240,
        "corners": 2000,
        "mismatches": {"keras": 0, "verilog_logit": 0},
        "tools": {"simulator": "Verilator 5.48"},
    },
    "synthesis": [],
}


@pytest.fixture(scope="module")
def page_file(compared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a comparison that has firmware."""
    run = tmp_path_factory.mktemp("report") / "run"
    shutil.copytree(compared, run, ignore=shutil.ignore_patterns("*.keras"))
    folder = run / "firmware" / "sieve_4b_seed0"
    folder.mkdir(parents=True)
    (folder / "verification.json").write_text(json.dumps(CHECKED))
    assert pixelsieve("report", run).exit_code == 0
    return run / "report.html"


@contextmanager
def opened(browser: Any, path: Path, **settings: Any) -> Iterator[Any]:
    """The page, watched: no message on the console, no error, no request but the file itself."""
    context = browser.new_context(**settings)
    page = context.new_page()
    wrong: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: wrong.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    yield page
    assert wrong == []
    assert set(asked) == {path.as_uri()}
    context.close()


SECTIONS = ("answer", "summary", "roc", "scores", "slices", "seen", "training", "warm")


def test_every_section_is_filled(browser: Any, page_file: Path) -> None:
    with opened(browser, page_file) as page:
        assert page.locator("#contents a").count() == len(SECTIONS) + 2
        for name in (*SECTIONS, "firmware", "repeat"):
            section = page.locator(f"#r0-{name}")
            assert section.count() == 1, name
            assert section.locator(".note:not(.bad)").count() == 0, name
        for name in ("roc", "scores", "slices", "training"):
            charts = page.locator(f"#r0-{name} svg.chart")
            assert charts.count() > 0, name
            for i in range(charts.count()):
                assert charts.nth(i).locator("path, circle").count() > 0, (name, i)
        assert page.locator("#r0-seen .means svg rect").count() > 0
        assert page.locator("#r0-firmware .badge.good").inner_text() == "bit-exact"


def test_tables_sort(browser: Any, page_file: Path) -> None:
    with opened(browser, page_file) as page:
        cells = page.locator("#r0-summary tbody td:nth-child(5) .value")
        head = page.locator("#r0-summary thead th").nth(4)
        before = cells.all_inner_texts()
        head.locator("button").click()
        assert cells.all_inner_texts() == sorted(before, reverse=True)
        assert head.get_attribute("aria-sort") == "descending"
        head.locator("button").click()
        assert cells.all_inner_texts() == sorted(before)


def test_clusters_browse(browser: Any, page_file: Path) -> None:
    curves = json.loads((page_file.parent / "curves.json").read_text())
    with opened(browser, page_file) as page:
        display = page.locator(".display")
        for name, group in curves["seen"]["groups"].items():
            if not group["displays"]:
                continue
            display.locator(f"[data-group={name}]").click()
            for one in group["displays"]:
                title = display.locator("h4").inner_text()
                assert f"row {one['row']} of" in title
                hit = sum(q >= 10 for line in one["pixels_e"] for q in line)
                assert display.locator("svg rect").count() == hit
                display.get_by_label("next cluster").click()
            assert display.locator(".place").inner_text().startswith("1 of")


def test_figures_answer_the_pointer(browser: Any, page_file: Path) -> None:
    with opened(browser, page_file) as page:
        figure = page.locator("#r0-roc figure")
        figure.get_by_role("button", name="2 bits").click()
        figure.locator("svg.chart").hover(position={"x": 300, "y": 100})
        tip = page.locator("#tip")
        assert tip.is_visible()
        assert "signal efficiency" in tip.inner_text()
        assert "sieve" in tip.inner_text()
        figure.get_by_role("button", name="sieve").click()
        figure.locator("svg.chart").hover(position={"x": 310, "y": 110})
        assert "sieve" not in tip.inner_text()


def test_dark_and_on_a_phone(browser: Any, page_file: Path) -> None:
    phone = {"width": 390, "height": 800}
    with opened(browser, page_file, viewport=phone, color_scheme="dark") as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert max(map(int, paper[4:-1].split(","))) < 64
    with opened(browser, page_file, color_scheme="light") as page:
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert min(map(int, paper[4:-1].split(","))) > 192
