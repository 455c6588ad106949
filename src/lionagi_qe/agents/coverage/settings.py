"""How coverage.py measures the run: our sources and data file.

The project's own settings are added where it is measured; see ``inject/aqe_coverage_settings``.
"""

from __future__ import annotations

import configparser
from typing import TYPE_CHECKING

from lionagi_qe.agents.project.layout import TEST_FILES, django_migrations
from lionagi_qe.agents.project.named_tests import named_tests

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from lionagi_qe.agents.environment.target import Environment
    from lionagi_qe.agents.project.workspace import Workspace

DATA_FILE = "coverage.data"


def write_rcfile(workspace: Workspace, environment: Environment, *measured_in: str) -> Path:
    """Write coverage.py's configuration for a run in this workspace; return its path.

    Args:
        workspace: where the project's code is.
        environment: that it runs in.
        measured_in: where it was when it was measured, if elsewhere; combining translates these.

    """
    layout = environment.layout
    parser = configparser.RawConfigParser()
    parser["run"] = {}
    if layout.packages and not layout.modules:
        sources, beside = layout.packages, ()
    else:
        sources, beside = layout.roots[:1], layout.beside
    tests = [f"{workspace.source}/{pattern}" for pattern in TEST_FILES]
    tests += [f"{workspace.source}/{name}" for name in sorted(named_tests(workspace.source))]
    # Django writes them; who wants them measured names them in [tool.aqe] source.
    tests += [f"{path}/*" for package in layout.packages for path in django_migrations(package)]
    run = parser["run"]
    run["branch"] = "true"
    run["parallel"] = "true"
    run["data_file"] = str(workspace.artifacts / DATA_FILE)
    run["source"] = _joined(map(str, sources))
    run["omit"] = _joined([*tests, *map(_pattern, beside)])
    run["disable_warnings"] = _joined(["no-data-collected", "module-not-imported"])
    run["patch"] = _joined(["_exit", "subprocess"] if environment.changeable else ["_exit"])
    parser["report"] = {"include_namespace_packages": "true"}
    if measured_in:
        parser["paths"] = {"source": _joined([str(workspace.source), *measured_in])}
    if environment.coverage_file:
        parser["aqe"] = {"settings": str(workspace.source / environment.coverage_file)}
    path = workspace.artifacts / "coveragerc"
    with path.open("w", encoding="utf-8") as file:
        parser.write(file)
    return path


def _pattern(path: Path) -> str:
    return f"{path}/*" if path.is_dir() else str(path)


def _joined(values: Iterable[str]) -> str:
    return "\n" + "\n".join(values)
