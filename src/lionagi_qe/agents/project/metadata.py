"""What a project says of itself, wherever it says it; nothing of it is run."""

from __future__ import annotations

import ast
import configparser
import re
from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.project.parsing import parsed
from lionagi_qe.errors import ProjectError

if TYPE_CHECKING:
    from pathlib import Path


def project_name(project: Path, pyproject: dict[str, Any]) -> str:
    """Return what the project calls itself, else its directory's name.

    Raises:
        ProjectError: ``[project]`` is no table.

    """
    declared = pyproject.get("project", {})
    if not isinstance(declared, dict):
        raise ProjectError(f"{project / 'pyproject.toml'}: project must be a table")
    tool = pyproject.get("tool", {})
    poetry = tool.get("poetry", {}) if isinstance(tool, dict) else {}
    name = declared.get("name") or (poetry.get("name") if isinstance(poetry, dict) else None)
    name = name or _name_in_setup_cfg(project) or setup_arguments(project).get("name")
    name = name or _name_in_metadata(project) or project.name or "project"
    return str(name)


def _name_in_setup_cfg(project: Path) -> str | None:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read(project / "setup.cfg", encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):
        # Told where its requirements are read, which matter more.
        return None
    name = parser.get("metadata", "name", fallback="")
    return None if name.startswith(("attr:", "file:")) else name


def _name_in_metadata(project: Path) -> str | None:
    metadata = project / "PKG-INFO"
    if not metadata.is_file():
        return None
    text = metadata.read_text(encoding="utf-8", errors="replace")
    match = re.search(r"^Name: *(\S+)", text, re.MULTILINE)
    return None if match is None else match[1]


def setup_arguments(project: Path) -> dict[str, Any]:
    """Return the keyword arguments of ``setup(...)`` that are plain data, without running it."""
    tree = parsed(project / "setup.py")
    if tree is None:
        # Without setup.py there are none; one of another Python is for the build to judge.
        return {}
    arguments: dict[str, Any] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("setup"):
            for keyword in node.keywords:
                value = _literal(keyword.value)
                if keyword.arg is not None and value is not None:
                    arguments[keyword.arg] = value
    return arguments


def _literal(node: ast.expr) -> Any:  # noqa: ANN401 - any literal
    try:
        return ast.literal_eval(node)
    except ValueError:
        # Of a dict whose values are computed, the names are still known.
        if isinstance(node, ast.Dict) and all(isinstance(key, ast.Constant) for key in node.keys):
            return {str(key.value): () for key in node.keys if isinstance(key, ast.Constant)}
        return None
