"""Versions that a project's lock file holds, as constraints for an installer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from packaging.markers import InvalidMarker, Marker
from packaging.utils import canonicalize_name

from lionagi_qe.agents.project.parsing import NOT_PARSED, reason
from lionagi_qe.agents.project.settings import read_toml
from lionagi_qe.errors import EnvironmentBuildError, ProjectError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lionagi_qe.agents.environment.installer import Installer
    from lionagi_qe.agents.project.workspace import Workspace

UV_LOCK = "uv.lock"
# The first that is there holds; pylock.toml is PEP 751's.
LOCK_FILES = (UV_LOCK, "poetry.lock", "pdm.lock", "pylock.toml", "Pipfile.lock")
# A package that comes from one of these has no version on an index.
_ELSEWHERE = ("archive", "directory", "editable", "file", "git", "path", "ref", "url", "vcs")


def lock_file_of(source: Path) -> Path | None:
    """Return the project's lock file, if it has one."""
    return next((source / name for name in LOCK_FILES if (source / name).is_file()), None)


async def held_to_lock(
    installer: Installer, workspace: Workspace, *, wanted: bool | None
) -> tuple[Installer, str | None]:
    """Return the installer held to the project's lock file, and that file's name.

    Args:
        installer: uv or pip.
        workspace: the copy of the project.
        wanted: False for the newest versions, True to insist, None for what is there.

    Raises:
        EnvironmentBuildError: it is insisted on and there is none, or uv can't read its own.
        ProjectError: it can't be read.

    """
    lock = lock_file_of(workspace.source)
    if wanted is False or (lock is None and not wanted):
        return installer, None
    if lock is None:
        raise EnvironmentBuildError(
            f"--locked: the project has no lock file ({', '.join(LOCK_FILES)}); lock it, or leave "
            "--locked out"
        )
    versions = workspace.artifacts / "locked.txt"
    if lock.name == UV_LOCK:
        if installer.name != "uv" or not await installer.export(workspace, versions):
            if wanted:
                raise EnvironmentBuildError(f"--locked: uv can't read the project's {UV_LOCK}")
            return installer, None
        # What is locked to an address or a directory is no constraint.
        lines = versions.read_text(encoding="utf-8").splitlines()
        held = [line for line in lines if "==" in line.partition(";")[0]]
    else:
        held = constraints_of(lock)
    versions.write_text("".join(f"{line}\n" for line in held), encoding="utf-8")
    return installer.held_to(str(versions)), lock.name


def constraints_of(lock: Path) -> list[str]:
    """Return the versions that a lock file holds, one ``name==version ; marker`` a line.

    Left out are packages from elsewhere than an index, and names with several versions of which
    the file doesn't say when which is meant. ``uv.lock`` is read by uv itself.

    Raises:
        ProjectError: it can't be read.

    """
    found: dict[str, dict[str, str]] = {}
    for package in _packages(lock):
        name, version = package.get("name"), package.get("version")
        if not (isinstance(name, str) and isinstance(version, str)) or _is_from_elsewhere(package):
            continue
        held = f"{canonicalize_name(name)}=={version.removeprefix('==')}"
        found.setdefault(canonicalize_name(name), {})[held] = _marker_of(package)
    return [
        f"{held} ; {marker}" if marker else held
        for versions in found.values()
        if len(versions) == 1 or all(versions.values())
        for held, marker in versions.items()
    ]


def _packages(lock: Path) -> Iterator[dict[str, Any]]:
    if lock.name == "Pipfile.lock":
        document = _read_json(lock)
        for group in ("default", "develop"):
            table = document.get(group)
            for name, package in table.items() if isinstance(table, dict) else ():
                if isinstance(package, dict):
                    yield {**package, "name": name}
        return
    document = read_toml(lock)
    packages = document.get("packages" if lock.name == "pylock.toml" else "package")
    yield from (each for each in (packages or ()) if isinstance(each, dict))


def _read_json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (*NOT_PARSED, OSError) as error:
        raise ProjectError(
            f"{path}: can't be read: {reason(error)}; lock the project again"
        ) from error
    return document if isinstance(document, dict) else {}


def _is_from_elsewhere(package: dict[str, Any]) -> bool:
    source = package.get("source")
    kind = source.get("type") if isinstance(source, dict) else None
    return kind in _ELSEWHERE or any(package.get(key) for key in _ELSEWHERE)


def _marker_of(package: dict[str, Any]) -> str:
    """Return when the version is meant; "" for always, or where groups of Poetry differ."""
    marker = package.get("marker") or package.get("markers")
    if isinstance(marker, dict):
        values = {str(each) for each in marker.values()}
        marker = values.pop() if len(values) == 1 else None
    if not isinstance(marker, str):
        return ""
    try:
        return str(Marker(marker))
    except InvalidMarker:
        return ""
