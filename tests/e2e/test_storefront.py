"""The example project: what ``make demo`` shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.e2e.conftest import STOREFRONT, start_aqe, variables_of
from tests.report.pages import read

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.conftest import Answer

pytestmark = pytest.mark.e2e

FLAKY = "tests/test_stock.py::test_restock_is_picked_up_by_the_poller"


def test_the_storefront_passes_but_for_its_flaky_test(examine_once: Callable[..., Answer]) -> None:
    answer = examine_once(STOREFRONT)

    assert answer.value("tests_collected") == 61
    bad = [test["id"] for test in answer.document["tests"] if test["outcome"] != "passed"]
    assert bad in ([], [FLAKY])
    # It is in quarantine, so that a demonstration ends the same way each time.
    assert answer.exit_code == 0
    assert answer.value("gate") == "passed"


def test_its_one_coverage_gap_is_found(examine_once: Callable[..., Answer]) -> None:
    gaps = examine_once(STOREFRONT).value("gaps")

    largest = gaps[0]
    assert (largest["file"], largest["function"]) == ("src/storefront/reports.py", "sales_report")
    assert len(largest["missed_lines"]) == largest["lines"]
    assert all(len(gap["missed_lines"]) == 0 for gap in gaps[1:])


def test_its_pages_tell_the_figures_of_the_run_and_show_the_gap_in_its_source(
    examine_once: Callable[..., Answer], cache: Path, tmp_path: Path
) -> None:
    answer = examine_once(STOREFRONT)
    env = variables_of(cache, answer.folder)
    words = ("report", "--project", STOREFRONT, "--html", tmp_path / "pages")
    assert start_aqe(words, tmp_path, env).out == f"{tmp_path}/pages/index.html\n"

    report = read(tmp_path / "pages")
    for page in report.pages.values():
        assert page.errors == []
    shown = report.pages["provenance.html"].figures()
    measured = [figure for figure in answer.document["metrics"] if figure["measured"]]
    assert measured
    for figure in measured:
        value = figure["value"]
        told = len(value) if isinstance(value, list) else value
        told = f"{told:.2f}" if isinstance(told, float) else f"{told}"
        assert shown[figure["name"]].split()[0].replace(",", "") == told, figure["name"]
    assert [test[0] for test in report.tests["tests"]] == [
        test["id"] for test in answer.document["tests"]
    ]
    (source,) = (page for path, page in report.pages.items() if path.endswith("reports.py.html"))
    (gap,) = answer.value("gaps")[:1]
    assert source.missed_lines() == gap["missed_lines"]
