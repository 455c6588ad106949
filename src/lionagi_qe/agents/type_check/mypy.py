"""mypy."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, ClassVar

from lionagi_qe.agents.environment.declared.declaration import ini_of, table
from lionagi_qe.agents.project.settings import read_pyproject
from lionagi_qe.agents.type_check.checker import Checker, TypeFault, Unreadable

if TYPE_CHECKING:
    from pathlib import Path

    from lionagi_qe.agents.environment.process import Completed
    from lionagi_qe.agents.environment.target import Environment

_FOUND = re.compile(
    r"(?P<file>.+?):(?:(?P<line>\d+):)?(?:\d+:)? error: (?P<message>.*?)"
    r"(?:  \[(?P<rule>[\w-]+)\])?"
)
# In the order in which mypy itself looks; of these two only with a section of its name.
_OWN_FILES = ("mypy.ini", ".mypy.ini")
_TARGETS = ("files", "packages", "modules")
_ERRORS = 1
_NO_RULE = "misc"


class Mypy(Checker):
    """mypy, with the settings and plugins that the project names."""

    name: ClassVar[str] = "mypy"
    requirement: ClassVar[str] = "mypy>=1.11"
    config_files: ClassVar[tuple[str, ...]] = (*_OWN_FILES, "pyproject.toml", "setup.cfg")

    def is_configured(self, project: Path) -> bool:
        """Whether one of mypy's files, or a table of it, is there."""
        return _settings(project) is not None

    def arguments(self, project: Path, environment: Environment) -> list[str]:
        """Return nothing where the settings say what to check, else the product's code."""
        settings = _settings(project) or {}
        if any(name in settings for name in _TARGETS):
            return []
        layout = environment.layout
        scattered = [each for each in layout.packages if not (each / "__init__.py").is_file()]
        chosen = "explicit_package_bases" in settings or "namespace_packages" in settings
        bases = ["--explicit-package-bases"] if scattered and not chosen else []
        return [*bases, *layout.scope]

    def quiet(self, environment: Environment, scratch: Path) -> list[str]:
        """Return that each error is one line, and that the cache is a new one."""
        del environment
        return [
            *("--no-pretty", "--no-color-output", "--hide-error-context", "--show-error-codes"),
            *("--no-error-summary", "--show-column-numbers"),
            *("--cache-dir", str(scratch / "mypy-cache")),
        ]

    def variables(self, environment: Environment) -> dict[str, str]:
        """Return where imports of the project's own code are found beside the settings' places."""
        return {"MYPYPATH": os.pathsep.join(map(str, environment.layout.roots[:-1]))}

    def read(self, completed: Completed, text: str, project: Path) -> list[TypeFault]:
        """Return the errors; see Checker."""
        said = [line for line in text.splitlines() if line.strip()]
        if completed.exit_code not in {0, _ERRORS}:
            told = next((line for line in said if "error:" in line), said[-1] if said else "")
            raise Unreadable(f"mypy {completed.how}: {told or 'it said nothing'}")
        found = [_fault(match, project) for line in said if (match := _FOUND.fullmatch(line))]
        if bool(found) != (completed.exit_code == _ERRORS):
            raise Unreadable(f"mypy {completed.how}, and {len(found)} errors were read of it")
        return found

    def url(self, rule: str) -> str | None:
        """Return mypy's page of error codes, at this one."""
        return f"https://mypy.readthedocs.io/en/stable/_refs.html#code-{rule}"


def _fault(match: re.Match[str], project: Path) -> TypeFault:
    line = int(match["line"]) if match["line"] else None
    file = match["file"].replace(os.sep, "/").removeprefix(f"{project.as_posix()}/")
    return TypeFault(file.removeprefix("./"), line, line, match["rule"] or _NO_RULE, match[3])


def _settings(project: Path) -> dict[str, Any] | None:
    """Return mypy's settings as it finds them; None without any."""
    for name in _OWN_FILES:
        if (project / name).is_file():
            parser = ini_of(project / name)
            return dict(parser["mypy"]) if parser.has_section("mypy") else {}
    tool = table(read_pyproject(project), "tool")
    if "mypy" in tool:
        return table(tool, "mypy")
    parser = ini_of(project / "setup.cfg")
    return dict(parser["mypy"]) if parser.has_section("mypy") else None
