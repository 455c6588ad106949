"""What an interpreter is, asked of itself."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.environment.process import allowed_environment
from lionagi_qe.agents.project.isolation import ask
from lionagi_qe.errors import ProjectError

if TYPE_CHECKING:
    from pathlib import Path

_PROBE = """
import json, sys, importlib
found = {}
for name in ("pytest", "coverage"):
    try:
        found[name] = getattr(importlib.import_module(name), "__version__", "unknown")
    except Exception:
        # Also of a tool whose own requirement is the project, half of which is set aside.
        found[name] = None
print(json.dumps({"version": "%d.%d.%d" % sys.version_info[:3], "tools": found,
                  "tag": "%s-%d%d" % ((sys.implementation.name,) + sys.version_info[:2])}))
"""
_PROBE_TIMEOUT = 60


def probe(python: Path) -> dict[str, Any]:
    """Ask an interpreter for its version and which tools it has.

    Raises:
        ProjectError: it is no Python that runs.

    """
    env = {**allowed_environment(), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        answer = ask([str(python), "-c", _PROBE], env, timeout=_PROBE_TIMEOUT)
        answer.check_returncode()
        return json.loads(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        # The other errors of subprocess quote the whole program that was to run.
        what = error if isinstance(error, OSError) else "it doesn't answer as one does"
        raise ProjectError(
            f"{python}: no Python interpreter that runs ({what}); "
            "name one, for example --python .venv/bin/python"
        ) from error
