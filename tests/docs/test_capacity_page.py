"""docs/capacity.md is what was measured, and what the command computes of it."""

from __future__ import annotations

import json
from pathlib import Path

from tests.benchmarks.capacity.page import page

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_written_from_the_figures_that_this_release_computes_with() -> None:
    checked = json.loads((DOCS / "capacity.json").read_bytes())
    written = (DOCS / "capacity.md").read_text(encoding="utf-8")
    assert written == page(checked), "python -m tests.benchmarks.capacity.page"
