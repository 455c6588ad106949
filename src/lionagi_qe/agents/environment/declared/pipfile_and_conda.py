"""What Pipenv and conda are told."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.environment.declared.declaration import (
    Declaration,
    requirements_among,
    table,
)
from lionagi_qe.agents.environment.declared.poetry import poetry_requirements
from lionagi_qe.agents.project.parsing import NOT_PARSED
from lionagi_qe.agents.project.settings import read_toml

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_CONDA_FILES = ("environment.yml", "environment.yaml", "environment-dev.yml", "ci/environment.yml")
# Of conda alone.
_NO_DISTRIBUTIONS = frozenset({"python", "pip", "conda", "mamba", "compilers", "nodejs", "make"})


def in_pipfile_and_conda(project: Path) -> Iterator[Declaration]:
    """Yield what ``Pipfile`` and conda's ``environment.yml`` list.

    Raises:
        ProjectError: the Pipfile is no TOML.

    """
    pipfile = read_toml(project / "Pipfile")
    # Pipenv and Poetry write a requirement's details the same way.
    for name in ("dev-packages", "packages"):
        lines = poetry_requirements(table(pipfile, name))
        yield Declaration(f"Pipfile [{name}]", "development", "tool", lines=lines)
    for name in _CONDA_FILES:
        if (project / name).is_file():
            text = (project / name).read_text(encoding="utf-8", errors="replace")
            yield Declaration(name, "development", "mention", lines=_conda_lines(text))


def _conda_lines(text: str) -> tuple[str, ...]:
    # Here, since few projects have such a file.
    import yaml

    try:
        document: Any = yaml.safe_load(text)
    except (yaml.YAMLError, *NOT_PARSED):
        # A template, most likely; nothing in it can be told.
        return ()
    lines: list[str] = []
    dependencies = document.get("dependencies") if isinstance(document, dict) else None
    for each in dependencies if isinstance(dependencies, list) else ():
        if isinstance(each, dict):
            lines += [line for line in each.get("pip") or () if isinstance(line, str)]
        elif isinstance(each, str):
            # Versions of conda's packages are not always those of the index; names mostly are.
            name = re.split(r"[\s=<>!~\[]", each.rpartition("::")[2])[0]
            lines += [name] if name not in _NO_DISTRIBUTIONS else []
    return requirements_among(lines)
