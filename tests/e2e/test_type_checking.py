"""What a project's own type checker finds, held against the checker called by hand."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from tests.e2e.planted import committed, plain
from tests.e2e.test_static_analysis import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.conftest import Answer

    Examine = Callable[..., Answer]
    Write = Callable[[dict[str, str]], Path]

pytestmark = pytest.mark.e2e

TYPES = ("--agents", "type-checker")
SHOP = """
    def price(amount: int) -> int:
        return "no price"

    def total(prices: list[int]) -> str:
        return sum(prices)

    def name(code):
        return code
"""
BY_MYPY = {
    "pyproject.toml": """
        [project]
        name = "shop"
        version = "1"

        [tool.mypy]
        strict = true
        files = ["src", "tests"]
    """,
    "src/shop/__init__.py": SHOP,
    "tests/test_shop.py": """
        from shop import price

        def test_price() -> None:
            assert price("1") == 1
    """,
}
BY_PYRIGHT = {
    "pyproject.toml": """
        [project]
        name = "shop"
        version = "1"

        [tool.pyright]
        include = ["shop"]
        typeCheckingMode = "strict"
    """,
    "shop/__init__.py": SHOP,
    "shop/stock.py": "import nowhere\n\nitems = nowhere.items()\n",
}


def by_hand(root: Path, tmp_path: Path) -> list[tuple[str, int, str]]:
    """Return file, line and rule of what mypy says itself, on a copy."""
    copy = tmp_path / "by-hand"
    shutil.copytree(root, copy)
    said = plain("mypy", "--output", "json", cwd=copy, env={"MYPYPATH": "src"}).stdout
    told = [json.loads(line) for line in said.splitlines()]
    return sorted(
        (each["file"], each["line"], each["code"]) for each in told if each["severity"] == "error"
    )


def of_answer(answer: Answer) -> list[tuple[str, int, str]]:
    found: list[dict[str, Any]] = answer.document["findings"]
    return sorted((each["file"], each["line"], each["rule"]) for each in found)


def test_mypys_errors_are_those_of_mypy_by_hand_at_their_places(
    examine: Examine, project: Write, tmp_path: Path
) -> None:
    root = project(BY_MYPY)

    answer = examine(root, *TYPES, "--report", f"sarif={tmp_path / 'r.sarif'}")

    expected = by_hand(root, tmp_path)
    assert len(expected) == 4
    assert of_answer(answer) == expected
    assert answer.value("type_errors") == len(expected)
    assert "--base" in answer.reason("type_errors_new")
    log = json.loads((tmp_path / "r.sarif").read_text())
    jsonschema.validate(log, json.loads(SCHEMA.read_text()))
    (run,) = log["runs"]
    assert run["tool"]["driver"]["name"] == "mypy"
    assert len(run["results"]) == len(expected)


def test_pyrights_errors_are_those_of_pyright_by_hand(
    examine: Examine, project: Write, tmp_path: Path
) -> None:
    root = project(BY_PYRIGHT)

    answer = examine(root, *TYPES)

    copy = tmp_path / "by-hand"
    shutil.copytree(root, copy)
    told = json.loads(plain("pyright", "--outputjson", cwd=copy).stdout)
    assert answer.value("type_errors") == told["summary"]["errorCount"] > 3
    assert of_answer(answer) == sorted(
        (
            each["file"].removeprefix(f"{copy}/"),
            each["range"]["start"]["line"] + 1,
            each["rule"],
        )
        for each in told["generalDiagnostics"]
        if each["severity"] == "error"
    )


def test_only_errors_that_the_base_does_not_have_are_new_wherever_lines_moved(
    examine: Examine, project: Write
) -> None:
    root = committed(project(BY_MYPY))
    shop = root / "src/shop/__init__.py"
    added = "\ndef stock() -> int:\n    return 'none'\n"
    shop.write_text('"""A shop."""\n\n' + shop.read_text() + added)
    (root / "src/shop/later.py").write_text("ready: int = 'soon'\n")
    # Stricter or laxer settings make no error of older code a new one.
    settings = root / "pyproject.toml"
    settings.write_text(settings.read_text() + 'disable_error_code = ["no-untyped-def"]\n')

    answer = examine(root, *TYPES, "--base", "main", "--fail-on", "type_errors_new > 1")

    assert answer.value("type_errors") == 5
    assert answer.value("type_errors_new") == 2
    new = [each for each in answer.document["findings"] if "new since" in each["message"]]
    assert [each["file"] for each in new] == ["src/shop/__init__.py", "src/shop/later.py"]


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({}, "configures neither mypy nor pyright; name one with type-checker in"),
        ({"mypy.ini": "[mypy]\n", "shop/broken.py": "def broken(:\n"}, "mypy ended with exit code"),
        ({"mypy.ini": "[mypy]\nplugins = nowhere\n"}, "Error importing plugin"),
    ],
)
def test_where_it_can_not_look_there_is_a_reason_and_no_zero(
    examine: Examine, project: Write, files: dict[str, str], reason: str
) -> None:
    answer = examine(project({"shop/__init__.py": "PRICE: int = 1\n", **files}), *TYPES)

    assert reason in answer.reason("type_errors")
    assert answer.document["findings"] == []
