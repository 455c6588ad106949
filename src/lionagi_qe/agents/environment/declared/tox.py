"""What tox installs: ``tox.ini``, ``setup.cfg``, ``tox.toml`` and ``[tool.tox]``."""

from __future__ import annotations

import configparser
import re
import shlex
import sys
from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.environment.declared.declaration import (
    Declaration,
    InstallWords,
    ini_of,
    requirements_among,
    table,
    texts,
)
from lionagi_qe.agents.environment.declared.pyproject_tables import group_lines
from lionagi_qe.agents.project.settings import read_toml

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FACTOR = re.compile(r"([!\w.,{}-]+)\s*:\s+(.*)")
_REFERENCE = re.compile(r"\{\[([^\]]+)\](\w+)\}")
_TESTING = re.compile(r"\b(pytest|py\.test|unittest|trial|nose2?|runtests|manage\.py test)\b")


def in_tox(project: Path, pyproject: dict[str, Any]) -> Iterator[Declaration]:
    """Yield what tox's environments install that run the tests, the plain one first.

    Raises:
        ProjectError: a file can't be read.

    """
    legacy = table(pyproject, "tool", "tox").get("legacy_tox_ini")
    for parser, where, prefix in (
        (ini_of(project / "tox.ini"), "tox.ini", ""),
        (ini_of(project / "setup.cfg"), "setup.cfg", "tox:"),
        (_ini_of_text(legacy), "[tool.tox] legacy_tox_ini", ""),
    ):
        for section in _testing_sections(parser, prefix):
            found = _of_section(project, pyproject, parser, section)
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
            if isinstance(env, dict) and _TESTING.search(str(env.get("commands", "")))
        }
        for name, env in {"env_run_base": base, **testing}.items():
            yield _of_table(project, pyproject, {**base, **env}, f"{where}{name}")


def _ini_of_text(text: object) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    if isinstance(text, str):
        try:
            parser.read_string(text)
        except configparser.Error:
            # tox will say so in its own words; the other places may say enough.
            return configparser.ConfigParser()
    return parser


def _testing_sections(parser: configparser.ConfigParser, prefix: str) -> list[str]:
    plain = f"{prefix}testenv"
    named = [
        section
        for section in parser.sections()
        if section.startswith(f"{plain}:") and _TESTING.search(parser[section].get("commands", ""))
    ]
    return ([plain] if parser.has_section(plain) else []) + named


def _of_section(
    project: Path, pyproject: dict[str, Any], parser: configparser.ConfigParser, section: str
) -> InstallWords:
    def lines_of(option: str) -> list[str]:
        return _expanded(parser, section, option)

    words = [word for line in lines_of("deps") for word in _dep_words(line)]
    found = InstallWords.of(project, words)
    found.extras += [part for line in lines_of("extras") for part in re.split(r"[,\s]+", line)]
    groups = [part for line in lines_of("dependency_groups") for part in re.split(r"[,\s]+", line)]
    if known := [group for group in groups if group in pyproject.get("dependency-groups", {})]:
        found.lines += group_lines(project, pyproject, *known)
    for line in (*lines_of("commands_pre"), *lines_of("commands")):
        # Some install in their commands what others list as deps.
        if match := re.search(r"pip\s+install\s+(.*)", line):
            more = InstallWords.of(project, _split(match[1]))
            found.lines += more.lines
            found.files += more.files
            found.extras += more.extras
    return found


def _expanded(
    parser: configparser.ConfigParser, section: str, option: str, depth: int = 8
) -> list[str]:
    """Return an option's lines that hold for this Python, references to other sections resolved."""
    if depth == 0 or not parser.has_option(section, option):
        return []
    lines: list[str] = []
    for raw in parser[section][option].splitlines():
        line = re.sub(r"(^|\s)#.*", "", raw).strip()
        if match := _FACTOR.fullmatch(line):
            line = match[2] if _holds(match[1]) else ""
        line = line.replace("{toxinidir}", ".").replace("{tox_root}", ".")
        if reference := _REFERENCE.fullmatch(line):
            lines += _expanded(parser, reference[1], reference[2], depth - 1)
        elif line:
            lines.append(line)
    return lines


def _holds(condition: str) -> bool:
    """Whether a condition of factors (``py310,py311-!lint``) holds for a plain run."""
    own = {f"py{sys.version_info[0]}{sys.version_info[1]}", f"py{sys.version_info[0]}", "py"}
    own |= {"{}.{}".format(*sys.version_info[:2]), "test", "tests"}
    return any(
        all((part.lstrip("!") in own) != part.startswith("!") for part in alternative.split("-"))
        for alternative in re.sub(r"[{}]", "", condition).split(",")
    )


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
    words = [word for line in texts(env.get("deps")) for word in _dep_words(line)]
    found = InstallWords.of(project, words)
    found.extras += texts(env.get("extras"))
    if groups := texts(env.get("dependency_groups")):
        found.lines += group_lines(project, pyproject, *groups)
    return found.as_declaration(origin, "test", "tool")
