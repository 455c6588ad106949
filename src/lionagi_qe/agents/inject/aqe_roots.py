"""Lets every process of an environment find the project in the copy, whatever variables it has.

Started by ``~aqe_roots.pth``, which comes after all others: ``*-nspkg.pth`` of old namespace
packages make these before anything is imported, and where they look. What is installed of the
project has no sources, or in an interpreter of the user's own leads to the user's tree (there the
launcher imports this), so they have to look in the copy first.

A process that was started without AQE_ROOTS (``env={}``) takes those of the process of the same
environment that started it, as Linux tells them.
"""

from __future__ import annotations

import os
import sys


def _roots() -> list[str]:
    if "AQE_ROOTS" in os.environ:
        return [root for root in os.environ["AQE_ROOTS"].split(os.pathsep) if root]
    process = os.getppid()
    while process:
        try:
            with open("/proc/%d/environ" % process, "rb") as file:  # noqa: PTH123, UP031
                lines = file.read().split(b"\0")
            with open("/proc/%d/stat" % process, "rb") as file:  # noqa: PTH123, UP031
                # The name before it, in parentheses, may hold anything.
                process = int(file.read().rpartition(b")")[2].split()[1])
        except OSError:
            # Another user's, one that has ended, or a system that doesn't tell.
            return []
        variables = dict(line.split(b"=", 1) for line in lines if b"=" in line)
        if b"AQE_ROOTS" in variables and _is_here(variables.get(b"VIRTUAL_ENV", b"")):
            roots = os.fsdecode(variables[b"AQE_ROOTS"])
            return [root for root in roots.split(os.pathsep) if root]
    return []


def _is_here(environment: bytes) -> bool:
    """Whether this process is of an environment: not of one that a run within a run has made."""
    return os.path.realpath(os.fsdecode(environment)) == os.path.realpath(sys.prefix)


def _find() -> None:
    roots = _roots()
    sys.path += [root for root in roots if root not in sys.path]
    for name, module in list(sys.modules.items()):
        places = getattr(module, "__path__", None)
        # Of a package, a *-nspkg.pth makes the module and doesn't run it.
        has_run = hasattr(module, "__builtins__")
        if places is None or (has_run and getattr(module, "__file__", None) is not None):
            continue
        for root in reversed(roots):
            place = os.path.join(root, *name.split("."))  # noqa: PTH118
            if os.path.isdir(place) and place not in places:  # noqa: PTH112
                places = [place, *places]
                module.__path__ = places


_find()
