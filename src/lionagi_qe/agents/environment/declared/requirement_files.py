"""Requirement files: by their names, or as other files of the project name them."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, get_args

from lionagi_qe.agents.environment.declared.declaration import (
    Declaration,
    InstallWords,
    Purpose,
    purpose_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FOLDERS = (".", "requirements", "reqs", "test", "tests", "dev")
_SUFFIXES = {".txt", ".in", ".pip"}
_MENTIONS = (
    ".github/workflows/*.yml",
    ".github/workflows/*.yaml",
    ".gitlab-ci.yml",
    ".travis.yml",
    ".circleci/config.yml",
    "azure-pipelines.yml",
    "Makefile",
    "CONTRIBUTING*",
    "docs/CONTRIBUTING*",
)
_INSTALLS = re.compile(r"pip3?\s+install\s+([^\n&|;#`]+)")
MOST_BYTES = 1024 * 1024


def runtime_file(project: Path) -> tuple[Path, ...]:
    """Return ``requirements.txt`` in a tuple, if there is one."""
    path = project / "requirements.txt"
    return (path,) if path.is_file() else ()


def requirement_files(project: Path) -> Iterator[Declaration]:
    """Yield the files whose names say that they list requirements, and of what."""
    seen: set[str] = set()
    for folder in _FOLDERS:
        if not (project / folder).is_dir():
            continue
        # A list as it is compiled (.txt) goes before the one that it is compiled from.
        files = sorted((project / folder).iterdir(), key=lambda path: (path.suffix != ".txt", path))
        for path in files:
            words = _words(path, project)
            if path.suffix not in _SUFFIXES or not path.is_file() or not words:
                continue
            origin = path.relative_to(project).as_posix()
            stem = origin.removesuffix(path.suffix)
            purpose: Purpose = min(map(purpose_of, words), key=get_args(Purpose).index)
            if stem in seen or (stem == "requirements" and purpose == "other"):
                continue
            seen.add(stem)
            yield Declaration(origin, purpose, "file", files=(path,))


def _words(path: Path, project: Path) -> set[str]:
    """Return the words in a requirement file's name, its folder's too; none if it isn't one."""
    words = re.split(r"[-_.]", path.stem.lower())
    folder = path.parent.name.lower() if path.parent != project else ""
    if not any(word in {"requirements", "reqs", "requires", "deps"} for word in (*words, folder)):
        return set()
    return {*words, folder} - {""}


def mentioned(project: Path) -> Iterator[Declaration]:
    """Yield what the files for CI and contributors install with pip."""
    for pattern in _MENTIONS:
        for path in sorted(project.glob(pattern)):
            if not path.is_file() or path.stat().st_size > MOST_BYTES:
                continue
            text = path.read_text(encoding="utf-8", errors="replace")
            for command in _INSTALLS.findall(text.replace("\\\n", " ")):
                try:
                    words = shlex.split(command)
                except ValueError:
                    # A quote that the end of the line cuts.
                    continue
                found = InstallWords.of(project, words)
                if not (found.extras or found.files or "pytest" in command):
                    # Tools for building, linting or publishing.
                    continue
                origin = path.relative_to(project).as_posix()
                yield found.as_declaration(origin, "development", "mention")
