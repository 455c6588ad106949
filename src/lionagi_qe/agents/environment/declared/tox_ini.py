"""tox's INI files: which sections run the tests, and an option's lines in one of them."""

from __future__ import annotations

import configparser
import re
import sys
from itertools import islice, product
from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.environment.declared.declaration import ini_of, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

TESTING = re.compile(r"\b(pytest|py\.test|unittest|trial|nose2?|runtests|manage\.py test)\b")
_FACTOR = re.compile(r"([!\w.,{}-]+)\s*:\s+(.*)")
_REFERENCE = re.compile(r"\{\[([^\[\]]+)\](\w+)\}")
_COMMENT = re.compile(r"(?<!\S)#.*")
_BRACES = re.compile(r"\{([^{}]*)\}")
_ENVIRONMENT = re.compile(r"(?:[^\s,{}]|\{[^{}]*\})+")
_PLAIN = "testenv"
_DEEPEST = 8
# Of alternatives in braces; whoever writes more of them can't mean all.
_MOST_NAMES = 1000
# Major and minor version.
Python = tuple[int, int]
OURS: Python = sys.version_info[:2]


def ini_files(
    project: Path, pyproject: dict[str, Any]
) -> Iterator[tuple[configparser.ConfigParser, str, str]]:
    """Yield what each INI text for tox says, its name for people, and what its sections begin with.

    Raises:
        ProjectError: a file can't be read.

    """
    yield ini_of(project / "tox.ini"), "tox.ini", ""
    yield ini_of(project / "setup.cfg"), "setup.cfg", "tox:"
    legacy = table(pyproject, "tool", "tox").get("legacy_tox_ini")
    yield _ini_of_text(legacy), "[tool.tox] legacy_tox_ini", ""


def _ini_of_text(text: object) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    if isinstance(text, str):
        try:
            parser.read_string(text)
        except configparser.Error:
            # tox will say so in its own words; the other places may say enough.
            return configparser.ConfigParser()
    return parser


def testing_sections(parser: configparser.ConfigParser, prefix: str) -> list[str]:
    """Return the sections of environments that run the tests, the plain one first."""
    plain = f"{prefix}{_PLAIN}"
    named = [
        section
        for section in parser.sections()
        if section.startswith(f"{plain}:")
        and TESTING.search(parser[section].get("commands", ""))
        and is_for_here(parser[section].get("platform", ""))
    ]
    return ([plain] if parser.has_section(plain) else []) + named


def is_for_here(platform: str) -> bool:
    """Whether tox runs an environment of this ``platform``, a regular expression, on this machine.

    One that is none is left to tox.
    """
    try:
        return not platform or re.match(platform.strip(), sys.platform) is not None
    except re.error:
        return True


def tag_of(python: Python) -> str:
    """Return what tox calls a version of Python: ``py311``."""
    return f"py{python[0]}{python[1]}"


def section_of(parser: configparser.ConfigParser, prefix: str, python: Python) -> str | None:
    """Return the section that ``tox -e py311``, say, is set by; None if none runs tests."""
    sections = testing_sections(parser, prefix)
    plain = f"{prefix}{_PLAIN}"
    tag = tag_of(python)
    for section in sections:
        if tag in _names_of(section.removeprefix(plain).removeprefix(":")):
            return section
    named = [section for section in sections if section != plain]
    if plain in sections and (not named or TESTING.search(parser[plain].get("commands", ""))):
        return plain
    return named[0] if named else None


def _names_of(generative: str) -> list[str]:
    """Return the names that one with alternatives in braces stands for."""
    parts = _BRACES.split(generative)
    alternatives = [part.split(",") if at % 2 else [part] for at, part in enumerate(parts)]
    names = ("".join(each).replace(" ", "") for each in product(*alternatives))
    return list(islice(names, _MOST_NAMES))


def lines_of(
    parser: configparser.ConfigParser,
    section: str,
    option: str,
    python: Python,
    depth: int = _DEEPEST,
) -> list[str]:
    """Return an option's lines that hold for a Python, references to other sections resolved."""
    if depth == 0 or not parser.has_option(section, option):
        return []
    lines: list[str] = []
    for raw in parser[section][option].replace("\\\n", "").splitlines():
        line = _COMMENT.sub("", raw).strip()
        if match := _FACTOR.fullmatch(line):
            line = match[2] if _holds(match[1], factors_of(parser, python)) else ""
        if reference := _REFERENCE.fullmatch(line):
            lines += lines_of(parser, reference[1], reference[2], python, depth - 1)
        elif line:
            lines.append(
                _REFERENCE.sub(
                    lambda match: "\n".join(
                        lines_of(parser, match[1], match[2], python, depth - 1)
                    ),
                    line,
                )
            )
    return lines


def factors_of(parser: configparser.ConfigParser, python: Python) -> frozenset[str]:
    """Return the factors of a plain run: those of a Python, and of one of its listed environments.

    That is the first listed, or of those that differ from it by versions alone the newest: with
    ``env_list = py311-{sqlite,postgres}-django{42,52}`` it is ``py311-sqlite-django52``.
    """
    tags = {tag_of(python), f"{python[0]}.{python[1]}"}
    plain = {*tags, f"py{python[0]}", "py", "test", "tests"}
    listed = [names for names in _listed(parser) if not tags.isdisjoint(names)]
    alike = [names for names in listed if _without_versions(names) == _without_versions(listed[0])]
    return frozenset(plain.union(max(alike, key=_versions, default=[])))


def _without_versions(factors: Sequence[str]) -> list[str]:
    return [factor.rstrip("0123456789.") for factor in factors]


def _versions(factors: Sequence[str]) -> list[tuple[int, int]]:
    """Return what orders factors by versions, which mostly have one digit before the point."""
    versions = (factor[len(factor.rstrip("0123456789.")) :] for factor in factors)
    parts = (each.partition(".") if "." in each else (each[:1], "", each[1:]) for each in versions)
    return [(_number(major), _number(minor)) for major, _, minor in parts]


def _number(digits: str) -> int:
    return int(digits[:9]) if digits.isdecimal() else 0


def _listed(parser: configparser.ConfigParser) -> list[list[str]]:
    """Return the factors of each environment that ``tox`` runs without being told which."""
    texts = [
        parser[section][option]
        for section in ("tox", "tox:tox")
        for option in ("env_list", "envlist")
        if parser.has_option(section, option)
    ]
    listed = [_COMMENT.sub("", line) for text in texts[:1] for line in text.splitlines()]
    names = (name for each in _ENVIRONMENT.findall("\n".join(listed)) for name in _names_of(each))
    return [name.split("-") for name in islice(names, _MOST_NAMES)]


def _holds(condition: str, own: frozenset[str]) -> bool:
    """Whether a condition of factors (``py310,py311-!lint``) holds for these."""
    return any(
        all((part.lstrip("!") in own) != part.startswith("!") for part in alternative.split("-"))
        for alternative in re.sub(r"[{}]", "", condition).split(",")
    )
