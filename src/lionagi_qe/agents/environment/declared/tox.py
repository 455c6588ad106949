"""What tox installs: ``tox.ini``, ``setup.cfg``, ``tox.toml`` and ``[tool.tox]``."""

from __future__ import annotations

import re
import shlex
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.environment.declared.declaration import (
    Declaration,
    InstallWords,
    requirements_among,
    texts,
)
from lionagi_qe.agents.environment.declared.pyproject_tables import group_lines
from lionagi_qe.agents.environment.declared.substitution import UnresolvedError, substituted
from lionagi_qe.agents.environment.declared.tox_ini import (
    OURS,
    Python,
    ini_files,
    lines_of,
    section_of,
    testing_sections,
)
from lionagi_qe.agents.environment.declared.tox_toml import (
    testing_tables,
    toml_documents,
    usual_table,
)

if TYPE_CHECKING:
    import configparser
    from collections.abc import Iterator
    from pathlib import Path

    from lionagi_qe.agents.environment.declared.declaration import Purpose

_PLACES = {"toxinidir": ".", "tox_root": "."}


def in_tox(
    project: Path, pyproject: dict[str, Any], python: Python = OURS
) -> Iterator[Declaration]:
    """Yield what tox's environments install that run the tests by a Python, the plain one first.

    Raises:
        ProjectError: a file can't be read.

    """
    for parser, where, prefix in ini_files(project, pyproject):
        usual = section_of(parser, prefix, python)
        for section in testing_sections(parser, prefix):
            found = _of_section(project, pyproject, parser, section, python)
            purpose = _purpose(section, usual, f"{prefix}testenv")
            yield found.as_declaration(f"{where} [{section}]", purpose, "tool")
    for document, where in toml_documents(project, pyproject):
        usual = usual_table(document, python)
        for name, env in testing_tables(document).items():
            purpose = _purpose(name, usual, "env_run_base")
            yield _of_table(project, pyproject, env, f"{where}{name}", purpose)


def _purpose(name: str, usual: str | None, base: str) -> Purpose:
    """Return what an environment is for: others than the usual one are variants of it."""
    return "test" if name in {usual, base} else "other"


def _of_section(
    project: Path,
    pyproject: dict[str, Any],
    parser: configparser.ConfigParser,
    section: str,
    python: Python,
) -> InstallWords:
    def lines(option: str) -> list[str]:
        return [_resolved(line) for line in lines_of(parser, section, option, python)]

    words = [word for line in lines("deps") for word in _dep_words(line)]
    found = InstallWords.of(project, words)
    found.extras += [part for line in lines("extras") for part in re.split(r"[,\s]+", line)]
    groups = [part for line in lines("dependency_groups") for part in re.split(r"[,\s]+", line)]
    if known := [group for group in groups if group in pyproject.get("dependency-groups", {})]:
        found.lines += group_lines(project, pyproject, *known)
    for line in (*lines("commands_pre"), *lines("commands")):
        # Some install in their commands what others list as deps.
        if match := re.search(r"pip\s+install\s+(.*)", line):
            found.add(InstallWords.of(project, _split(match[1])))
    return found


def _resolved(line: str) -> str:
    """Return a line with the project's directory and defaults of variables put in."""
    with suppress(UnresolvedError):
        return substituted(line, _PLACES, lambda _, default: default or "")
    return line


def _dep_words(line: str) -> list[str]:
    """Return one line of ``deps`` as words of ``pip install``."""
    if match := re.fullmatch(r"(-[rc])\s*(\S+)", line):
        return [match[1], match[2].removeprefix("./")]
    return [line] if requirements_among([line]) else _split(line)


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        # No command line; nothing in it can be told.
        return []


def _of_table(
    project: Path, pyproject: dict[str, Any], env: dict[str, Any], origin: str, purpose: Purpose
) -> Declaration:
    words = [word for line in texts(env.get("deps")) for word in _dep_words(_resolved(line))]
    found = InstallWords.of(project, words)
    found.extras += texts(env.get("extras"))
    if groups := texts(env.get("dependency_groups")):
        found.lines += group_lines(project, pyproject, *groups)
    return found.as_declaration(origin, purpose, "tool")
