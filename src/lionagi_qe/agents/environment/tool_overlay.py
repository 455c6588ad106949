"""Tools for a target interpreter in a directory of their own, so that it is left as it is."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sysconfig
import uuid
from typing import TYPE_CHECKING

from lionagi_qe.agents.environment.cache_directory import hold, own_root, release
from lionagi_qe.agents.environment.installer import Installer
from lionagi_qe.files import make_directories

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from lionagi_qe.agents.project.workspace import Workspace

# Raise when tools are installed differently, so that old ones are not used.
_RECIPE = "1"


async def tool_overlay_of(
    tools: Sequence[str],
    python: Path,
    tag: str,
    workspace: Workspace,
    tell: Callable[[str], None],
) -> Path:
    """Return a directory with tools for interpreters like this one, installed the first time.

    Args:
        tools: requirements (PEP 508).
        python: an interpreter of that kind.
        tag: its implementation and version, as ``probe`` says.
        workspace: whose directories the installer may use.
        tell: called before anything that takes long.

    Raises:
        EnvironmentBuildError: they could not be installed.

    """
    cache = own_root() / "tools"
    key = hashlib.sha256(" ".join([_RECIPE, *tools, sysconfig.get_platform()]).encode())
    target = cache / f"{tag}-{key.hexdigest()[:12]}"
    if target.is_dir() and hold(target):
        with contextlib.suppress(OSError):
            # When it was last used; the directory may be another user's.
            os.utime(target)
        return target
    make_directories(cache)
    unfinished = cache / uuid.uuid4().hex
    hold(unfinished, unmade=True)
    installer = Installer.find().configured()
    tell(f"installing {' and '.join(tools)} for {tag} with {installer.name} {installer.version}")
    try:
        await installer.install(python, tools, workspace, target=unfinished)
        if not target.is_dir():
            unfinished.rename(target)
        hold(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
        release(unfinished)
    return target
