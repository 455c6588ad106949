"""tox's TOML files: which environments run the tests, and which of them a plain run is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.environment.declared.declaration import table
from lionagi_qe.agents.environment.declared.tox_ini import TESTING, is_for_here, tag_of
from lionagi_qe.agents.project.settings import read_toml

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lionagi_qe.agents.environment.declared.tox_ini import Python

_BASE = "env_run_base"


def toml_documents(
    project: Path, pyproject: dict[str, Any]
) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield each of tox's documents, and what its tables' names begin with, for people.

    Raises:
        ProjectError: a file can't be read.

    """
    yield read_toml(project / "tox.toml"), "tox.toml "
    yield table(pyproject, "tool", "tox"), "[tool.tox] "


def testing_tables(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return name -> settings of the base, and of the environments that run the tests here."""
    base = table(document, _BASE)
    return {_BASE: base} | {
        f"env.{name}": {**base, **env}
        for name, env in table(document, "env").items()
        if isinstance(env, dict)
        and TESTING.search(str(env.get("commands", "")))
        and is_for_here(str(env.get("platform", "")))
    }


def usual_table(document: dict[str, Any], python: Python) -> str | None:
    """Return the name of what ``tox -e py311``, say, is set by; None if nothing runs tests."""
    base, *named = testing_tables(document).items()
    for tag in (f"{python[0]}.{python[1]}", tag_of(python)):
        if f"env.{tag}" in dict(named):
            return f"env.{tag}"
    if base[1] and (not named or TESTING.search(str(base[1].get("commands", "")))):
        return _BASE
    return named[0][0] if named else None
