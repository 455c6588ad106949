"""What other plugins add to pytest's options."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lionagi_qe.agents.execution.pytest_options import (
    addopts_of,
    blocked_plugins,
    names_of_test_files,
    unknown_options,
)

if TYPE_CHECKING:
    from pathlib import Path


def test_pytest_cov_measures_nothing_where_pytest_enabler_would_turn_it_on(tmp_path: Path) -> None:
    python = tmp_path / "bin" / "python"
    installed = tmp_path / "lib" / "python3.11" / "site-packages"
    installed.mkdir(parents=True)
    assert blocked_plugins(python) == []
    (installed / "pytest_enabler").mkdir()
    assert blocked_plugins(python) == ["-p", "no:pytest_cov"]


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("shop/tests.py", "", True),
        ("test/testprice.py", "class Price(unittest.TestCase): ...", True),
        ("shop/testing.py", "def client(): ...", False),
        ("test/test_price.py", "class Price(unittest.TestCase): ...", False),
    ],
)
def test_files_that_unittest_collects_and_pytest_does_not_are_named(
    name: str, text: str, found: bool, tmp_path: Path
) -> None:
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).write_text(text)
    assert bool(names_of_test_files(tmp_path)) is found
    (tmp_path / "pytest.ini").write_text("[pytest]\npython_files = check_*.py\n")
    assert names_of_test_files(tmp_path) == []


def test_words_with_an_open_quote_are_left_to_pytest_which_says_so(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -k 'price\n")
    assert addopts_of(tmp_path).arguments == []
    assert unknown_options("error: unrecognized arguments: --it's -v") == ["--it's", "-v"]
