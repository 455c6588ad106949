"""A pytest plugin that collects the Python examples of Markdown and reStructuredText, by Sybil.

Those of one document share their names, as a reader of it would have them. pytest's own collection
of text files is left out, since it would collect doctests in them a second time.

Runs on every Python that pytest 7 runs on, so it keeps to the standard library and to old syntax,
and imports nothing of the fleet. AQE_SYBIL names the file that is told Sybil's version.
PYTEST_DONT_REWRITE: it has no assertions.
"""

from __future__ import annotations

import doctest
import os
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

_collect: list[Callable[[Path, Any], Any]] = []


class _Console:
    """Markdown's blocks of interactive sessions, which Sybil's own parser takes as ``python``."""

    def __init__(self, flags: int) -> None:
        blocks = import_module("sybil.parsers.markdown").CodeBlockParser
        texts = import_module("sybil.parsers.abstract.doctest").DocTestStringParser
        evaluator = import_module("sybil.evaluators.doctest").DocTestEvaluator(flags)
        self._texts = texts(evaluator)
        self._blocks = [blocks(language, evaluator) for language in ("pycon", "python-repl")]

    def __call__(self, document: Any) -> Generator[Any, None, None]:  # noqa: ANN401 - of Sybil
        """Yield the examples of a document."""
        for blocks in self._blocks:
            for region in blocks(document):
                for example in self._texts(region.parsed, document.path):
                    example.adjust(region, region.parsed)
                    yield example


class _Restructured:
    """Interactive sessions, and blocks of code that hold none.

    Sybil refuses a document in which both of its parsers find an example at one place.
    """

    def __init__(self, rest: Any, flags: int) -> None:  # noqa: ANN401 - of Sybil
        self._blocks = rest.PythonCodeBlockParser()
        self._texts = rest.DocTestParser(flags)

    def __call__(self, document: Any) -> Generator[Any, None, None]:  # noqa: ANN401 - of Sybil
        """Yield the examples of a document."""
        sessions = list(self._texts(document))
        yield from sessions
        for found in self._blocks(document):
            if all(found.end <= each.start or each.end <= found.start for each in sessions):
                yield found


def pytest_configure(config: pytest.Config) -> None:
    """Make the collectors, with the doctest options that the project sets."""
    sybil = import_module("sybil").Sybil
    markdown, rest = (import_module("sybil.parsers." + name) for name in ("markdown", "rest"))
    with open(os.environ["AQE_SYBIL"], "w", encoding="utf-8") as told:  # noqa: PTH123
        told.write(version("sybil"))
    # Sybil looks at what lies beside this file, if nobody says otherwise.
    place, flags = str(config.rootpath), 0
    for name in config.getini("doctest_optionflags"):
        flags |= doctest.OPTIONFLAGS_BY_NAME.get(name, 0)
    for parsers, patterns in (
        (
            [
                markdown.PythonCodeBlockParser(doctest_optionflags=flags),
                _Console(flags),
                markdown.SkipParser(),
            ],
            ["*.md", "*.markdown"],
        ),
        (
            [
                _Restructured(rest, flags),
                rest.SkipParser(),
            ],
            ["*.rst", "*.txt"],
        ),
    ):
        _collect.append(sybil(parsers=parsers, patterns=patterns, path=place).pytest())


@pytest.hookimpl(hookwrapper=True)
def pytest_collect_file(file_path: Path, parent: Any) -> Generator[None, Any, None]:  # noqa: ANN401
    """Put Sybil's collectors in the place of pytest's own, and of the project's, for text."""
    outcome = yield
    found = [each for collect in _collect for each in [collect(file_path, parent)] if each]
    if found:
        outcome.force_result(found)
