"""What an interpreter is, asked of itself."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.environment.process import allowed_environment
from lionagi_qe.agents.project.isolation import ask
from lionagi_qe.errors import ProjectError

if TYPE_CHECKING:
    from pathlib import Path

# What our own environment, if we run in one, is made of.
OWN_BASE = getattr(sys, "_base_executable", None) or sys.executable
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
# Without the packages that lie there, so that it is soon done.
_IDENTITY = """
import json, sys
print(json.dumps({"version": "%d.%d.%d" % sys.version_info[:3], "name": sys.implementation.name,
                  "program": getattr(sys, "_base_executable", None) or sys.executable}))
"""
_PROBE_TIMEOUT = 60


def probe(python: Path) -> dict[str, Any]:
    """Ask an interpreter for its version and which tools it has.

    Raises:
        ProjectError: it is no Python that runs.

    """
    return _answer(python, "-c", _PROBE)


def identity(python: Path) -> tuple[str, str]:
    """Ask an interpreter for its version, three numbers, and the program that it really is.

    What is named may be a script of pyenv, which starts another one in each directory, or stand in
    a virtual environment. Takes a tenth of what ``probe`` does.

    Raises:
        ProjectError: it is no CPython that runs.

    """
    answer = _answer(python, "-IS", "-c", _IDENTITY)
    if answer["name"] != "cpython":
        raise ProjectError(f"{python}: it is {answer['name']}, and no CPython")
    return answer["version"], answer["program"]


def _answer(python: Path, *words: str) -> dict[str, Any]:
    env = {**allowed_environment(), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        answer = ask([str(python), *words], env, timeout=_PROBE_TIMEOUT)
        answer.check_returncode()
        return json.loads(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        # The other errors of subprocess quote the whole program that was to run.
        what = error if isinstance(error, OSError) else "it doesn't answer as one does"
        raise ProjectError(
            f"{python}: no Python interpreter that runs ({what}); "
            "name one, for example --python .venv/bin/python"
        ) from error
