"""What a wheel says of itself: its top modules, and what it requires."""

from __future__ import annotations

import zipfile
from email.parser import HeaderParser
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_MODULES = (".py", ".so", ".pyd")
_LOWEST = frozenset({">=", "==", "===", "~=", ">"})


def modules_of(wheel: Path) -> list[str]:
    """Return the top packages and modules to import, those in namespaces by their full names."""
    with zipfile.ZipFile(wheel) as archive:
        names = [PurePosixPath(name) for name in archive.namelist()]
    return importable(name for name in names if not name.parts[0].endswith((".dist-info", ".data")))


def importable(names: Iterable[PurePosixPath]) -> list[str]:
    """Return what can be imported of files, without what lies within a package."""
    files = [name for name in names if name.suffix in _MODULES]
    packages = {name.parent for name in files if name.name.partition(".")[0] == "__init__"}
    found: set[str] = set()
    for name in files:
        around = [each for each in (*reversed(name.parents), name) if each in packages]
        module = around[0] if around else name.with_name(name.name.partition(".")[0])
        # What is no identifier is run, or read, by others.
        if all(part.isidentifier() for part in module.parts) and module.name != "__main__":
            found.add(".".join(module.parts))
    return sorted(found)


def requirements_of(wheel: Path) -> list[Requirement]:
    """Return what it requires here, without extras; InvalidRequirement for what is none."""
    with zipfile.ZipFile(wheel) as archive:
        metadata = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        headers = HeaderParser().parsestr(archive.read(metadata).decode("utf-8", "replace"))
    lines = [str(line) for line in headers.get_all("Requires-Dist", [])]
    found: list[Requirement] = []
    for line in lines:
        try:
            requirement = Requirement(line)
        except InvalidRequirement as error:
            raise InvalidRequirement(f"{line}: {error}") from error
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            found.append(requirement)
    return found


def without_lowest(requirements: Iterable[Requirement]) -> list[str]:
    """Return the names of those for which no lowest version is stated."""
    return sorted(
        each.name
        for each in requirements
        if each.url is None and not any(part.operator in _LOWEST for part in each.specifier)
    )
