"""What goes into an environment: what a project declares, and the project itself."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from lionagi_qe.agents.environment.installer import UNKNOWN_VERSION, version_given
from lionagi_qe.agents.project.built_files import installed_version
from lionagi_qe.agents.project.version_control import reads_version
from lionagi_qe.errors import EnvironmentBuildError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from lionagi_qe.agents.environment.installer import Installer
    from lionagi_qe.agents.environment.requirements import Requirements
    from lionagi_qe.agents.project.workspace import Workspace


async def install_declared(
    installer: Installer,
    python: Path,
    workspace: Workspace,
    requirements: Requirements,
    tools: Iterable[str],
) -> list[str]:
    """Install what is declared, our tools, and the project; return what a reader should know.

    Raises:
        EnvironmentBuildError: the installer can't, by any of the ways that there are.

    """
    others = [*requirements.lines, *tools]
    project = [requirements.project] if requirements.installable else []
    if installer.name == "uv" and requirements.files:
        # What can't be done at once is done one by one, which also tells what it is.
        with suppress(EnvironmentBuildError):
            await installer.install(
                python, [*project, *requirements.file_words, *others], workspace
            )
            return _version_notes(python, workspace) if project else []
    notes: list[str] = []
    # Files on their own: pip can't mix hashed requirements with others.
    for file in requirements.files:
        notes += await _install_file(installer, python, workspace, file)
    if project:
        return notes + await _install_project(installer, python, workspace, requirements, others)
    await installer.install(python, others, workspace)
    return notes


async def _install_file(
    installer: Installer, python: Path, workspace: Workspace, file: Path
) -> list[str]:
    """Install a requirement file, or what it was compiled from, where its versions are gone."""
    origin = file.with_suffix(".in")
    try:
        await installer.install(python, ["-r", str(file)], workspace)
    except EnvironmentBuildError as error:
        if file == origin or not origin.is_file():
            raise
        await installer.install(python, ["-r", str(origin)], workspace)
        return [f"{origin.name} was installed instead of {file.name}: {error}"]
    return []


async def _install_project(
    installer: Installer,
    python: Path,
    workspace: Workspace,
    requirements: Requirements,
    others: list[str],
) -> list[str]:
    """Install the project with what it needs, for its metadata, scripts and built files.

    A project that can't be built (an application, say, or for want of a compiler) still gets what
    it and its extras need.
    """
    try:
        await installer.install(python, [requirements.project, *others], workspace)
    except EnvironmentBuildError as error:
        if requirements.dependencies is None:
            raise
        await installer.install(python, [*requirements.dependencies, *others], workspace)
        return [f"the project itself was not installed, its tests run from the sources: {error}"]
    return _version_notes(python, workspace)


def _version_notes(python: Path, workspace: Workspace) -> list[str]:
    """Say where the version comes from of a build that asks version control for it."""
    if not reads_version(workspace.source):
        return []
    built = installed_version(python.parents[1], workspace.source)
    return [] if built is None else [f"version {built} {_origin_of_version(workspace, built)}"]


def _origin_of_version(workspace: Workspace, built: str) -> str:
    """Return where a build that asks version control has its version from, for people."""
    given = version_given(workspace)
    if given is None:
        return "comes from git: the copy has a clone, which borrows your repository's objects"
    if built != given:
        return f"is what the build says itself: the copy has no repository, {given} was offered"
    if given == UNKNOWN_VERSION:
        return "was given to the build: neither git nor PKG-INFO tells a version"
    return "was given to the build, from PKG-INFO or git's last tag: the copy has no repository"
