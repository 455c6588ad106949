"""Test files that only the project's own settings of pytest make ones: ``check_*.py``, say."""

from __future__ import annotations

import ast
import re
from fnmatch import fnmatch
from typing import TYPE_CHECKING

from lionagi_qe.agents.project.layout import is_test_file
from lionagi_qe.agents.project.parsing import parsed
from lionagi_qe.agents.project.pytest_settings import pytest_settings, words_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path


def is_test_file_of(source: Path) -> Callable[[str], bool]:
    """Return what tells of a file, by its name within a project, whether it belongs to the tests.

    Costs a look at the project's files where its settings name others than pytest's.
    """
    named = named_tests(source)
    return lambda file: is_test_file(file) or file in named


def named_tests(source: Path) -> frozenset[str]:
    """Return the files that pytest collects by the project's ``python_files`` and that hold tests.

    Without those whose usual name tells already. A file of the product that has such a name, and
    no test, is none; nor is any by a pattern that all files have (``*.py``), which says nothing.
    """
    settings = pytest_settings(source)
    patterns = [each for each in words_in(settings, "python_files") if _says_something(each)]
    if not patterns:
        return frozenset()
    return frozenset(
        name
        for place in words_in(settings, "testpaths") or ["."]
        for path in _files(source, place)
        if not is_test_file(name := path.relative_to(source).as_posix())
        and any(_matches(name, pattern) for pattern in patterns)
        and _holds_tests(path, settings)
    )


def _files(source: Path, place: str) -> Iterator[Path]:
    top = source / place
    if top.is_file() and top.suffix == ".py":
        yield top
    elif top.is_dir() and top.resolve().is_relative_to(source.resolve()):
        yield from (path for path in top.rglob("*.py") if path.is_file())


def _says_something(pattern: str) -> bool:
    return bool(re.search(r"\w", re.sub(r"\[[^\[\]]*\]", "", pattern.removesuffix(".py"))))


def _matches(name: str, pattern: str) -> bool:
    # As pytest does: a pattern with a slash is one of the end of the whole path.
    return fnmatch(f"/{name}", f"*/{pattern}") if "/" in pattern else _fits(name, pattern)


def _fits(name: str, pattern: str) -> bool:
    return fnmatch(name.rpartition("/")[2], pattern)


def _holds_tests(path: Path, settings: Mapping[str, object]) -> bool:
    tree = parsed(path)
    functions = words_in(settings, "python_functions") or ["test"]
    classes = words_in(settings, "python_classes") or ["Test"]
    return tree is not None and any(_is_test(node, functions, classes) for node in tree.body)


def _is_test(node: ast.stmt, functions: list[str], classes: list[str]) -> bool:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return _is_named(node.name, functions)
    if isinstance(node, ast.ClassDef):
        return _is_named(node.name, classes) or any(
            ast.unparse(base).endswith("TestCase") for base in node.bases
        )
    return False


def _is_named(name: str, prefixes: list[str]) -> bool:
    return any(name.startswith(prefix) or fnmatch(name, prefix) for prefix in prefixes)
