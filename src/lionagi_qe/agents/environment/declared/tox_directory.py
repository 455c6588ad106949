"""The directory in which tox runs the tests: ``changedir`` and ``change_dir`` in all forms."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.environment.declared.tox_ini import (
    OURS,
    Python,
    ini_files,
    lines_of,
    section_of,
)
from lionagi_qe.agents.environment.declared.tox_toml import (
    testing_tables,
    toml_documents,
    usual_table,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_OPTIONS = ("change_dir", "changedir")
_HERE = re.compile(r"^(?:\{(?:toxinidir|tox_root)\}|\.)(?:/|$)")


def notes_on_directory(
    project: Path, pyproject: dict[str, Any], python: Python = OURS
) -> list[str]:
    """Return that tox runs the tests in another directory of the project, where it does.

    Raises:
        ProjectError: a file can't be read.

    """
    for origin, text in _directories(project, pyproject, python):
        way = _HERE.sub("", text, count=1).strip("/")
        # What else is in braces is a place of tox's own.
        if way and "{" not in way and os.path.isdir(project / way):  # noqa: PTH112 - if it is one
            return [f"{origin} runs the tests in {way}: here they run in the project's directory"]
        return []
    return []


def _directories(
    project: Path, pyproject: dict[str, Any], python: Python
) -> Iterator[tuple[str, str]]:
    for parser, where, prefix in ini_files(project, pyproject):
        section = section_of(parser, prefix, python)
        if section is None:
            continue
        for place in (section, f"{prefix}testenv"):
            for option in _OPTIONS:
                for line in lines_of(parser, place, option, python):
                    yield f"{where} [{section}]", line
    for document, where in toml_documents(project, pyproject):
        name = usual_table(document, python)
        if name is not None:
            env = testing_tables(document)[name]
            for option in _OPTIONS:
                if isinstance(env.get(option), str):
                    yield f"{where}{name}", env[option]
