"""A small share of the corpus, in the ordinary suite; ``make corpus`` compares all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.corpus.compare import examine
from tests.corpus.page import written
from tests.corpus.sdist import Package, packages
from tests.corpus.sides import Figures
from tests.corpus.verdict import DIFFERS, EQUAL, NO_FIGURES, NO_TESTS, VARIES, judge

if TYPE_CHECKING:
    from pathlib import Path

CORPUS = packages()
LEAST = 60


@pytest.mark.e2e
@pytest.mark.parametrize("package", [each for each in CORPUS if each.share], ids=str)
def test_figures_equal_those_of_plain_pytest(package: Package, tmp_path: Path) -> None:
    result = examine(package, tmp_path, 120)
    assert (result.verdict, result.differences) == (EQUAL, [])
    assert result.untouched
    assert result.tests > 0
    assert result.totals["lines_covered"] > 0


def test_the_corpus_is_as_large_as_it_says() -> None:
    assert len(CORPUS) >= LEAST
    assert len({package.name for package in CORPUS}) == len(CORPUS)


def figures(outcome: str = "passed", covered: int = 3, problem: str | None = None) -> Figures:
    file = {"lines": 4, "lines_covered": covered}
    return Figures({"test_shop.py::test_a": outcome}, [], file, {"shop.py": file}, problem=problem)


@pytest.mark.parametrize(
    ("ours", "theirs", "verdict"),
    [
        (figures(), [figures()], EQUAL),
        (figures("failed"), [figures(), figures()], DIFFERS),
        (figures("failed"), [figures(), figures("failed")], VARIES),
        (figures(covered=2), [figures(), figures()], DIFFERS),
        (figures(covered=2), [figures("failed"), figures()], DIFFERS),
        (figures(problem="no environment"), [figures()], NO_FIGURES),
        (figures(problem="no tests"), [Figures()], NO_TESTS),
        (figures(), [figures(problem="too long")], NO_TESTS),
    ],
)
def test_a_difference_is_told_unless_pytest_differs_from_itself(
    ours: Figures, theirs: list[Figures], verdict: str
) -> None:
    assert judge(ours, theirs).kind == verdict


def test_the_page_counts_what_is_right() -> None:
    corpus = [Package("shop", "1", "a | b")]
    result = {
        "name": "shop",
        "verdict": DIFFERS,
        "differences": ["test_a (failed, passed)"],
        "date": "2026-11-28T10:00:00+00:00",
        "untouched": True,
        "tests": 1200,
        "outcomes": {"failed": 1200},
        "uncollectable": 0,
        "totals": {"lines": 4, "lines_covered": 3, "branches": 0, "branches_covered": 0},
        "seconds": 1.0,
        "plain_seconds": 1.0,
        "total_seconds": 2.0,
        "bad": {"test_a": "failed: AssertionError"},
    }
    page = written(corpus, {"shop 1": result})
    assert "- right: 0, 0 % (0 equal, 0 vary by themselves)" in page
    assert "| 1,200 | 1,200 failed | 3 of 4 |" in page
    assert "**shop 1**, differs: `test_a (failed, passed)`" in page


def test_names_that_follow_the_order_of_a_set_vary() -> None:
    runs = [Figures({f"test_shop.py::test_a[{name}]": "passed"}) for name in "xyz"]
    assert judge(runs[0], runs[1:]).kind == VARIES
    failed = Figures({"test_shop.py::test_a[x]": "failed"})
    assert judge(failed, runs[1:]).kind == DIFFERS
