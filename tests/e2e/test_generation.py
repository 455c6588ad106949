"""Tests are generated for functions that no test runs, if they are worth it and do no harm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.e2e.conftest import checksum

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.conftest import Answer

    Aqe = Callable[..., Answer]
    Write = Callable[[dict[str, str]], Path]

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


PRICE = """
        def price(amount: int, member: bool = False) -> int:
            if amount < 0:
                raise ValueError("negative")
            if member:
                return amount - amount // 10
            return amount

        def used() -> int:
            return 1
"""


def test_kept_are_tests_that_pass_add_coverage_and_touch_nothing(
    aqe: Aqe, examine: Callable[..., Answer], project: Write, tmp_path: Path
) -> None:
    victim = tmp_path / "victim.txt"
    victim.write_text("as it was")
    shop = f"""
        import os, subprocess
        {PRICE}
        def forget(number: int) -> None:
            os.remove({str(victim)!r})

        def tell(text: str) -> None:
            subprocess.run(["echo", text])

        def ratio(a: int, b: int) -> float:
            return a / b

        def untyped(a, b):
            return a.frob(b)
    """
    tests = "import shop\ndef test_used(): assert shop.used() == 1\n"
    root = project({"shop.py": shop, "test_shop.py": tests, "requirements-test.txt": "hypothesis"})
    into = tmp_path / "generated"
    before = checksum(root)

    answer = aqe("generate", root, "--into", into, "--json", "--budget", "200s")

    assert checksum(root) == before
    assert victim.read_text() == "as it was"
    (kept,) = answer.document["generated"]
    assert kept["function"] == "price"
    assert len(kept["lines_added"]) == 5
    assert answer.value("generated_lines") == 5
    why = {each["function"]: each["why"] for each in answer.document["not_generated"]}
    assert why["forget"] == "it acts on more than its arguments: os.remove"
    assert why["tell"] == "it acts on more than its arguments: subprocess.Popen"
    (bug,) = answer.document["possible_bugs"]
    assert bug["function"] == "ratio"
    assert "ZeroDivisionError" in bug["message"]
    assert "annotate them" in why["untyped"]
    (written,) = into.iterdir()
    assert written.read_text() == kept["source"]

    (root / written.name).write_text(kept["source"])
    assert examine(root).value("tests_passed") == 2


def test_without_coverage_nothing_is_generated(aqe: Aqe, project: Write) -> None:
    answer = aqe("generate", project({"shop.py": "def price(): return 1\n"}), "--json")

    assert "not measured" in answer.reason("generated_tests")
    assert answer.exit_code == 4
