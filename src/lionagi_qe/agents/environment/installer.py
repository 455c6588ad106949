"""Puts packages into an environment, with uv, or with pip where there is no uv."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from venv import EnvBuilder

from lionagi_qe.agents.environment.build_failures import error_of_build
from lionagi_qe.agents.environment.interpreter import OWN_BASE
from lionagi_qe.agents.environment.pip_settings import pip_settings
from lionagi_qe.agents.environment.process import Completed, allowed_environment, run
from lionagi_qe.agents.project.isolated_program import homes_of
from lionagi_qe.agents.project.version_control import version_of
from lionagi_qe.errors import EnvironmentBuildError
from lionagi_qe.files import make_directories
from lionagi_qe.persistence.values.redacted_text import redact_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lionagi_qe.agents.project.workspace import Workspace

# Installers may need the user's indexes, proxies, certificates and caches; tests never see these.
_INSTALLER_VARIABLES = (
    "HOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "LOGNAME",
    "NETRC",
    "NO_PROXY",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "USER",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "http_proxy",
    "https_proxy",
    "no_proxy",
)
_INSTALLER_PREFIXES = ("PIP_", "UV_")
# For copies without a repository to read a version from.
_PRETENDED_VERSIONS = (
    "PBR_VERSION",
    "PDM_BUILD_SCM_VERSION",
    "POETRY_DYNAMIC_VERSIONING_BYPASS",
    "SETUPTOOLS_SCM_PRETEND_VERSION",
)
_UV_INDEXES = ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_NO_INDEX")
UNKNOWN_VERSION = "0.0.0"
# Newer ones have no pkg_resources any more, which builds of earlier years import.
_LAST_WITH_PKG_RESOURCES = "setuptools<81"
# By -P no pip.py of the working directory, which may be the project's, is taken for it.
OUR_PIP = (sys.executable, "-P", "-m", "pip")
_NAMING_FILES = frozenset({"--build-constraints", "--constraint", "--find-links"})
_INSTALL_TIMEOUT = 1800.0
_LONGEST_REASON = 500
# What installers draw around what they say.
_FRAMES = " \u2502\u00d7\u2570\u2500\u25b6\u251c>"
_VERSION_TIMEOUT = 30.0


@dataclass(frozen=True, slots=True)
class Installer:
    """uv or pip.

    Attributes:
        name: "uv" or "pip".
        version: its own.
        program: the start of its command line.
        settings: further words of each installation.
    """

    name: str
    version: str
    program: tuple[str, ...]
    settings: tuple[str, ...] = ()

    @classmethod
    def find(cls) -> Installer:
        """Return uv, the one on PATH or else our own, or the pip beside this interpreter.

        Raises:
            EnvironmentBuildError: there is neither.

        """
        uv = find_uv()
        pip = OUR_PIP if find_spec("pip") is not None else None
        if uv is not None:
            return cls("uv", _version_of([uv, "--version"]), (uv,))
        if pip is not None:
            return cls("pip", _version_of([*pip, "--version"]), pip)
        raise EnvironmentBuildError(
            "neither uv nor pip is at hand to install what the tests need; install uv, "
            f"or run {sys.executable} -m ensurepip"
        )

    def configured(self) -> Installer:
        """Return this installer with what the user has set for pip, which uv doesn't read.

        Raises:
            EnvironmentBuildError: a file of pip's settings can't be read.

        """
        if self.name != "uv":
            return self
        return replace(self, settings=(*self.settings, *as_uv_words(pip_settings())))

    async def create(self, directory: Path, workspace: Workspace, base: str) -> Path:
        """Create a virtual environment of an interpreter, ``base``; return its own interpreter.

        Raises:
            EnvironmentBuildError: that can't be.

        """
        make_directories(directory)
        problem = f"no virtual environment could be created with {base}"
        if base == OWN_BASE:
            # Without a start of Python.
            try:
                await asyncio.to_thread(EnvBuilder(symlinks=True).create, directory)
            except (OSError, ValueError) as error:
                # The latter of a path with what separates paths in PATH.
                raise EnvironmentBuildError(f"{problem}: {error}") from error
            return directory / "bin" / "python"
        completed = await run(
            [base, "-m", "venv", "--without-pip", str(directory)],
            cwd=workspace.root,
            env=variables_for(workspace),
            log=workspace.artifacts / "venv.log",
            timeout=_INSTALL_TIMEOUT,
            installs=[directory],
        )
        check_installed(completed, problem)
        return directory / "bin" / "python"

    async def export(self, workspace: Workspace, target: Path) -> bool:
        """Write the versions of the project's ``uv.lock`` as requirements; False if uv can't."""
        words = ["export", "--quiet", "--frozen", "--all-groups", "--all-extras", "--no-hashes"]
        words += ["--no-emit-workspace", "--no-annotate", "--no-header", "-o", str(target)]
        completed = await run(
            [*self.program, *words],
            cwd=workspace.source,
            env=variables_for(workspace),
            log=workspace.artifacts / "lock.log",
            timeout=_VERSION_TIMEOUT,
        )
        return completed.exit_code == 0

    def held_to(self, *constraints: str) -> Installer:
        """Return this installer with files, or addresses, of versions that it keeps to."""
        return self.with_settings(
            *(word for each in constraints for word in ("--constraint", each))
        )

    def with_settings(self, *words: str) -> Installer:
        """Return this installer with further words of each installation."""
        return replace(self, settings=(*self.settings, *words))

    def without_sources_of(self, names: Iterable[str]) -> Installer:
        """Return this installer heedless of where ``[tool.uv.sources]`` says that these lie."""
        if self.name != "uv":
            return self
        words = [word for name in names for word in ("--no-sources-package", name)]
        return replace(self, settings=(*self.settings, *words))

    def for_build_of(self, workspace: Workspace) -> Installer:
        """Return this installer with a setuptools for builds that the project's setup.py is for.

        Itself where that imports nothing that setuptools has no more, or uv is not at hand.
        """
        setup = workspace.source / "setup.py"
        if self.name != "uv" or not setup.is_file():
            return self
        if not re.search(r"\bpkg_resources\b", setup.read_text(encoding="utf-8", errors="replace")):
            return self
        versions = workspace.artifacts / "build.txt"
        versions.write_text(f"{_LAST_WITH_PKG_RESOURCES}\n")
        return replace(self, settings=(*self.settings, "--build-constraints", str(versions)))

    def files(self) -> list[Path]:
        """Return the files and directories that the user's settings name."""
        following = zip(self.settings, self.settings[1:], strict=False)
        return [
            Path(value)
            for option, value in following
            if option in _NAMING_FILES and "://" not in value
        ]

    async def install(
        self,
        python: Path,
        arguments: Sequence[str],
        workspace: Workspace,
        target: Path | None = None,
        timeout: float = _INSTALL_TIMEOUT,
    ) -> None:
        """Install requirements for an interpreter, into its environment or into ``target``.

        Raises:
            EnvironmentBuildError: with the installer's own complaint, in one line.

        """
        if self.name == "uv":
            command = [*self.program, "pip", "install", "--python", str(python)]
            command += ["--quiet", *self.settings]
        else:
            command = [*self.program, "--python", str(python), "install", "--no-input"]
            command += ["--disable-pip-version-check", "--no-warn-script-location", *self.settings]
        if target is not None:
            make_directories(target)
            command += ["--target", str(target)]
            # The user's own interpreter is not let write beside what it imports.
            command += ["--compile-bytecode"] if self.name == "uv" else []
        elif self.name == "pip":
            # The tests compile what they import, which is mostly little of it.
            command += ["--no-compile"]
        completed = await run(
            [*command, *arguments],
            cwd=workspace.source,
            env=variables_for(workspace),
            log=workspace.artifacts / "install.log",
            timeout=timeout,
            installs=[python.parents[1] if target is None else target],
            reads=[*self.files(), *homes_of(str(python))],
        )
        wanted = workspace.shown(" ".join(arguments))
        check_installed(completed, f"{self.name} could not install {wanted}", workspace)


def find_uv() -> str | None:
    """Return the uv on PATH, else our own; None if there is neither."""
    if found := shutil.which("uv"):
        return found
    try:
        from uv import find_uv_bin

        return find_uv_bin()
    except (ImportError, FileNotFoundError):
        # Not installed with us: there may be no uv for this machine.
        return None


def as_uv_words(settings: Mapping[str, str]) -> tuple[str, ...]:
    """Return pip's settings of indexes and constraints as words of ``uv pip install``.

    uv doesn't read them, and whoever sets an index for pip expects it to be used. What is set for
    uv itself stays first.
    """
    words: list[str] = []
    if not any(name in os.environ for name in _UV_INDEXES):
        if url := settings.get("index-url"):
            words += ["--default-index", url]
        for url in settings.get("extra-index-url", "").split():
            words += ["--index", url]
        if settings.get("extra-index-url"):
            # pip asks all indexes and takes the best version.
            words += ["--index-strategy", "unsafe-best-match"]
        if settings.get("no-index") in {"1", "true", "yes"}:
            words += ["--no-index"]
    for place in settings.get("find-links", "").split():
        words += ["--find-links", place]
    for file in settings.get("constraint", "").split():
        words += ["--constraint", file]
    return tuple(words)


def variables_for(workspace: Workspace) -> dict[str, str]:
    """Return the environment of an installer: with the user's indexes, proxies and caches.

    Its temporary files, of which uv leaves some, go with the workspace.
    """
    temporary = workspace.artifacts / "installing"
    temporary.mkdir(exist_ok=True)
    names = [name for name in os.environ if name.startswith(_INSTALLER_PREFIXES)]
    variables = allowed_environment([*_INSTALLER_VARIABLES, *names])
    variables["TMPDIR"] = str(temporary)
    if "PIP_CERT" in variables:
        variables.setdefault("SSL_CERT_FILE", variables["PIP_CERT"])
    version = version_given(workspace)
    if version is None:
        return variables
    return {**dict.fromkeys(_PRETENDED_VERSIONS, version), **variables}


def version_given(workspace: Workspace) -> str | None:
    """Return the version that builds are given; None where the copy has a repository to ask."""
    if (workspace.source / ".git").exists():
        return None
    return version_of(workspace.source) or version_of(workspace.project) or UNKNOWN_VERSION


def _version_of(command: Sequence[str]) -> str:
    try:
        answer = subprocess.run(  # noqa: S603 - the installer itself
            command,
            capture_output=True,
            check=True,
            text=True,
            timeout=_VERSION_TIMEOUT,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise EnvironmentBuildError(
            f"{command[0]} does not run: {error}; mend it or take it off PATH"
        ) from error
    return answer.stdout.split()[1]


def check_installed(completed: Completed, problem: str, workspace: Workspace | None = None) -> None:
    """Raise EnvironmentBuildError, with the installer's own complaint, unless it succeeded."""
    if completed.exit_code == 0:
        return
    lines = [line.strip(_FRAMES) for line in completed.output.splitlines()]
    error = error_of_build(lines)
    if error is not None:
        reason, wrong = f"the build failed with {error}", "that"
    else:
        reason, wrong = _complaint(lines) or f"it {completed.how}", "the requirement"
    if workspace is not None:
        reason = workspace.shown(reason)
    # An index's or a repository's URL, in a requirement or in what an installer says of it.
    problem, reason = redact_text(problem), redact_text(reason)
    raise EnvironmentBuildError(
        f"{problem}: {reason[:_LONGEST_REASON]}; mend {wrong}, or name an environment that has it "
        "with --python"
    )


def _complaint(lines: Sequence[str]) -> str:
    """Pick the line of an installer's output that tells what went wrong."""
    telling = [
        line for line in lines if line.lower().startswith(("error:", "because", "cause:", "failed"))
    ]
    said = telling or [line for line in lines if line]
    return said[-1] if said else ""
