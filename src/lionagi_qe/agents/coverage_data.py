"""What coverage.py measured, as plain data: the test run may have been on another machine."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.coverage_settings import DATA_FILE, write_rcfile

if TYPE_CHECKING:
    from lionagi_qe.agents.base import Examination, Findings
    from lionagi_qe.agents.workspace import Workspace


def collected(workspace: Workspace) -> dict[str, Any]:
    """Return the data files of a test run in this workspace, and where the code was."""
    files = sorted(workspace.artifacts.glob(f"{DATA_FILE}*"))
    return {
        "source": str(workspace.source),
        "files": {file.name: base64.b64encode(file.read_bytes()).decode() for file in files},
    }


def put_in_place(examination: Examination, tests: Findings | None) -> None:
    """Let coverage.py find the data of a test run that was not in this workspace."""
    workspace = examination.workspace
    carried = {} if tests is None else tests.details.get("coverage", {})
    if not carried or carried["source"] == str(workspace.source):
        return
    for name, content in carried["files"].items():
        (workspace.artifacts / name).write_bytes(base64.b64decode(content))
    write_rcfile(workspace, examination.environment, carried["source"])
