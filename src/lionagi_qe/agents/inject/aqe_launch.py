"""Runs a module in a target interpreter, with the fleet's tools behind the target's own.

``python aqe_launch.py RECORD OVERLAYS RCFILE MODULE ARGUMENTS...``; an empty RECORD, OVERLAYS or
RCFILE leaves that part out. Runs on every Python that pytest 7 runs on, so it keeps to the standard
library and to old syntax, and imports nothing of the fleet.
"""

from __future__ import annotations

import os
import runpy
import sys
from importlib import import_module


def main() -> int | None:
    """Put the tools at the end of ``sys.path``, where they hide nothing, and run the module."""
    record, overlays, rcfile, module = sys.argv[1:5]
    arguments = sys.argv[5:]
    sys.path.append(sys.path.pop(0))
    sys.path.extend(overlays.split(os.pathsep) if overlays else [])
    if record:
        import_module("aqe_recorder").open_record(record)
    if rcfile:
        from coverage.cmdline import main as coverage

        return coverage(["run", "--rcfile=" + rcfile, "-m", module, *arguments])
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
