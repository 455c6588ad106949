"""Where a project keeps its code: what to put on the import path, and what to measure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import TYPE_CHECKING

from lionagi_qe.agents.project.package_roots import declared_roots
from lionagi_qe.agents.project.settings import read_pyproject
from lionagi_qe.errors import ProjectError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

# Directories and modules beside a package that hold no product code.
_BESIDE = re.compile(
    r"(tests?|testing|test_.*|.*_tests?|unit_?tests|docs?|examples?|samples?|demos?|benchmarks?|"
    r"asv_bench|perf|profiling|fuzz(ing|er|ers)?|scripts|tools|tasks|ci|bin|build|dist|site|venv|"
    r"env|conf|setup|conftest|noxfile|fabfile|manage|versioneer)"
)
TEST_FILES = (
    "**/tests/**",
    "**/test/**",
    "**/test_*.py",
    "**/*_test.py",
    "**/tests.py",
    "**/conftest.py",
)


@dataclass(frozen=True, slots=True)
class Layout:
    """Import roots and the code below them.

    Attributes:
        roots: directories for the import path, the likelier first; the last one is the top.
        packages: directories of packages to measure.
        modules: single-file modules to measure.
    """

    roots: tuple[Path, ...]
    packages: tuple[Path, ...]
    modules: tuple[Path, ...]

    @property
    def beside(self) -> tuple[Path, ...]:
        """What lies in the first root and is none of the code."""
        known = {*self.packages, *self.modules}
        return tuple(path for path in sorted(self.roots[0].iterdir()) if path not in known)

    @property
    def names(self) -> frozenset[str]:
        """The top-level names that the project itself provides."""
        return frozenset(
            [package.name for package in self.packages] + [path.stem for path in self.modules]
        )

    def only(self, names: Collection[str]) -> Layout:
        """Return the layout without code of other names; all of it if none has one of these."""
        packages = tuple(path for path in self.packages if path.name in names)
        modules = tuple(path for path in self.modules if path.stem in names)
        return Layout(self.roots, packages, modules) if packages or modules else self

    @property
    def scope(self) -> list[str]:
        """The packages and modules, by their names within the project."""
        top = self.roots[-1]
        return [path.relative_to(top).as_posix() for path in sorted(self.packages + self.modules)]


def is_test_file(file: str) -> bool:
    """Whether a file, by its name within the project with slashes, belongs to the tests."""
    inside = f"/{file}"
    return any(fnmatch(inside, pattern.replace("**", "*")) for pattern in TEST_FILES)


def django_migrations(package: Path) -> list[Path]:
    """Return the directories of migrations of a package that is one of Django's apps."""
    return [
        path
        for path in package.rglob("migrations")
        if path.is_dir() and path.name == "migrations" and (path.parent / "models.py").is_file()
    ]


def layout_of(source: Path, shipped: Collection[str] = ()) -> Layout:
    """Return what ``[tool.aqe] source`` names, else look at the tree.

    There it is where the project tells its build that the packages are, else ``src/``, else the top
    directory, else one directory down.

    Args:
        source: the project's top directory.
        shipped: top-level names that its build is known to ship; the first of these places that has
            one of them is the one.

    Raises:
        ProjectError: a path that ``source`` names is not in the project.

    """
    if named := _named(source):
        return named
    first: Layout | None = None
    for layout in _layouts(source):
        if not shipped or not layout.names.isdisjoint(shipped):
            return layout
        first = first or layout
    return first or Layout((source,), (), ())


def _layouts(source: Path) -> Iterator[Layout]:
    """Yield what lies in each directory that may hold the packages, the likeliest first."""
    declared = [*declared_roots(source), source / "src"]
    below = [path for path in _directories(source) if not _BESIDE.fullmatch(path.name)]
    for root in dict.fromkeys([*declared, source, *below]):
        if not root.is_dir() or (root / "__init__.py").is_file():
            continue
        packages = tuple(
            path
            for path in _directories(root)
            if (root in declared or not _BESIDE.fullmatch(path.name)) and any(path.rglob("*.py"))
        )
        modules = tuple(
            path for path in sorted(root.glob("*.py")) if not _BESIDE.fullmatch(path.stem)
        )
        if packages or modules:
            roots = (root,) if root == source else (root, source)
            yield Layout(roots, packages, modules)


def own_modules(source: Path) -> set[str]:
    """Return the top-level names under which files of the project, tests too, may be imported.

    That is what lies in an import root or in any directory with Python files that is no package: a
    module within a package may have the name of somebody else's distribution.
    """
    names = {path.name for root in layout_of(source).roots for path in _directories(root)}
    for path in source.rglob("*.py"):
        top = path if path.name != "__init__.py" else path.parent
        while top.parent != source and (top.parent / "__init__.py").is_file():
            top = top.parent
        names |= {top.stem, *_namespaces(top, source)}
    return names


def _namespaces(top: Path, source: Path) -> Iterator[str]:
    """Yield the directories without ``__init__.py`` around what a test may import by them."""
    yield from (path.name for path in top.parents if path.is_relative_to(source) and path != source)


def _named(source: Path) -> Layout | None:
    """Return what the project names itself as its code, if it does."""
    tool = read_pyproject(source).get("tool", {})
    own = tool.get("aqe", {}) if isinstance(tool, dict) else {}
    paths = [source / name for name in own.get("source", ())] if isinstance(own, dict) else []
    if not paths:
        return None
    for path in paths:
        if not path.exists() or not path.resolve().is_relative_to(source.resolve()):
            raise ProjectError(
                f"[tool.aqe] source: {path.relative_to(source)} is not in the project; "
                "name directories and modules of it"
            )
    roots = dict.fromkeys([*(path.parent for path in paths), source])
    packages = tuple(path for path in paths if path.is_dir())
    return Layout(tuple(roots), packages, tuple(path for path in paths if path.is_file()))


def _directories(path: Path) -> list[Path]:
    return sorted(
        child
        for child in path.iterdir()
        if child.is_dir() and child.name.isidentifier() and not child.name.startswith("__")
    )
