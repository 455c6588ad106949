"""The measured process writes coverage.py's report itself, unless its tests keep it from that."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.conftest import Answer

    Examine = Callable[..., Answer]
    Write = Callable[[dict[str, str]], Path]

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

SHOP = """
    def price(count):
        if count > 10:
            return 9 * count
        return 10 * count
"""
TEST = """
    import shop

    def test_price():
        assert shop.price(2) == 20
"""
# Of the four lines and two branches of SHOP.
LINES, BRANCHES = 75.0, 50.0


def check(answer: Answer) -> None:
    assert answer.value("line_coverage") == LINES
    assert answer.value("branch_coverage") == BRANCHES
    (gap,) = answer.value("gaps")
    assert (gap["file"], gap["function"], gap["missed_lines"]) == ("shop.py", "price", [3])


def test_the_projects_python_starts_once_for_tests_and_report(
    examine: Examine, project: Write, tmp_path: Path
) -> None:
    root = project({"shop.py": SHOP, "test_shop.py": TEST})
    starts, python = tmp_path / "starts", tmp_path / "python"
    python.write_text(f'#!/bin/sh\necho "$*" >> {starts}\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)

    # The map of which test runs which line is asked for too.
    check(examine(root, "--python", python, "--order", "learned"))

    launched = [line for line in starts.read_text().splitlines() if "aqe_launch.py" in line]
    assert len(launched) == 1


def test_a_report_tells_files_as_ever_when_tests_leave_for_another_directory(
    examine: Examine, project: Write
) -> None:
    leaving = """
        import os
        import shop

        def test_price(tmp_path):
            os.chdir(tmp_path)
            assert shop.price(2) == 20
    """
    check(examine(project({"shop.py": SHOP, "test_shop.py": leaving})))


def test_a_report_is_made_elsewhere_when_tests_break_the_process(
    examine: Examine, project: Write
) -> None:
    conftest = """
        import json
        import pytest

        @pytest.hookimpl(trylast=True)
        def pytest_unconfigure():
            json.dumps = json.dump = None
    """
    files = {"shop.py": SHOP, "test_shop.py": TEST, "conftest.py": conftest}
    check(examine(project(files)))


def test_a_report_that_outlasts_the_time_for_tests_is_made_elsewhere(
    examine: Examine, project: Write
) -> None:
    conftest = """
        import time

        from coverage import Coverage

        def for_ever(*arguments, **options):
            time.sleep(600)

        def pytest_unconfigure():
            Coverage.json_report = for_ever
    """
    files = {"shop.py": SHOP, "test_shop.py": TEST, "conftest.py": conftest}
    answer = examine(project(files), "--timeout", 5)
    assert answer.exit_code == 0
    check(answer)


def test_tests_that_fail_alike_are_told_together_and_a_flood_is_cut(
    aqe: Callable[..., Answer], project: Write
) -> None:
    alike = """
        import pytest

        @pytest.fixture
        def broken():
            raise RuntimeError("no database")

        @pytest.mark.parametrize("n", range(20))
        def test_alike(broken, n):
            pass

    """
    apart = "".join(f"def test_apart_{n}():\n    assert {n} == -1\n\n" for n in range(15))
    answer = aqe("run", project({"test_many.py": alike, "test_apart.py": apart}), "--quiet")

    lines = answer.out.splitlines()
    assert sum("RuntimeError: no database" in line for line in lines) == 1
    assert sum(line.startswith("error ") for line in lines) == 3
    assert "            and 17 more that fail alike:" in lines
    assert sum(line.startswith("failed ") for line in lines) == 9
    assert "            and 6 more: --json, or --report junit=FILE" in lines
    assert "tests     0 passed, 15 failed, 20 errors in " in answer.out
