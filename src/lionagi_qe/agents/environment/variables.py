"""The variables that a project sets for its tests, and what of them holds for a measured run.

The first place that sets some for tests: hatch's environments, tox, nox; then hatch's default one.
With them the settings that Django's own way to run the tests takes, where pytest isn't told of any.
What pytest-env sets it sets itself.
"""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.environment.declared import django
from lionagi_qe.agents.environment.declared.nox import set_by_nox
from lionagi_qe.agents.environment.declared.pyproject_tables import set_by_hatch
from lionagi_qe.agents.environment.declared.substitution import UnresolvedError, substituted
from lionagi_qe.agents.environment.declared.tox_ini import OURS, Python
from lionagi_qe.agents.environment.declared.tox_set_env import set_by_tox
from lionagi_qe.agents.environment.declared.variables import HOME, PYTHON, SOURCE, TEMPORARY
from lionagi_qe.agents.environment.process import allowed_environment

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from lionagi_qe.agents.environment.declared.variables import VariableDeclaration

_PURPOSES = ("test", "development")
_OWN = frozenset(
    {"PATH", "HOME", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "LD_PRELOAD", "PYTHONHOME"}
    | {"PYTHONSAFEPATH", "PYTHONEXECUTABLE", "PYTHONPLATLIBDIR", "PYTHONSTARTUP"}
)
_OWN_PREFIXES = ("AQE_", "COVERAGE_", "COV_CORE_")
_PLUGINS = "PYTEST_DISABLE_PLUGIN_AUTOLOAD"
_OPTIONS = "PYTEST_ADDOPTS"
_COVERAGE_FILE = "COVERAGE_RCFILE"
_IMPORT_PATH = "PYTHONPATH"
_SEPARATOR = re.compile(r"[:;]")


@dataclass(frozen=True, slots=True)
class DeclaredVariables:
    """What a project sets for its tests, and what of it is set here.

    Attributes:
        origin: where it was found, for people; "" if nothing was.
        values: name -> value, in which places stand for those of a copy; see ``at``.
        import_path: directories of the project, in the same way.
        options: of pytest.
        coverage_file: where coverage.py reads its settings, "" for where it finds them itself.
        refused: name -> why it is not set.
    """

    origin: str = ""
    values: tuple[tuple[str, str], ...] = ()
    import_path: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    coverage_file: str = ""
    refused: tuple[tuple[str, str], ...] = ()

    def at(self, source: Path, home: Path, temporary: Path, python: Path) -> dict[str, str]:
        """Return the variables for one copy of the project."""
        places = {SOURCE: source, HOME: home, TEMPORARY: temporary, PYTHON: python}
        return {name: _placed(value, places) for name, value in self.values}

    def import_path_at(self, source: Path) -> list[str]:
        """Return those directories in one copy of the project that are there."""
        placed = [_placed(each, {SOURCE: source}) for each in self.import_path]
        return [path for path in placed if os.path.isdir(path)]  # noqa: PTH112 - a text as it is set

    @property
    def has_django_settings(self) -> bool:
        """Whether the tests are those of a Django project that doesn't tell pytest so."""
        return any(name == django.SETTINGS for name, _ in self.values)

    def and_those(self, other: DeclaredVariables) -> DeclaredVariables:
        """Return both together."""
        return DeclaredVariables(
            " and ".join(filter(None, (self.origin, other.origin))),
            (*self.values, *other.values),
            (*self.import_path, *other.import_path),
            (*self.options, *other.options),
            self.coverage_file or other.coverage_file,
            (*self.refused, *other.refused),
        )

    @property
    def notes(self) -> list[str]:
        """What a reader of the figures should know."""
        notes: list[str] = []
        names = [name for name, _ in self.values]
        names += [_IMPORT_PATH] if self.import_path else []
        names += [_OPTIONS] if self.options else []
        if names:
            notes.append(f"variables of {self.origin} set for the tests: {', '.join(names)}")
        if self.refused:
            told = "; ".join(f"{name} ({why})" for name, why in self.refused)
            notes.append(f"variables of {self.origin} not set for the tests: {told}")
        return notes


def _placed(value: str, places: Mapping[str, Path]) -> str:
    for mark, path in places.items():
        value = value.replace(mark, str(path))
    return value


def variables_of(
    project: Path,
    pyproject: dict[str, Any],
    pass_env: Iterable[str] = (),
    python: Python = OURS,
) -> DeclaredVariables:
    """Return what the first place says that sets something, those for tests before others.

    Args:
        project: its directory.
        pyproject: its metadata.
        pass_env: names that the user lets through, whose values go before the project's.
        python: that runs the tests.

    Raises:
        ProjectError: a file can't be read.

    """
    declared = [
        each
        for places in (
            set_by_hatch(project, pyproject),
            set_by_tox(project, pyproject, python),
            set_by_nox(project),
        )
        for each in places
        if each.values
    ]
    chosen = [each for purpose in _PURPOSES for each in declared if each.purpose == purpose][:1]
    if not any(django.SETTINGS in each.values for each in chosen):
        chosen += [*django.set_for_django(project)][:1]
    found = DeclaredVariables()
    for each in chosen:
        found = found.and_those(_resolved(each, allowed_environment(pass_env), pass_env))
    return found


def _resolved(
    chosen: VariableDeclaration, visible: Mapping[str, str], pass_env: Iterable[str]
) -> DeclaredVariables:
    values: dict[str, str] = {}
    refused: dict[str, str] = {}
    import_path: list[str] = []
    options: list[str] = []
    coverage_file = ""
    own = {name for name in pass_env if name in visible}
    for name, text in chosen.values.items():
        if why := _objection(name, text, own):
            refused[name] = why
            continue
        try:
            value = _value_of(text or "", chosen, {**visible, **values})
        except UnresolvedError as error:
            refused[name] = f"what {error} is can't be told"
            continue
        if name == _OPTIONS:
            options += _words(value)
        elif name == _IMPORT_PATH:
            import_path += _of_project(value)
        elif name == _COVERAGE_FILE:
            coverage_file = value
        else:
            values[name] = value
    return DeclaredVariables(
        chosen.origin,
        tuple(values.items()),
        tuple(import_path),
        tuple(options),
        coverage_file,
        tuple(refused.items()),
    )


def _objection(name: str, text: str | None, given: set[str]) -> str | None:
    """Return why a variable is not set, if so."""
    if text is None:
        return "computed"
    if name in given:
        return "passed on as you have it"
    if name == _COVERAGE_FILE:
        return None
    if name in _OWN or name.startswith(_OWN_PREFIXES):
        return "aqe sets that itself"
    if name == _PLUGINS:
        return "the plugins that are loaded instead are named by the tool's own command"
    return None


def _of_project(path: str) -> list[str]:
    """Return the directories of an import path that are the project's, not some environment's."""
    entries = [each for each in _SEPARATOR.split(path) if each]
    named = [each if each.startswith((SOURCE, "/")) else f"{SOURCE}/{each}" for each in entries]
    return [each for each in named if each.startswith(SOURCE)]


def _value_of(text: str, declaration: VariableDeclaration, variables: Mapping[str, str]) -> str:
    places = {"HOME": HOME, "TMPDIR": TEMPORARY, _IMPORT_PATH: "", _OPTIONS: ""}

    def of_environment(other: str, default: str | None) -> str:
        if other in places:
            return places[other]
        if other in variables:
            return variables[other]
        if default is None and other in os.environ:
            raise UnresolvedError(f"{{env:{other}}}, which pass-env doesn't name,")
        return default or ""

    return substituted(text, declaration.known, of_environment, declaration.unknown)


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        # pytest would refuse it as well.
        return []
