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
    table,
    texts,
)
from lionagi_qe.agents.environment.declared.pyproject_tables import group_lines
from lionagi_qe.agents.environment.declared.substitution import UnresolvedError, substituted
from lionagi_qe.agents.environment.declared.tox_ini import (
    OURS,
    TESTING,
    Python,
    ini_files,
    lines_of,
    testing_sections,
)
from lionagi_qe.agents.project.settings import read_toml

if TYPE_CHECKING:
    import configparser
    from collections.abc import Iterator
    from pathlib import Path

_PLACES = {"toxinidir": ".", "tox_root": "."}


def in_tox(
    project: Path, pyproject: dict[str, Any], python: Python = OURS
) -> Iterator[Declaration]:
    """Yield what tox's environments install that run the tests by a Python, the plain one first.

    Raises:
        ProjectError: a file can't be read.

    """
    for parser, where, prefix in ini_files(project, pyproject):
        for section in testing_sections(parser, prefix):
            found = _of_section(project, pyproject, parser, section, python)
            yield found.as_declaration(f"{where} [{section}]", "test", "tool")
    for document, where in (
        (read_toml(project / "tox.toml"), "tox.toml "),
        (table(pyproject, "tool", "tox"), "[tool.tox] "),
    ):
        base = table(document, "env_run_base")
        named = table(document, "env")
        testing = {
            f"env.{name}": env
            for name, env in named.items()
            if isinstance(env, dict) and TESTING.search(str(env.get("commands", "")))
        }
        for name, env in {"env_run_base": base, **testing}.items():
            yield _of_table(project, pyproject, {**base, **env}, f"{where}{name}")


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
    project: Path, pyproject: dict[str, Any], env: dict[str, Any], origin: str
) -> Declaration:
    words = [word for line in texts(env.get("deps")) for word in _dep_words(_resolved(line))]
    found = InstallWords.of(project, words)
    found.extras += texts(env.get("extras"))
    if groups := texts(env.get("dependency_groups")):
        found.lines += group_lines(project, pyproject, *groups)
    return found.as_declaration(origin, "test", "tool")
