"""Which files import which, as the text says; imports by computed names are not seen."""

from __future__ import annotations

import ast
import os
import re
import sys
from typing import TYPE_CHECKING

from lionagi_qe.agents.project.ignored import is_ignored
from lionagi_qe.agents.project.layout import layout_of, own_modules
from lionagi_qe.agents.project.parsing import parsed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

_IMPORT = re.compile(r"^(?:import|from) +(\w+)", re.MULTILINE)


class ImportGraph:
    """The Python files of a project and what each imports of the others.

    Args:
        source: the project's tree. Files that are no Python import nothing.
    """

    def __init__(self, source: Path) -> None:
        files = sorted(_python_files(source))
        roots = (*layout_of(source).roots, source)
        self._modules: dict[str, str] = {}
        for path in files:
            name = path.relative_to(source).as_posix()
            # A test folder without a package is a root of its own.
            for root in (*roots, path.parent):
                if path.is_relative_to(root):
                    self._modules.setdefault(_module(path, root), name)
        self._imported_by: dict[str, set[str]] = {}
        for path in files:
            importer = path.relative_to(source).as_posix()
            for imported in self._imports(path, source, roots):
                self._imported_by.setdefault(imported, set()).add(importer)

    def dependents(self, file: str) -> frozenset[str]:
        """Return the files that import this one, directly or through others, and itself."""
        found = {file}
        waiting = [file]
        while waiting:
            for importer in self._imported_by.get(waiting.pop(), ()):
                if importer not in found:
                    found.add(importer)
                    waiting.append(importer)
        return frozenset(found)

    def _imports(self, path: Path, source: Path, roots: tuple[Path, ...]) -> Iterator[str]:
        for directory in path.parents:
            if not directory.is_relative_to(source):
                break
            conftest = directory / "conftest.py"
            if path.name != "conftest.py" and conftest.is_file():
                yield conftest.relative_to(source).as_posix()
        tree = parsed(path)
        if tree is None:
            # What can't be parsed can't be imported either.
            return
        root = next((root for root in roots if path.is_relative_to(root)), source)
        package = _module(path, root).split(".")
        if path.name != "__init__.py":
            package = package[:-1]
        for node in ast.walk(tree):
            for name in _names(node, package):
                yield from self._files(name)

    def _files(self, name: str) -> Iterator[str]:
        """Yield the file of a module and those of the packages around it."""
        parts = name.split(".")
        for length in range(1, len(parts) + 1):
            file = self._modules.get(".".join(parts[:length]))
            if file is not None:
                yield file


def _python_files(source: Path) -> Iterator[Path]:
    """Yield the project's files; none of an environment that lies in its tree."""
    with os.scandir(source) as entries:
        for entry in entries:
            if is_ignored(entry):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _python_files(source / entry.name)
            elif entry.name.endswith(".py"):
                yield source / entry.name


def _module(path: Path, root: Path) -> str:
    parts = list(path.relative_to(root).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def _names(node: ast.AST, package: list[str]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        around = package[: len(package) - node.level + 1] if node.level else []
        base = ".".join([*around, *([node.module] if node.module else [])])
        if base:
            yield base
        # "from package import module" may name a module.
        yield from (f"{base}.{alias.name}" if base else alias.name for alias in node.names)


def tests_in(files: frozenset[str], tests: Mapping[str, str] | frozenset[str]) -> frozenset[str]:
    """Return the tests, by node id, that are written in one of the files."""
    return frozenset(test for test in tests if test.split("::")[0] in files)


def imports_of_others(source: Path) -> frozenset[str]:
    """Return which modules that the project hasn't got its files import at their left margin."""
    return frozenset(_imported_by(_python_files(source)) - own_modules(source))


def test_imports(source: Path) -> list[str]:
    """Return which modules of others the test files import at their left margin, sorted."""
    patterns = ("test_*.py", "*_test.py", "tests.py", "conftest.py")
    paths = (path for pattern in patterns for path in source.rglob(pattern) if path.is_file())
    return sorted(_imported_by(paths) - own_modules(source) - {"pytest"})


def _imported_by(paths: Iterable[Path]) -> set[str]:
    """Return which modules, but for Python's own, files import at their left margin."""
    names: set[str] = set()
    for path in paths:
        names.update(_IMPORT.findall(path.read_text(encoding="utf-8", errors="replace")))
    return names - sys.stdlib_module_names
