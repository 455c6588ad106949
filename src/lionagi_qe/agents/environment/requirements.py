"""What a project's tests need, as the project itself says it.

In this order, the first that says something: tables (extras, dependency groups, those of Poetry,
PDM, hatch, ``tests_require``) called test, tests or testing; files such as
``requirements/tests.txt``; what tox and nox install; then the same called dev, and what Pipenv
lists; last what is installed by the files for CI and contributors, and what conda lists.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from lionagi_qe.agents.environment.declared.declaration import (
    Declaration,
    ini_of,
    table,
)
from lionagi_qe.agents.environment.declared.nox import in_nox
from lionagi_qe.agents.environment.declared.own import own_requirements
from lionagi_qe.agents.environment.declared.pipfile_and_conda import in_pipfile_and_conda
from lionagi_qe.agents.environment.declared.pyproject_tables import extras_of, in_tables
from lionagi_qe.agents.environment.declared.requirement_files import (
    mentioned,
    requirement_files,
    runtime_file,
)
from lionagi_qe.agents.environment.declared.tox import in_tox
from lionagi_qe.agents.environment.declared.tox_ini import OURS, Python

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Item = TypeVar("Item")

NONE_DECLARED = "none declared"
BUILD_FILES = ("setup.cfg", "setup.py", "MANIFEST.in", "hatch_build.py")
# Tables of pyproject.toml that tools read which have no say in what is installed.
UNRELATED_TOOLS = frozenset(
    {"aqe", "black", "coverage", "isort", "mypy", "pylint", "pyright", "pytest", "ruff", "tox"}
)


@dataclass(frozen=True, slots=True)
class Sibling:
    """Another project of the same repository that nothing declared requires, and somebody imports.

    Attributes:
        name: canonical.
        modules: those that are imported, and that its folders seem to have.
        parts: name and directory of each project to install, itself among them.
    """

    name: str
    modules: frozenset[str]
    parts: tuple[tuple[str, Path], ...]


@dataclass(frozen=True, slots=True)
class Requirements:
    """What has to be installed so that a project's tests can run.

    Attributes:
        installable: the project itself can be built and installed.
        extras: of the project.
        lines: requirements (PEP 508).
        files: requirement files.
        constraints: files and addresses of versions that what is installed keeps to.
        origin: where the test requirements were found, for people.
        dependencies: what the project itself needs, its extras too, for when it can't be built;
            None if that can't be read.
        others: places that declare requirements too, and were not chosen.
        members: name and directory of other projects in the same repository that are required, or
            that the project gives a path for.
        beside: directories of further projects that relative paths in requirements lead to.
        siblings: further ones that may provide what nothing required does.
    """

    installable: bool
    extras: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    origin: str = NONE_DECLARED
    dependencies: tuple[str, ...] | None = ()
    others: tuple[Declaration, ...] = ()
    members: tuple[tuple[str, Path], ...] = ()
    beside: tuple[Path, ...] = ()
    siblings: tuple[Sibling, ...] = ()
    constraints: tuple[str, ...] = ()

    @property
    def project(self) -> str:
        """The project with its extras, as installers take it where it lies."""
        return f".[{','.join(self.extras)}]" if self.extras else "."

    @property
    def file_words(self) -> list[str]:
        """The requirement files, as words of an installer."""
        return [word for file in self.files for word in ("-r", str(file))]


def requirements_of(
    project: Path, pyproject: dict[str, Any], python: Python = OURS
) -> Requirements:
    """Find what the tests of the project in this directory need, to be run by a Python.

    Raises:
        ProjectError: a dependency group is not valid, or a file can't be read.

    """
    installable = is_installable(project, pyproject)
    runtime = () if installable else runtime_file(project)
    found = list(_declarations(project, pyproject, python))
    chosen = _chosen(found)
    others = tuple(each for each in found if each not in chosen)
    known = set(extras_of(project, pyproject))
    # An environment of a tool may name an extra that the project no longer has.
    extras = _once(extra for each in chosen for extra in each.extras if extra in known)
    dependencies = own_requirements(project, pyproject, extras)
    origin = ", ".join(each.origin for each in chosen)
    lines = [line for each in chosen for line in each.lines]
    lines += () if installable or runtime else dependencies or ()
    return Requirements(
        installable,
        tuple(extras),
        tuple(_once(lines)),
        (*runtime, *_once(file for each in chosen for file in each.files)),
        origin or ("requirements.txt" if runtime else NONE_DECLARED),
        dependencies,
        others,
        constraints=tuple(_once(each for found in chosen for each in found.constraints)),
    )


def _declarations(
    project: Path, pyproject: dict[str, Any], python: Python
) -> Iterator[Declaration]:
    for declarations in (
        in_tables(project, pyproject),
        requirement_files(project),
        in_tox(project, pyproject, python),
        in_nox(project, pyproject),
        in_pipfile_and_conda(project),
        mentioned(project),
    ):
        yield from (each for each in declarations if not each.is_empty)


def _chosen(found: Sequence[Declaration]) -> list[Declaration]:
    """Return the first that say something, and what tox or nox install on top of them."""
    chosen = _first(found)
    tools = [each for each in found if (each.purpose, each.kind) == ("test", "tool")]
    return [*chosen, *[each for each in tools if _adds_to(each, chosen)][:1]]


def _adds_to(tool: Declaration, chosen: Sequence[Declaration]) -> bool:
    """Whether what a tool installs is one of the chosen tables or files, and more."""
    return any(
        each.kind in {"table", "file"}
        and set(each.extras) <= set(tool.extras)
        and set(each.lines) <= set(tool.lines)
        and set(each.files) <= set(tool.files)
        and _asked(each) != _asked(tool)
        for each in chosen
    )


def _asked(declaration: Declaration) -> tuple[object, ...]:
    return declaration.extras, declaration.lines, declaration.files, declaration.constraints


def _first(found: Sequence[Declaration]) -> list[Declaration]:
    """Return the first that say something; of tables all of one purpose, else the first one."""
    for purpose in ("test", "development"):
        for kind in ("table", "file", "tool", "mention"):
            fitting = [each for each in found if (each.purpose, each.kind) == (purpose, kind)]
            if fitting:
                return fitting if kind in {"table", "mention"} else fitting[:1]
    return []


def _once(items: Iterable[Item]) -> list[Item]:
    return list(dict.fromkeys(items))


def is_installable(project: Path, pyproject: dict[str, Any]) -> bool:
    """Whether a project says how it is built, or at least that it can be."""
    if table(pyproject, "tool", "poetry").get("package-mode") is False:
        return False
    if table(pyproject, "tool", "uv").get("package") is False:
        return False
    return bool(
        table(pyproject, "project")
        or (project / "setup.py").is_file()
        or "build-system" in pyproject
        or ini_of(project / "setup.cfg").has_option("metadata", "name")
    )


def build_metadata(pyproject: dict[str, Any]) -> str:
    """Return, as text, what ``pyproject.toml`` says about building and requirements."""
    tools = {
        name: of_tool
        for name, of_tool in table(pyproject, "tool").items()
        if name not in UNRELATED_TOOLS
    }
    return json.dumps({**pyproject, "tool": tools}, sort_keys=True, default=str)


def requirement_inputs(project: Path, requirements: Requirements) -> Iterator[Path]:
    """Yield the files whose content decides what an environment holds; see build_metadata too."""
    if requirements.installable:
        yield from (project / name for name in BUILD_FILES if (project / name).is_file())
    yield from requirement_files_of(requirements)


def requirement_files_of(requirements: Requirements) -> Iterator[Path]:
    """Yield the requirement files and those of constraints, with all that they include."""
    seen: set[Path] = set()
    local = [Path(each) for each in requirements.constraints if "://" not in each]
    waiting = [*requirements.files, *local]
    while waiting:
        path = waiting.pop()
        if path in seen or not path.is_file():
            continue
        seen.add(path)
        yield path
        text = path.read_text(encoding="utf-8", errors="replace")
        included = re.findall(
            r"^[^\S\n]*(?:-r|-c|--requirement|--constraint)[ =]+(\S+)", text, re.MULTILINE
        )
        waiting += [path.parent / name for name in included]
