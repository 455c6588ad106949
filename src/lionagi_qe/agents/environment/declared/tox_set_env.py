"""Variables that tox sets for the tests: ``setenv`` and ``set_env`` in all of its forms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from packaging.markers import InvalidMarker, Marker

from lionagi_qe.agents.environment.declared.declaration import table
from lionagi_qe.agents.environment.declared.tox_ini import (
    OURS,
    Python,
    ini_files,
    lines_of,
    section_of,
    tag_of,
)
from lionagi_qe.agents.environment.declared.tox_toml import (
    testing_tables,
    toml_documents,
    usual_table,
)
from lionagi_qe.agents.environment.declared.variables import (
    PYTHON,
    SOURCE,
    TEMPORARY,
    VariableDeclaration,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

_OPTIONS = ("set_env", "setenv")
_KNOWN = {
    **dict.fromkeys(("toxinidir", "tox_root", "changedir", "change_dir"), SOURCE),
    **dict.fromkeys(("envtmpdir", "env_tmp_dir"), TEMPORARY),
    **dict.fromkeys(("envpython", "env_python"), PYTHON),
    "/": "/",
    ":": ":",
    "posargs": "",
}
# Places of tox's own that no run of ours has.
_UNKNOWN = frozenset(
    {"envdir", "env_dir", "envbindir", "env_bin_dir", "envlogdir", "env_log_dir", "distdir"}
    | {"envsitepackagesdir", "env_site_packages_dir", "toxworkdir", "work_dir", "distshare"}
    | {"temp_dir", "basepython", "base_python", "homedir", "package_root", "setupdir", "tty"}
)


def set_by_tox(
    project: Path, pyproject: dict[str, Any], python: Python = OURS
) -> Iterator[VariableDeclaration]:
    """Yield what tox sets in the environment that runs the tests with a Python.

    Raises:
        ProjectError: a file can't be read.

    """
    for parser, where, prefix in ini_files(project, pyproject):
        section = section_of(parser, prefix, python)
        if section is None:
            continue
        # A named environment without a setting of its own has that of the plain one.
        places = [section, f"{prefix}testenv"]
        lines = next(
            (
                lines_of(parser, place, option, python)
                for place in places
                for option in _OPTIONS
                if parser.has_option(place, option)
            ),
            [],
        )
        name = section.removeprefix(f"{prefix}testenv").removeprefix(":")
        yield _declaration(f"{where} [{section}]", _of_lines(project, lines), name, python)
    for document, where in toml_documents(project, pyproject):
        name = usual_table(document, python)
        if name is not None:
            env = testing_tables(document)[name]
            values = _of_table(project, table(env, "set_env") or table(env, "setenv"))
            yield _declaration(f"{where}{name}", values, name.partition(".")[2], python)


def _declaration(
    origin: str, values: Mapping[str, str | None], name: str, python: Python
) -> VariableDeclaration:
    tag = tag_of(python)
    known = {**_KNOWN, "envname": name or tag, "env_name": name or tag}
    return VariableDeclaration(origin, "test", values, known, _UNKNOWN)


def _of_lines(project: Path, lines: Iterable[str]) -> dict[str, str | None]:
    values: dict[str, str | None] = {}
    for line in lines:
        if line.startswith("file|"):
            values |= _of_file(project, line.removeprefix("file|").strip())
            continue
        name, equals, value = line.partition("=")
        if not equals:
            continue
        text = _where_it_holds(value.strip())
        if text is not None:
            values[name.strip()] = text
    return values


def _where_it_holds(value: str) -> str | None:
    """Return a value without the marker behind it; None if that doesn't hold."""
    text, semicolon, marker = value.rpartition(";")
    if not semicolon:
        return value
    try:
        return text.rstrip() if Marker(marker.strip()).evaluate() else None
    except InvalidMarker:
        # A semicolon of the value's own.
        return value.replace("\\;", ";")


def _of_file(project: Path, name: str) -> dict[str, str | None]:
    path = project / name.replace("{toxinidir}", ".").replace("{tox_root}", ".")
    if not path.is_file():
        return {}
    values: dict[str, str | None] = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        if equals and not name.startswith("#"):
            values[name.strip()] = value.strip()
    return values


def _of_table(project: Path, values: dict[str, Any]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for name, value in values.items():
        if name == "file" and isinstance(value, str):
            found |= _of_file(project, value)
        elif isinstance(value, dict) and "value" in value:
            holds = "marker" not in value or _where_it_holds(f"; {value['marker']}") is not None
            found |= {name: _of_value(value["value"])} if holds else {}
        else:
            found[name] = _of_value(value)
    return found


def _of_value(value: object) -> str | None:
    """Return a value of TOML as INI would write it; None if it is computed in another way."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and value.get("replace") == "env" and "name" in value:
        default = value.get("default")
        return (
            f"{{env:{value['name']}}}" if default is None else f"{{env:{value['name']}:{default}}}"
        )
    return None
