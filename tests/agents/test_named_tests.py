"""Files that are tests since the project's settings of pytest say so are no code of the product."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lionagi_qe.agents.project.named_tests import is_test_file_of, named_tests

if TYPE_CHECKING:
    from pathlib import Path

TREE = {
    "shop/check_price.py": "def test_price(): pass\n",
    "shop/check_digit.py": "def digit(): pass\n",
    "shop/orders_spec.py": "class DescribeOrders:\n    def it_adds(self): pass\n",
    "shop/cases.py": "import unittest\nclass A(unittest.TestCase): pass\n",
    "shop/test_usual.py": "def test(): pass\n",
    "check/check_all.py": "async def test_all(): pass\n",
}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("", set()),
        ("python_files = *.py", set()),
        ("python_files = [a-z]*.py", set()),
        ("python_files = test_*.py check_*.py", {"shop/check_price.py", "check/check_all.py"}),
        ("python_files = check_*.py\ntestpaths = check", {"check/check_all.py"}),
        ("python_files = *_spec.py", set()),
        ("python_files = *_spec.py\npython_classes = Describe*", {"shop/orders_spec.py"}),
        ("python_files = check_*.py\npython_functions = digit", {"shop/check_digit.py"}),
        ("python_files = shop/ca*.py", {"shop/cases.py"}),
        ("python_files = 'unclosed", set()),
    ],
)
def test_they_are_known_by_name_place_and_what_they_hold(
    tmp_path: Path, settings: str, expected: set[str]
) -> None:
    for name, text in TREE.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "pytest.ini").write_text(f"[pytest]\n{settings}\n")
    assert named_tests(tmp_path) == expected
    is_test = is_test_file_of(tmp_path)
    assert {name for name in TREE if is_test(name)} == expected | {"shop/test_usual.py"}
