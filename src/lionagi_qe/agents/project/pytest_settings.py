"""What a project tells pytest in its files."""

from __future__ import annotations

import configparser
from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.project.settings import read_pyproject, read_toml

if TYPE_CHECKING:
    from pathlib import Path


def pytest_settings(project: Path) -> dict[str, Any]:
    """Return the settings of the first file that configures pytest, in pytest's order."""
    for name in ("pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini"):
        if (project / name).is_file():
            if name.endswith(".toml"):
                return read_toml(project / name).get("pytest", {})
            return _ini_section(project / name, "pytest") or {}
    tool = read_pyproject(project).get("tool", {}).get("pytest", {})
    if tool:
        return tool.get("ini_options", tool)
    for name, section in (("tox.ini", "pytest"), ("setup.cfg", "tool:pytest")):
        options = _ini_section(project / name, section)
        if options is not None:
            return options
    return {}


def has_pytest_env_table(project: Path) -> bool:
    """Whether the project sets variables in a table that pytest-env reads, and pytest does not."""
    if "pytest_env" in read_pyproject(project).get("tool", {}):
        return True
    return any(
        "pytest_env" in read_toml(project / name) for name in ("pytest.toml", ".pytest.toml")
    )


def _ini_section(path: Path, section: str) -> dict[str, str] | None:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read(path, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):
        # pytest will complain of the same file, in its own words.
        return None
    return dict(parser[section]) if parser.has_section(section) else None
