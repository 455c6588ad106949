"""Compiles what tests are about to import, on the core that the rest of a run leaves idle.

An environment has no compiled modules when it is new, and the first tests would wait for those of
pytest and coverage.py, which takes up to a third of a second.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from lionagi_qe.agents.environment.process import allowed_environment
from lionagi_qe.agents.project.built_files import sites_of
from lionagi_qe.agents.project.cores import usable_cores
from lionagi_qe.agents.project.isolation import isolation

if TYPE_CHECKING:
    from pathlib import Path

    from lionagi_qe.agents.project.workspace import Workspace

# In the order in which a measured run imports them.
_PACKAGES = ("coverage", "pytest", "_pytest", "pluggy", "iniconfig", "packaging")


def compile_beside(python: Path, workspace: Workspace) -> None:
    """Begin to compile pytest and coverage.py in a new environment; return at once.

    The process reads these packages and imports none. It has ended by itself long before, or is
    ended with the workspace. Nothing is done where the tests are isolated, whose environment may
    hold what others made of it, or on one core. What can't be compiled is nobody's concern: who
    imports it meets the same error.

    Args:
        python: the environment's interpreter.
        workspace: of the run.

    """
    if isolation() is not None or usable_cores() == 1:
        return
    packages = [
        str(site / name)
        for site in sites_of(python.parents[1])
        for name in _PACKAGES
        if (site / name).is_dir()
    ]
    compiling = subprocess.Popen(  # noqa: S603 - the interpreter that we have just laid out
        [str(python), "-I", "-S", "-m", "compileall", "-q", *packages],
        cwd=workspace.artifacts,
        env=allowed_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    workspace.at_end.callback(_end, compiling)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
