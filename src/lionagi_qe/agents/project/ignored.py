"""What lies in a project's directory and is no part of it: caches, environments, what runs left."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os

IGNORED_DIRECTORIES = frozenset(
    {
        ".bzr",
        ".cache",
        ".eggs",
        ".git",
        ".hg",
        ".hypothesis",
        ".import_linter_cache",
        ".ipynb_checkpoints",
        ".lionagi-qe",
        ".mypy_cache",
        ".nox",
        ".pytest_cache",
        ".pytype",
        ".ruff_cache",
        ".svn",
        ".tox",
        "__pycache__",
        "aqe-report",
        "htmlcov",
        "node_modules",
    }
)
IGNORED_FILES = frozenset({".coverage", ".DS_Store"})
IGNORED_SUFFIXES = (".pyc", ".pyo")
# What a directory of an environment, or one of a cache (https://bford.info/cachedir/), holds.
_ENVIRONMENTS = ("pyvenv.cfg", "conda-meta/history")
_CACHE, _CACHE_SIGNATURE = "CACHEDIR.TAG", b"Signature: 8a477f597d28d172789f06886806bc55"


def is_ignored(entry: os.DirEntry[str]) -> bool:
    """Whether an entry of the project's tree is not part of the project."""
    if entry.is_dir(follow_symlinks=False):
        return entry.name in IGNORED_DIRECTORIES or _is_environment_or_cache(Path(entry.path))
    name = entry.name
    return name in IGNORED_FILES or name.endswith(IGNORED_SUFFIXES) or name == ".git"


def _is_environment_or_cache(directory: Path) -> bool:
    if any((directory / name).is_file() for name in _ENVIRONMENTS):
        return True
    tag = directory / _CACHE
    try:
        return tag.is_file() and tag.read_bytes().startswith(_CACHE_SIGNATURE)
    except OSError:
        # Whose permissions are in the way of copying it, which tells so.
        return False
