"""Tests run side by side only where that was seen to change nothing; else one session counts."""

from __future__ import annotations

import contextlib
import subprocess
from typing import TYPE_CHECKING

import pytest
from tests.e2e.conftest import examine_by, start_aqe, variables_of, write

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping
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
FIGURES = (
    *("tests_collected", "tests_passed", "tests_failed", "tests_interrupted", "tests_skipped"),
    *("lines", "lines_covered", "branches", "branches_covered"),
)


def figures(answer: Answer) -> dict[str, object]:
    return {name: answer.value(name) for name in FIGURES}


@contextlib.contextmanager
def changed(path: Path, change: tuple[str, str]) -> Generator[None]:
    """Have another text in a file for a while."""
    before = path.read_text()
    path.write_text(before.replace(*change))
    yield
    path.write_text(before)


def told(answer: Answer) -> str:
    return " / ".join(answer.document["notes"])


@pytest.fixture(scope="module")
def compared(
    tmp_path_factory: pytest.TempPathFactory, cache: Path
) -> tuple[Answer, Answer, Callable[..., Answer], Path]:
    """A run that compared, one side by side after it, and how to go on with the project."""
    folder = tmp_path_factory.mktemp("compared")
    shop = write(folder / "shop", INDEPENDENT)
    for words in (("init", "-q"), ("add", "."), ("commit", "-qm", "first")):
        identity = ("-c", "user.name=A", "-c", "user.email=a@b")
        subprocess.run(["git", *identity, *words], cwd=shop, check=True)
    variables = variables_of(cache, folder)

    def aqe(*words: object, env: Mapping[str, str] | None = None) -> Answer:
        return start_aqe(words, folder, variables | dict(env or {}))

    agents = ("--agents", "coverage-analyzer,regression-selector")
    once = examine_by(aqe, shop, "--parallel", "2", *agents)
    return once, examine_by(aqe, shop, "--parallel", "2", *agents), aqe, shop


def test_independent_tests_run_side_by_side_once_compared_with_the_same_figures(
    compared: tuple[Answer, Answer, Callable[..., Answer], Path],
) -> None:
    once, beside, _, _ = compared
    assert once.value("test_sessions") == 1
    assert "with the same outcomes and coverage; later runs do so" in told(once)
    assert beside.value("test_sessions") == 2
    assert "2 sessions side by side, as compared before" in told(beside)
    assert figures(beside) == figures(once)
    assert beside.document["files"] == once.document["files"]
    assert list(beside.outcomes().items()) == list(once.outcomes().items())
    assert "aqe_shard" not in beside.figure("tests_passed")["command"]


def test_a_map_of_tests_made_side_by_side_selects_the_tests_of_a_change(
    compared: tuple[Answer, Answer, Callable[..., Answer], Path],
) -> None:
    _, beside, aqe, shop = compared
    assert beside.value("test_sessions") == 2
    with changed(shop / "shop.py", ("amount // 2", "amount / 2")):
        selection = aqe("select", shop, "--base", "HEAD", "--json").document["selection"]
    assert [test["id"] for test in selection["selected"]] == ["test_two.py::test_vip"]


def test_a_change_that_ends_a_session_is_run_again_in_one_which_counts(
    compared: tuple[Answer, Answer, Callable[..., Answer], Path],
) -> None:
    _, beside, aqe, shop = compared
    crash = "return __import__('os').kill(__import__('os').getpid(), 9)"
    with changed(shop / "shop.py", ("return amount // 2", crash)):
        answer = examine_by(aqe, shop, "--parallel", "2")
    assert answer.value("test_sessions") == 1
    assert "ran again in one session, which counts: " in told(answer)
    assert answer.outcomes() == beside.outcomes() | {"test_vip": "interrupted"}
    mended = examine_by(aqe, shop, "--parallel", "2")
    assert mended.value("test_sessions") == 2, "what was not whole says nothing of what was before"
    assert figures(mended) == figures(beside)


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
