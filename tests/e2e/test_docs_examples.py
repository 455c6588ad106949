"""Examples of docstrings and documents, held against pytest and Sybil called by hand."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import pytest
from tests.e2e.planted import plain

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.conftest import Answer

    Examine = Callable[..., Answer]
    Write = Callable[[dict[str, str]], Path]

pytestmark = pytest.mark.e2e

DOCS = ("--agents", "docs-tester")
MARKDOWN = {
    "shop/__init__.py": '''
        """A shop.

        >>> price(2)
        4
        """

        def price(amount):
            """Return it twice.

            >>> price(1)
            3
            """
            return 2 * amount

        def no_price():
            """
            >>> import no_such_library
            """

        def test_is_no_test():
            assert False
    ''',
    "shop/charts.py": '''
        import no_such_library

        def chart():
            """
            >>> chart()
            """
    ''',
    "shop/broken.py": "import shop.nowhere\n",
    "tests/test_shop.py": '''
        def test_shop():
            """
            >>> 1
            2
            """
            assert False
    ''',
    "README.md": """
        # Shop

        ```python
        from shop import price
        cost = price(2)
        ```

        ```python
        assert cost == 5
        ```

        ```pycon
        >>> cost
        4
        ```

        <!-- skip: next -->

        ```python
        import a_server
        ```

        ```bash
        false
        ```
    """,
    "CHANGELOG.md": "```python\nraise SystemExit\n```\n",
}
RESTRUCTURED = {
    "pyproject.toml": """
        [tool.pytest.ini_options]
        doctest_optionflags = "ELLIPSIS"
    """,
    "shop.py": "def price(amount):\n    return 2 * amount\n",
    "docs/usage.rst": """
        Usage
        =====

        >>> import shop
        >>> shop.price(1000)
        2...

        .. code-block:: python

            raise ValueError(shop.price(1))

        >>> shop.price(2)
        5
    """,
    # Which Sybil's own parsers, side by side, refuse.
    "docs/session.rst": """
        .. code-block:: python

            >>> 1
            2
    """,
}
BY_HAND = """
from sybil import Sybil
from sybil.parsers.{form} import *

pytest_collect_file = Sybil(parsers=[{parsers}], patterns=["*"]).pytest()
"""


def tally(root: Path, tmp_path: Path, *words: str, conftest: str = "") -> tuple[int, int]:
    """Return how many examples failed and passed by hand, on a copy."""
    copy = tmp_path / "by-hand"
    shutil.copytree(root, copy, dirs_exist_ok=True)
    (copy / "conftest.py").write_text(conftest)
    said = plain("pytest", "-q", *words, cwd=copy, env={"PYTHONPATH": str(copy)}).stdout
    counts = {word: int(number) for number, word in re.findall(r"(\d+) (failed|passed)", said)}
    return counts.get("failed", 0), counts.get("passed", 0)


def test_docstrings_and_markdown_fail_where_they_do_by_hand(
    examine: Examine, project: Write, tmp_path: Path
) -> None:
    root = project(MARKDOWN)

    answer = examine(root, *DOCS, "--fail-on", "doctests_failed > 0")

    doctests = ("--doctest-modules", "shop/__init__.py", "-k", "not no_")
    assert tally(root, tmp_path, *doctests) == (1, 1)
    # What needs a package that isn't installed has not failed.
    assert answer.value("doctests") == 3
    assert answer.value("doctests_failed") == 1
    assert answer.value("doctests_unread") == 2
    blocks = BY_HAND.format(form="markdown", parsers="PythonCodeBlockParser(), SkipParser()")
    failed, passed = tally(root, tmp_path, "-p", "no:doctest", "README.md", conftest=blocks)
    # The session that is shown as such is one more.
    assert answer.value("docs_examples") - answer.value("docs_examples_skipped") == (
        failed + passed + 1
    )
    assert answer.value("docs_examples_failed") == failed == 1
    places = {(each["file"], each["line"]) for each in answer.document["findings"]}
    assert places == {
        ("shop/__init__.py", 10),
        ("shop/broken.py", None),
        ("README.md", 8),
    }
    assert any("no_such_library is not installed" in note for note in answer.document["notes"])


def test_restructured_text_fails_where_it_does_by_hand_with_the_projects_flags(
    examine: Examine, project: Write, tmp_path: Path
) -> None:
    root = project(RESTRUCTURED)

    answer = examine(root, *DOCS)

    parsers = "DocTestParser(8), PythonCodeBlockParser(), SkipParser()"
    code = BY_HAND.format(form="rest", parsers=parsers)
    by_hand = tally(root, tmp_path, "-p", "no:doctest", "docs/usage.rst", conftest=code)
    failed = answer.value("docs_examples_failed")
    assert by_hand == (2, 2)
    assert (failed, answer.value("docs_examples") - failed) == (2 + 1, 2)
    found = [(each["file"], each["line"]) for each in answer.document["findings"]]
    assert found == [("docs/session.rst", 3), ("docs/usage.rst", 8), ("docs/usage.rst", 12)]
    assert answer.value("doctests") == 0


def test_where_there_is_nothing_to_run_there_is_a_reason(examine: Examine, project: Write) -> None:
    text = "Nothing in Python.\n\n```bash\nls\n```\n"

    answer = examine(project({"shop.py": "PRICE = 1\n", "README.md": text}), *DOCS)

    assert "no document with Python in it" in answer.reason("docs_examples_failed")


def test_an_example_that_serves_for_ever_is_ended_and_counted(
    examine: Examine, project: Write
) -> None:
    text = "```python\nimport time\ntime.sleep(600)\n```\n\n```python\nx = 1\n```\n"
    settings = "[tool.aqe]\ntest-timeout = 1\n"
    root = project({"shop.py": "PRICE = 1\n", "README.md": text, "pyproject.toml": settings})

    answer = examine(root, *DOCS)

    assert (answer.value("docs_examples"), answer.value("docs_examples_failed")) == (2, 1)
