"""What a project's tests need, as the project itself says it.

In this order, the first that says something: extras and dependency groups called test, tests or
testing; files such as ``requirements/tests.txt``; ``[testenv] deps`` of tox; extras and groups
called dev; files such as ``requirements-dev.txt``.
"""

from __future__ import annotations

import configparser
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from packaging.dependency_groups import resolve_dependency_groups
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from lionagi_qe.errors import ProjectError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

TEST_NAMES = ("test", "tests", "testing")
DEVELOPMENT_NAMES = ("dev", "develop", "development")
BUILD_FILES = ("setup.cfg", "setup.py", "MANIFEST.in", "hatch_build.py")
# Tables of pyproject.toml that tools read which have no say in what is installed.
UNRELATED_TOOLS = frozenset(
    {"aqe", "black", "coverage", "isort", "mypy", "pylint", "pyright", "pytest", "ruff", "tox"}
)


@dataclass(frozen=True, slots=True)
class Requirements:
    """What has to be installed so that a project's tests can run.

    Attributes:
        installable: the project itself can be built and installed.
        extras: of the project.
        lines: requirements (PEP 508).
        files: requirement files.
        origin: where the test requirements were found, for people.
        dependencies: what the project itself needs, for when it can't be built.
    """

    installable: bool
    extras: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    origin: str = "none declared"
    dependencies: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing but the tools has to be installed."""
        return not (self.installable or self.lines or self.files)


def requirements_of(project: Path, pyproject: dict[str, Any]) -> Requirements:
    """Find what the tests of the project in this directory need.

    Raises:
        ProjectError: a dependency group is not valid.

    """
    metadata = _table(pyproject, "project")
    installable = bool(metadata or (project / "setup.py").is_file())
    installable = installable or "build-system" in pyproject or _has_setup_metadata(project)
    runtime = () if installable else _existing(project, ["requirements.txt"])
    dependencies = tuple(map(str, metadata.get("dependencies", ())))
    extras = _extras(project, pyproject)
    for names in (TEST_NAMES, DEVELOPMENT_NAMES):
        chosen = tuple(extra for extra in extras if canonicalize_name(extra) in names)
        groups = _groups(project, pyproject, names)
        if chosen or groups:
            origin = ", ".join(
                [f"extra {extra}" for extra in chosen] + [f"group {group}" for group in groups]
            )
            lines = _group_lines(project, pyproject, groups)
            return Requirements(installable, chosen, lines, runtime, origin, dependencies)
        files = _existing(project, _file_names(names))
        if files:
            origin = ", ".join(str(file.relative_to(project)) for file in files)
            return Requirements(installable, (), (), (*runtime, *files), origin, dependencies)
        lines, files = _tox(project) if names is TEST_NAMES else ((), ())
        if lines or files:
            origin = "tox.ini [testenv]"
            return Requirements(installable, (), lines, (*runtime, *files), origin, dependencies)
    origin = "requirements.txt" if runtime else "none declared"
    return Requirements(installable, (), (), runtime, origin, dependencies)


def _table(parent: dict[str, Any], name: str) -> dict[str, Any]:
    table = parent.get(name, {})
    return table if isinstance(table, dict) else {}


def _setup_cfg(project: Path, name: str = "setup.cfg") -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read(project / name, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError) as error:
        raise ProjectError(f"{project / name}: can't be read: {error}".splitlines()[0]) from error
    return parser


def _has_setup_metadata(project: Path) -> bool:
    return _setup_cfg(project).has_option("metadata", "name")


def _extras(project: Path, pyproject: dict[str, Any]) -> tuple[str, ...]:
    """Return the extras; for a plain setup.py those that its unpacked metadata names."""
    declared = _table(_table(pyproject, "project"), "optional-dependencies")
    if declared:
        return tuple(declared)
    parser = _setup_cfg(project)
    if parser.has_section("options.extras_require"):
        return tuple(parser["options.extras_require"])
    metadata = project / "PKG-INFO"
    if not metadata.is_file():
        return ()
    text = metadata.read_text(encoding="utf-8", errors="replace")
    return tuple(re.findall(r"^Provides-Extra: *(\S+)", text, re.MULTILINE))


def _groups(project: Path, pyproject: dict[str, Any], names: Iterable[str]) -> list[str]:
    groups = pyproject.get("dependency-groups", {})
    if not isinstance(groups, dict):
        raise ProjectError(f"{project / 'pyproject.toml'}: dependency-groups must be a table")
    return [group for group in groups if canonicalize_name(group) in names]


def _group_lines(
    project: Path, pyproject: dict[str, Any], groups: Iterable[str]
) -> tuple[str, ...]:
    try:
        return tuple(resolve_dependency_groups(pyproject.get("dependency-groups", {}), *groups))
    except ExceptionGroup as error:
        raise _group_error(project, error.exceptions[0]) from error
    except (ValueError, TypeError, LookupError) as error:
        raise _group_error(project, error) from error


def _group_error(project: Path, error: Exception) -> ProjectError:
    return ProjectError(f"{project / 'pyproject.toml'}: [dependency-groups] {error}; mend it")


def _file_names(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        for stem in (f"requirements/{name}", f"requirements-{name}", f"requirements_{name}"):
            yield f"{stem}.txt"
            yield f"{stem}.in"
        yield f"{name}-requirements.txt"
        yield f"{name}_requirements.txt"
        yield f"{name}/requirements.txt"


def _existing(project: Path, names: Iterable[str]) -> tuple[Path, ...]:
    """Return the first of the named files that exists, in a tuple."""
    for name in names:
        if (project / name).is_file():
            return (project / name,)
    return ()


def _tox(project: Path) -> tuple[tuple[str, ...], tuple[Path, ...]]:
    """Return the requirements and files that tox's default environment names."""
    for name, section in (("tox.ini", "testenv"), ("setup.cfg", "tox:testenv")):
        parser = _setup_cfg(project, name)
        if parser.has_option(section, "deps"):
            break
    else:
        return (), ()
    lines: list[str] = []
    files: list[Path] = []
    for raw in parser[section]["deps"].splitlines():
        line = raw.strip()
        if match := re.fullmatch(r"-r *(\S+)", line):
            path = project / match[1].replace("{toxinidir}/", "").replace("{tox_root}/", "")
            files += [path] if path.is_file() else []
        elif _is_requirement(line):
            lines.append(line)
        # Lines of one factor ("py38: mock") and substitutions are for tox alone.
    return tuple(lines), tuple(files)


def _is_requirement(line: str) -> bool:
    try:
        Requirement(line)
    except InvalidRequirement:
        return False
    return True


def build_metadata(pyproject: dict[str, Any]) -> str:
    """Return, as text, what ``pyproject.toml`` says about building and requirements."""
    tools = {
        name: table
        for name, table in _table(pyproject, "tool").items()
        if name not in UNRELATED_TOOLS
    }
    return json.dumps({**pyproject, "tool": tools}, sort_keys=True, default=str)


def requirement_inputs(project: Path, requirements: Requirements) -> Iterator[Path]:
    """Yield the files whose content decides what an environment holds; see build_metadata too."""
    if requirements.installable:
        yield from (project / name for name in BUILD_FILES if (project / name).is_file())
    seen: set[Path] = set()
    waiting = list(requirements.files)
    while waiting:
        path = waiting.pop()
        if path in seen or not path.is_file():
            continue
        seen.add(path)
        yield path
        text = path.read_text(encoding="utf-8", errors="replace")
        included = re.findall(
            r"^\s*(?:-r|-c|--requirement|--constraint)[ =]+(\S+)", text, re.MULTILINE
        )
        waiting += [path.parent / name for name in included]
