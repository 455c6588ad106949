"""Which versions of Python a project allows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.environment.declared.declaration import ini_of, table
from lionagi_qe.agents.environment.declared.poetry import specifier_of
from lionagi_qe.agents.project.metadata import setup_arguments

if TYPE_CHECKING:
    from pathlib import Path


def python_required(project: Path, pyproject: dict[str, Any]) -> tuple[object, str]:
    """Return what a project says of them, as PEP 440 writes it, and the file; None if nothing.

    Of Poetry's alternatives (``^2.7 || ^3.5``) none is returned.

    Raises:
        ProjectError: a file can't be read.

    """
    own = table(pyproject, "project").get("requires-python")
    if own is not None:
        return own, "pyproject.toml"
    constraint = table(pyproject, "tool", "poetry", "dependencies").get("python")
    if isinstance(constraint, str) and "|" not in constraint:
        return specifier_of(constraint), "pyproject.toml"
    if wanted := ini_of(project / "setup.cfg").get("options", "python_requires", fallback=""):
        return wanted, "setup.cfg"
    wanted = setup_arguments(project).get("python_requires")
    return (wanted if isinstance(wanted, str) else None), "setup.py"
