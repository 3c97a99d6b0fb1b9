from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

GENERATE = Path(__file__).parents[1] / "docs" / "generate"


@pytest.mark.parametrize("page", ["cli"])
def test_generated_pages_are_fresh(page: str) -> None:
    script = GENERATE / f"{page}.py"
    checked = subprocess.run(
        [sys.executable, script, "--check"], check=False, capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
