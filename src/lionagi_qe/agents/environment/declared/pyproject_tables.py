"""Tables of ``pyproject.toml`` and its like: extras, groups, and what tools keep of their own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from packaging.dependency_groups import resolve_dependency_groups

from lionagi_qe.agents.environment.declared.declaration import (
    Declaration,
    ini_of,
    purpose_of,
    requirements_among,
    table,
    texts,
)
from lionagi_qe.agents.environment.declared.own import own_requirements
from lionagi_qe.agents.environment.declared.poetry import poetry_requirements
from lionagi_qe.agents.environment.declared.variables import HOME, SOURCE, VariableDeclaration
from lionagi_qe.agents.project.metadata import setup_arguments
from lionagi_qe.agents.project.settings import read_toml
from lionagi_qe.errors import ProjectError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from lionagi_qe.agents.environment.declared.declaration import Purpose

# What hatch itself puts into the environment of this name, as far as tests use it.
_HATCH_TEST = ("pytest-mock", "pytest-rerunfailures")


def extras_of(project: Path, pyproject: dict[str, Any]) -> tuple[str, ...]:
    """Return the project's extras; for a plain setup.py those that can be read from it."""
    declared = table(pyproject, "project", "optional-dependencies")
    declared = declared or table(pyproject, "tool", "poetry", "extras")
    declared = declared or table(pyproject, "tool", "flit", "metadata", "requires-extra")
    if declared:
        return tuple(declared)
    parser = ini_of(project / "setup.cfg")
    if parser.has_section("options.extras_require"):
        return tuple(parser["options.extras_require"])
    metadata = project / "PKG-INFO"
    if metadata.is_file():
        text = metadata.read_text(encoding="utf-8", errors="replace")
        return tuple(re.findall(r"^Provides-Extra: *(\S+)", text, re.MULTILINE))
    return tuple(setup_arguments(project).get("extras_require", ()))


def in_tables(project: Path, pyproject: dict[str, Any]) -> Iterator[Declaration]:
    """Yield what extras, dependency groups, and the tables of tools declare.

    Raises:
        ProjectError: a dependency group is not valid.

    """
    plain = own_requirements(project, pyproject) or ()
    for extra in extras_of(project, pyproject):
        needs = own_requirements(project, pyproject, [extra]) or ()
        yield Declaration(
            f"extra {extra}",
            purpose_of(extra),
            "table",
            extras=(extra,),
            behind=tuple(line for line in needs if line not in plain),
        )
    if required := setup_arguments(project).get("tests_require"):
        lines = [required] if isinstance(required, str) else texts(list(required))
        yield Declaration("setup.py tests_require", "test", "table", lines=tuple(lines))
    yield from _groups(project, pyproject)
    yield from _poetry(pyproject)
    for name, lines in table(pyproject, "tool", "pdm", "dev-dependencies").items():
        purpose = purpose_of(name)
        yield Declaration(
            f"[tool.pdm.dev-dependencies] {name}",
            "development" if purpose == "other" else purpose,
            "table",
            lines=requirements_among(texts(lines)),
        )
    lines = requirements_among(texts(table(pyproject, "tool", "uv").get("dev-dependencies")))
    yield Declaration("[tool.uv] dev-dependencies", "development", "table", lines=lines)
    yield from _hatch(project, pyproject)


def _groups(project: Path, pyproject: dict[str, Any]) -> Iterator[Declaration]:
    groups = pyproject.get("dependency-groups", {})
    if not isinstance(groups, dict):
        raise ProjectError(f"{project / 'pyproject.toml'}: dependency-groups must be a table")
    for group in groups:
        lines = group_lines(project, pyproject, group)
        yield Declaration(f"group {group}", purpose_of(group), "table", lines=lines)


def group_lines(project: Path, pyproject: dict[str, Any], *groups: str) -> tuple[str, ...]:
    """Return the requirements of dependency groups, includes followed (PEP 735).

    Raises:
        ProjectError: one is not valid, or there is none of that name.

    """
    try:
        return tuple(resolve_dependency_groups(pyproject.get("dependency-groups", {}), *groups))
    except ExceptionGroup as error:
        raise _group_error(project, error.exceptions[0]) from error
    except (ValueError, TypeError, LookupError) as error:
        raise _group_error(project, error) from error


def _group_error(project: Path, error: Exception) -> ProjectError:
    return ProjectError(f"{project / 'pyproject.toml'}: [dependency-groups] {error}; mend it")


def _poetry(pyproject: dict[str, Any]) -> Iterator[Declaration]:
    poetry = table(pyproject, "tool", "poetry")
    for name, group in table(poetry, "group").items():
        lines = poetry_requirements(table(group, "dependencies") if isinstance(group, dict) else {})
        yield Declaration(f"[tool.poetry.group.{name}]", purpose_of(name), "table", lines=lines)
    lines = poetry_requirements(table(poetry, "dev-dependencies"))
    yield Declaration("[tool.poetry.dev-dependencies]", "development", "table", lines=lines)


def set_by_hatch(project: Path, pyproject: dict[str, Any]) -> Iterator[VariableDeclaration]:
    """Yield the variables of hatch's environments (``env-vars``).

    Raises:
        ProjectError: ``hatch.toml`` can't be read.

    """
    unknown = frozenset({"matrix", "args", "env_name", "env_type", "verbosity"})
    known = {"root": SOURCE, "home": HOME}
    for envs, where in _hatch_tables(project, pyproject):
        for name in envs:
            values = {
                variable: value if isinstance(value, str) else None
                for variable, value in table(_inherited(envs, name), "env-vars").items()
            }
            purpose = _purpose_of_env(name)
            yield VariableDeclaration(f"{where}{name}]", purpose, values, known, unknown)


def _hatch_tables(project: Path, pyproject: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    yield table(read_toml(project / "hatch.toml"), "envs"), "hatch.toml [envs."
    yield table(pyproject, "tool", "hatch", "envs"), "[tool.hatch.envs."


def _hatch(project: Path, pyproject: dict[str, Any]) -> Iterator[Declaration]:
    for envs, where in _hatch_tables(project, pyproject):
        for name in envs:
            env = _inherited(envs, name)
            groups = texts(env.get("dependency-groups"))
            lines = [*texts(env.get("dependencies")), *texts(env.get("extra-dependencies"))]
            lines += group_lines(project, pyproject, *groups) if groups else ()
            lines += _HATCH_TEST if name == "hatch-test" else ()
            yield Declaration(
                f"{where}{name}]",
                _purpose_of_env(name),
                "table",
                extras=tuple(texts(env.get("features"))),
                lines=requirements_among(lines),
            )


def _inherited(envs: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return an environment of hatch with what its templates say beneath it."""
    found: dict[str, Any] = {}
    seen: set[str] = set()
    waiting: str | None = name
    while waiting is not None and waiting not in seen:
        seen.add(waiting)
        env = table(dict(envs), waiting)
        found = {**env, **found}
        own = waiting == "default" or waiting.startswith("hatch-")
        template = env.get("template", None if own else "default")
        waiting = template if isinstance(template, str) else None
    return found


def _purpose_of_env(name: str) -> Purpose:
    if name == "hatch-test":
        return "test"
    return "development" if name == "default" else purpose_of(name)
