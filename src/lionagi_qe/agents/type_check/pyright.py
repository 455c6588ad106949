"""pyright."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from lionagi_qe.agents.environment.declared.declaration import table
from lionagi_qe.agents.project.settings import read_pyproject
from lionagi_qe.agents.type_check.checker import Checker, TypeFault, Unreadable

if TYPE_CHECKING:
    from lionagi_qe.agents.environment.process import Completed
    from lionagi_qe.agents.environment.target import Environment

_OWN_FILE = "pyrightconfig.json"
_ERRORS = 1
_NO_RULE = "error"


class Pyright(Checker):
    """pyright, with the project's settings; those of environments are replaced by its own."""

    name: ClassVar[str] = "pyright"
    # With Node.js as a wheel: nothing else is fetched when it runs.
    requirement: ClassVar[str] = "pyright[nodejs]>=1.1.407"
    config_files: ClassVar[tuple[str, ...]] = (_OWN_FILE, "pyproject.toml")

    def is_configured(self, project: Path) -> bool:
        """Whether ``pyrightconfig.json`` or a table of it is there."""
        own = (project / _OWN_FILE).is_file()
        return own or "pyright" in table(read_pyproject(project), "tool")

    def arguments(self, project: Path, environment: Environment) -> list[str]:
        """Return nothing where there are settings, by which it looks; else the product's code."""
        return [] if self.is_configured(project) else environment.layout.scope

    def quiet(self, environment: Environment, scratch: Path) -> list[str]:
        """Return that it answers in JSON, and whose packages are imported."""
        del scratch
        return ["--outputjson", "--pythonpath", str(environment.python)]

    def variables(self, environment: Environment) -> dict[str, str]:
        """Return that it asks nobody for news."""
        del environment
        return {"PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}

    def read(self, completed: Completed, text: str, project: Path) -> list[TypeFault]:
        """Return the errors; see Checker."""
        try:
            document: dict[str, Any] = json.loads(text[text.index("{") :])
            told = document["generalDiagnostics"]
            looked = document["summary"]["filesAnalyzed"]
        except (ValueError, LookupError) as error:
            said = text.strip().splitlines()
            last = said[-1] if said else "it said nothing"
            raise Unreadable(f"pyright {completed.how}: {last}") from error
        if completed.exit_code not in {0, _ERRORS} or not looked:
            raise Unreadable(f"pyright {completed.how}; it looked at {looked} files")
        return [_fault(each, project) for each in told if each["severity"] == "error"]

    def url(self, rule: str) -> str | None:
        """Return pyright's page of settings, at this rule."""
        page = "https://microsoft.github.io/pyright/#/configuration"
        return f"{page}?id={rule}" if rule != _NO_RULE else page


def _fault(told: dict[str, Any], project: Path) -> TypeFault:
    path = Path(told["file"])
    file = path.relative_to(project) if path.is_relative_to(project) else path
    place = told.get("range")
    lines = (None, None) if place is None else (place["start"]["line"], place["end"]["line"])
    first, last = (None if line is None else line + 1 for line in lines)
    # Hints stand below, indented by no-break spaces.
    message = " ".join(told["message"].replace("\N{NO-BREAK SPACE}", " ").split())
    return TypeFault(file.as_posix(), first, last, told.get("rule", _NO_RULE), message)
