"""What is installed for a project: where, and which of it the product itself requires."""

from __future__ import annotations

import json
import subprocess
from importlib.metadata import distributions
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from lionagi_qe.agents.environment.declared.declaration import requirement_of
from lionagi_qe.agents.environment.process import allowed_environment
from lionagi_qe.agents.project.isolation import ask
from lionagi_qe.errors import EnvironmentBuildError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

_PLACES = (
    "import json, sysconfig; "
    "print(json.dumps(sorted({sysconfig.get_path(name) for name in ('purelib', 'platlib')})))"
)
_TIMEOUT = 60


def places_of(python: Path) -> list[str]:
    """Return the directories where an interpreter's packages are installed.

    Raises:
        EnvironmentBuildError: it doesn't say.

    """
    try:
        answer = ask([str(python), "-I", "-c", _PLACES], allowed_environment(), timeout=_TIMEOUT)
        answer.check_returncode()
        return json.loads(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise EnvironmentBuildError(f"{python}: doesn't say where its packages are") from error


def required_by(roots: Iterable[str], places: Sequence[str]) -> set[str]:
    """Return the names of what requirements need, and what that needs, as far as it is installed.

    Args:
        roots: requirements (PEP 508).
        places: directories of packages.

    """
    needs: dict[str, list[str]] = {}
    for distribution in distributions(path=[*places]):
        needs[canonicalize_name(distribution.name)] = list(distribution.requires or ())
    found: set[str] = set()
    seen: set[tuple[str, str]] = set()
    waiting = [each for line in roots for each in _named(line, {""})]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen or name not in needs:
            continue
        seen.add((name, extra))
        found.add(name)
        waiting += [each for line in needs[name] for each in _named(line, {"", extra})]
    return found


def _named(line: str, extras: set[str]) -> list[tuple[str, str]]:
    """Return what a requirement names, once for each extra of it; nothing if it holds not here."""
    requirement = requirement_of(line)
    if requirement is None:
        return []
    marker = requirement.marker
    if marker is not None and not any(marker.evaluate({"extra": extra}) for extra in extras):
        return []
    name = canonicalize_name(requirement.name)
    return [(name, extra) for extra in ("", *requirement.extras)]


def declared_at(project: Path, names: Iterable[str]) -> Mapping[str, tuple[str, int]]:
    """Return name -> the file of the project, and the line, that first tells of it."""
    wanted = set(names)
    found: dict[str, tuple[str, int]] = {}
    files = [project / name for name in ("pyproject.toml", "setup.cfg", "setup.py", "Pipfile")]
    files += sorted({*project.glob("*requirements*.txt"), *project.glob("requirements/*.txt")})
    for path in files:
        if not path.is_file():
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        for number, line in enumerate(text.splitlines(), start=1):
            for word in _words(line) & wanted - found.keys():
                found[word] = (path.relative_to(project).as_posix(), number)
    return found


def _words(line: str) -> set[str]:
    """Return the words of a line, as names of distributions are written."""
    kept = "".join(each if each.isalnum() or each in "-_." else " " for each in line)
    return {canonicalize_name(word) for word in kept.split()}
