"""Tests run side by side only where that was seen to change nothing; else one session counts."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.conftest import Answer

    Examine = Callable[..., Answer]
    Write = Callable[[dict[str, str]], Path]

pytestmark = pytest.mark.e2e

PRODUCT = """
    def price(amount, vip=False):
        if vip:
            return amount // 2
        if amount > 3:
            return amount - 1
        return amount

    def never():
        return 1
"""
INDEPENDENT = {
    "shop.py": PRODUCT,
    "test_one.py": """
        import shop

        def test_small():
            assert shop.price(1) == 1

        def test_large():
            assert shop.price(9) == 8
    """,
    "test_two.py": """
        import pytest
        import shop

        def test_vip():
            assert shop.price(8, vip=True) == 4

        @pytest.mark.skip
        def test_later():
            raise AssertionError
    """,
}
MINDING = {
    "shop.py": """
        known = []
    """,
    "test_a.py": """
        from pathlib import Path
        import shop

        def test_first():
            shop.known.append("sku")
            Path("shop.db").write_text("sku")
    """,
    "test_b.py": """
        from pathlib import Path
        import shop

        def test_in_order():
            assert shop.known

        def test_same_database():
            assert Path("shop.db").read_text()

        def test_free():
            pass
    """,
}
COVERED_BY_ORDER = {
    "shop.py": """
        _seen = set()

        def greet(name):
            if _seen:
                text = "again"
            else:
                text = "first"
            _seen.add(name)
            return text
    """,
    "test_a.py": "import shop\ndef test_greets():\n    assert shop.greet('a')\n",
    "test_b.py": "import shop\ndef test_greets_too():\n    assert shop.greet('b')\n",
}
FIGURES = (
    *("tests_collected", "tests_passed", "tests_failed", "tests_interrupted", "tests_skipped"),
    *("lines", "lines_covered", "branches", "branches_covered"),
)


def figures(answer: Answer) -> dict[str, object]:
    return {name: answer.value(name) for name in FIGURES}


def told(answer: Answer) -> str:
    return " / ".join(answer.document["notes"])


def test_independent_tests_run_side_by_side_once_compared_with_the_same_figures(
    project: Write, examine: Examine
) -> None:
    shop = project(INDEPENDENT)
    compared = examine(shop, "--parallel", "2")
    assert compared.value("test_sessions") == 1
    assert "with the same outcomes and coverage; later runs do so" in told(compared)
    beside = examine(shop, "--parallel", "2")
    assert beside.value("test_sessions") == 2
    assert "2 sessions side by side, as compared before" in told(beside)
    assert figures(beside) == figures(compared)
    assert list(beside.outcomes()) == list(compared.outcomes())
    assert beside.figure("line_coverage")["value"] == compared.figure("line_coverage")["value"]

    (shop / "test_new.py").write_text("def test_new():\n    pass\n")
    changed = examine(shop, "--parallel", "2")
    assert changed.value("test_sessions") == 1, "tests that changed are compared again"
    assert changed.value("tests_passed") == compared.value("tests_passed") + 1


def test_a_change_that_makes_a_test_end_otherwise_is_run_again_in_one_session_which_counts(
    project: Write, examine: Examine
) -> None:
    shop = project(INDEPENDENT)
    examine(shop, "--parallel", "2")
    (shop / "shop.py").write_text(
        "import os, signal\ndef price(amount, vip=False):\n"
        "    if vip:\n        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return amount if amount < 4 else amount - 1\n"
    )
    answer = examine(shop, "--parallel", "2")
    assert answer.value("test_sessions") == 1
    assert "ran again in one session, which counts: test_two.py::test_vip: not as in" in told(
        answer
    )
    assert answer.outcomes() == {
        "test_small": "passed",
        "test_large": "passed",
        "test_vip": "interrupted",
        "test_later": "skipped",
    }


def test_tests_that_mind_are_named_and_stay_in_one_session_until_they_change(
    project: Write, examine: Examine
) -> None:
    shop = project(MINDING)
    first = examine(shop, "--parallel", "2")
    assert first.value("tests_passed") == 4, "the run in one session counts"
    assert "until they change: test_b.py::test_in_order, test_b.py::test_same_database ended" in (
        told(first)
    )
    again = examine(shop, "--parallel", "2")
    assert (again.value("test_sessions"), again.value("tests_passed")) == (1, 4)
    assert "tests ran in one session: test_b.py::test_in_order" in told(again)


def test_coverage_that_depends_on_the_order_keeps_tests_in_one_session(
    project: Write, examine: Examine
) -> None:
    answer = examine(project(COVERED_BY_ORDER), "--parallel", "2")
    assert answer.value("line_coverage") == 100
    assert "other lines or branches of shop.py ran in 2 sessions side by side" in told(answer)


def test_a_map_of_tests_made_side_by_side_selects_the_tests_of_a_change(
    project: Write, examine: Examine, aqe: Examine
) -> None:
    shop = project(INDEPENDENT)
    for words in (("init", "-q"), ("add", "."), ("commit", "-qm", "first")):
        identity = ("-c", "user.name=A", "-c", "user.email=a@b")
        subprocess.run(["git", *identity, *words], cwd=shop, check=True)
    agents = ("--agents", "coverage-analyzer,regression-selector")
    examine(shop, "--parallel", "2", *agents)
    assert examine(shop, "--parallel", "2", *agents).value("test_sessions") == 2
    text = (shop / "shop.py").read_text()
    (shop / "shop.py").write_text(text.replace("amount // 2", "amount / 2"))
    selection = aqe("select", shop, "--base", "HEAD", "--json").document["selection"]
    assert [test["id"] for test in selection["selected"]] == ["test_two.py::test_vip"]


@pytest.mark.parametrize("words", [("--no-learn",), ("--order", "learned")])
def test_who_names_a_number_is_told_why_there_is_one_session(
    project: Write, examine: Examine, words: tuple[str, ...]
) -> None:
    answer = examine(project(INDEPENDENT), "--parallel", "2", *words)
    assert "tests ran in one session, since" in told(answer)
