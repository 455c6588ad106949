"""Where a project keeps its code: what to put on the import path, and what to measure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# Directories and modules beside a package that hold no product code.
_BESIDE = re.compile(
    r"(tests?|testing|test_.*|.*_tests?|unit_?tests|docs?|examples?|samples?|demos?|benchmarks?|"
    r"perf|scripts|tools|tasks|ci|bin|build|dist|site|venv|env|setup|conftest|noxfile|fabfile|"
    r"manage|versioneer)"
)
TEST_FILES = ("**/tests/**", "**/test/**", "**/test_*.py", "**/*_test.py", "**/conftest.py")


@dataclass(frozen=True, slots=True)
class Layout:
    """Import roots and the code below them.

    Attributes:
        roots: directories for the import path, the likelier first.
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


def is_test_file(file: str) -> bool:
    """Whether a file, by its name within the project with slashes, belongs to the tests."""
    inside = f"/{file}"
    return any(fnmatch(inside, pattern.replace("**", "*")) for pattern in TEST_FILES)


def layout_of(source: Path) -> Layout:
    """Look at the tree: ``src/``, else the top directory, else one directory down."""
    below = [path for path in _directories(source) if not _BESIDE.fullmatch(path.name)]
    for root in (source / "src", source, *below):
        if not root.is_dir() or (root / "__init__.py").is_file():
            continue
        packages = tuple(
            path
            for path in _directories(root)
            if (root.name == "src" or not _BESIDE.fullmatch(path.name)) and any(path.rglob("*.py"))
        )
        modules = tuple(
            path for path in sorted(root.glob("*.py")) if not _BESIDE.fullmatch(path.stem)
        )
        if packages or modules:
            roots = (root,) if root == source else (root, source)
            return Layout(roots, packages, modules)
    return Layout((source,), (), ())


def _directories(path: Path) -> list[Path]:
    return sorted(
        child
        for child in path.iterdir()
        if child.is_dir() and child.name.isidentifier() and not child.name.startswith("__")
    )
