"""Distributions are built, and put to the trial of a bare environment; both by uv."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lionagi_qe.agents.environment import process
from lionagi_qe.agents.environment.installer import Installer, variables_for
from lionagi_qe.errors import EnvironmentBuildError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lionagi_qe.agents.base import Examination
    from lionagi_qe.agents.project.workspace import Workspace

BUILD_TIMEOUT = 900.0
_IMPORT_TIMEOUT = 120.0
# What the building of distributions has no use for, and its values.
_NOT_OF_BUILDS = frozenset({"--constraint", "--no-sources-package"})
_BACKEND_FAILED = re.compile(
    r"build backend returned an error|Call to `.*` failed|Failed to parse|is not valid|invalid",
    re.IGNORECASE,
)
# The machine, the network or the index, rather than the project.
_OUT_OF_REACH = re.compile(
    r"Failed to (fetch|download)|error sending request|dns error|timed out|certificate|"
    r"not found in the (package registry|provided package locations|cache)|"
    r"Failed to resolve requirements from|No space left|network",
    re.IGNORECASE,
)
_IMPORTS = """
import importlib, json, sys
failed = {}
for name in json.loads(sys.argv[1]):
    try:
        importlib.import_module(name)
    except BaseException as error:
        failed[name] = f"{type(error).__name__}: {error}"
    print(json.dumps([name, failed.get(name)]), file=sys.__stderr__, flush=True)
"""


class NotTried(Exception):  # noqa: N818 - it is told, as a reason
    """It could not be tried; the text says why."""


@dataclass(frozen=True, slots=True)
class Built:
    """What a build made: files, or what the backend complained of."""

    files: tuple[Path, ...] = ()
    complaint: str | None = None

    @property
    def wheel(self) -> Path:
        """The wheel; StopIteration without one."""
        return next(path for path in self.files if path.suffix == ".whl")


async def build(examination: Examination, workspace: Workspace) -> Built:
    """Build an sdist, and a wheel from it, in a workspace.

    Raises:
        NotTried: uv is not at hand, or what the build needs.

    """
    installer = Installer.find().for_build_of(workspace).configured()
    if installer.name != "uv":
        raise NotTried("distributions are built by uv, which is not at hand")
    out = workspace.artifacts / "distributions"
    out.mkdir()
    completed = await process.run(
        [*installer.program, "build", *_words(installer), "--out-dir", str(out), "."],
        cwd=workspace.source,
        env=variables_for(workspace),
        log=workspace.artifacts / "build.log",
        timeout=examination.seconds(BUILD_TIMEOUT),
        installs=[out],
        reads=installer.files(),
    )
    files = tuple(sorted(each for each in out.iterdir() if each.suffix in {".whl", ".gz", ".zip"}))
    if completed.exit_code == 0 and any(path.suffix == ".whl" for path in files):
        return Built(files)
    said = workspace.shown(completed.output)
    complaint = _complaint(said) or f"the build {completed.how}"
    if (
        completed.exit_code is None
        or _OUT_OF_REACH.search(said)
        or not _BACKEND_FAILED.search(said)
    ):
        raise NotTried(f"the project was not built: {complaint}")
    return Built(complaint=complaint)


@dataclass(frozen=True, slots=True)
class Trial:
    """Module -> why it can't be imported, of those that can't."""

    failed: dict[str, str]


async def try_out(  # noqa: PLR0913 - keyword-only
    examination: Examination,
    workspace: Workspace,
    *,
    name: str,
    requirements: Sequence[str],
    modules: Sequence[str],
    resolution: str | None = None,
) -> Trial:
    """Install requirements into a new environment and import modules there.

    Where they can't be installed, none of the modules can be imported.

    Args:
        examination: for its limits.
        workspace: holds the environment.
        name: of the environment.
        requirements: a wheel among them.
        modules: to import.
        resolution: of uv; None for its own.

    Raises:
        NotTried: the index can't be reached, or the time was up.

    """
    installer = Installer.find().configured()
    if resolution is not None:
        installer = installer.with_settings("--resolution", resolution)
    python = await installer.create(
        workspace.root / name, workspace, str(examination.environment.python)
    )
    try:
        await installer.install(
            python, requirements, workspace, timeout=examination.seconds(BUILD_TIMEOUT)
        )
    except EnvironmentBuildError as error:
        said = (workspace.artifacts / "install.log").read_text("utf-8", errors="replace")
        told = workspace.shown(str(error).partition("; mend the")[0])
        if _OUT_OF_REACH.search(said) or "was stopped" in told:
            raise NotTried(told) from error
        return Trial(dict.fromkeys(modules, told))
    return Trial(await _imports(examination, workspace, python, modules))


async def _imports(
    examination: Examination, workspace: Workspace, python: Path, modules: Sequence[str]
) -> dict[str, str]:
    completed = await process.run(
        [str(python), "-I", "-c", _IMPORTS, json.dumps([*modules])],
        cwd=workspace.temporary,
        env=process.allowed_environment(examination.settings.pass_env)
        | {"HOME": str(workspace.home), "TMPDIR": str(workspace.temporary)},
        log=workspace.artifacts / "imports.log",
        timeout=examination.seconds(_IMPORT_TIMEOUT),
    )
    told: dict[str, str | None] = {}
    for line in completed.output.splitlines():
        if line.startswith("["):
            try:
                name, failure = json.loads(line)
            except ValueError:
                # A module's own output.
                continue
            told[name] = failure
    # One that ends the process takes those after it along: they are tried in another one.
    left = [name for name in modules if name not in told]
    failed = {name: workspace.shown(why) for name, why in told.items() if why is not None}
    if left:
        failed[left[0]] = f"the process {completed.how} as it was imported"
        if completed.stopped is not None:
            raise NotTried(f"the import of {left[0]} was stopped: {completed.stopped}")
        failed |= await _imports(examination, workspace, python, left[1:]) if left[1:] else {}
    return failed


def _words(installer: Installer) -> list[str]:
    words = iter(installer.settings)
    kept: list[str] = []
    for word in words:
        if word in _NOT_OF_BUILDS:
            next(words, None)
        else:
            kept.append(word)
    return kept


def _complaint(output: str) -> str | None:
    """Return what uv and the build's own traceback say last, on one line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    named = [line for line in lines if re.match(r"[\w.]*(Error|Exception|error|cause)\b.*:", line)]
    return " / ".join(dict.fromkeys(named[:2] + named[-1:]))[:500] if named else None
