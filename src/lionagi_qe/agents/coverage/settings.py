"""How coverage.py measures the run: the project's own exclusions, our sources and data file."""

from __future__ import annotations

import configparser
from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.project.layout import TEST_FILES, django_migrations
from lionagi_qe.agents.project.settings import read_pyproject, read_toml

if TYPE_CHECKING:
    from pathlib import Path

    from lionagi_qe.agents.environment.target import Environment
    from lionagi_qe.agents.project.workspace import Workspace

DATA_FILE = "coverage.data"
# What a project may say of itself; where it keeps data, how paths stand in that data (ours are
# absolute) and what it fails under is not asked.
_TAKEN = {
    "run": ("omit", "concurrency"),
    "report": ("exclude_lines", "exclude_also", "partial_branches", "partial_also", "omit"),
}


def write_rcfile(workspace: Workspace, environment: Environment, measured_in: str = "") -> Path:
    """Write coverage.py's configuration for a run in this workspace; return its path.

    Args:
        workspace: where the project's code is.
        environment: that it runs in.
        measured_in: where it was when it was measured, if elsewhere; combining translates that.

    """
    layout = environment.layout
    parser = configparser.RawConfigParser()
    for section, options in _own_settings(workspace.source).items():
        parser[section] = {
            name: _joined(options[name]) for name in _TAKEN[section] if name in options
        }
    if layout.packages and not layout.modules:
        sources, beside = layout.packages, ()
    else:
        sources, beside = layout.roots[:1], layout.beside
    tests = [f"{workspace.source}/{pattern}" for pattern in TEST_FILES]
    # Django writes them; who wants them measured names them in [tool.aqe] source.
    tests += [f"{path}/*" for package in layout.packages for path in django_migrations(package)]
    omitted = [parser.get(section, "omit", fallback="") for section in ("run", "report")]
    run = parser["run"]
    run["branch"] = "true"
    run["parallel"] = "true"
    run["data_file"] = str(workspace.artifacts / DATA_FILE)
    run["source"] = _joined(map(str, sources))
    run["omit"] = _joined(
        [*tests, *map(_pattern, beside), *(part for part in omitted if part.strip())]
    )
    run["disable_warnings"] = _joined(["no-data-collected", "module-not-imported"])
    run["patch"] = _joined(["_exit", "subprocess"] if environment.changeable else ["_exit"])
    if not parser.has_section("report"):
        parser.add_section("report")
    parser["report"]["include_namespace_packages"] = "true"
    if measured_in:
        parser["paths"] = {"source": _joined([str(workspace.source), measured_in])}
    path = workspace.artifacts / "coveragerc"
    with path.open("w", encoding="utf-8") as file:
        parser.write(file)
    return path


def _own_settings(source: Path) -> dict[str, dict[str, Any]]:
    """Return the sections ``run`` and ``report`` of the first file that configures coverage.py."""
    empty: dict[str, dict[str, Any]] = {"run": {}, "report": {}}
    for name, prefix in ((".coveragerc", ""), ("setup.cfg", "coverage:"), ("tox.ini", "coverage:")):
        parser = configparser.RawConfigParser(strict=False)
        try:
            parser.read(source / name, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError):
            continue
        found = {
            section: dict(parser[f"{prefix}{section}"])
            for section in empty
            if parser.has_section(f"{prefix}{section}")
        }
        if found:
            return empty | found
    tables = [read_toml(source / ".coveragerc.toml")]
    tables.append(read_pyproject(source).get("tool", {}).get("coverage", {}))
    for table in tables:
        if table:
            return empty | {section: table[section] for section in empty if section in table}
    return empty


def _pattern(path: Path) -> str:
    return f"{path}/*" if path.is_dir() else str(path)


def _joined(value: Any) -> str:  # noqa: ANN401 - a string or strings
    return value if isinstance(value, str) else "\n" + "\n".join(map(str, value))
