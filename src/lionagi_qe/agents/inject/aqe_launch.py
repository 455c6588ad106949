"""Runs a module in a target interpreter, with the fleet's tools behind the target's own.

``python aqe_launch.py RECORD TOOL_OVERLAYS RCFILE REPORT MODULE ARGUMENTS...``; what is empty of
the first four leaves that part out. Runs on every Python that pytest 7 runs on, so it keeps to the
standard library and to old syntax, and imports nothing of the fleet.

RECORD.leaving, written last, tells what may keep the process from ending: the stacks of threads for
which Python waits. Handlers of ``atexit`` come after it.
"""

from __future__ import annotations

import os
import runpy
import sys
import threading
import traceback
from importlib import import_module


def main() -> int | None:
    """Put the tools at the end of ``sys.path``, where they hide nothing, and run the module."""
    record, tool_overlays, rcfile, report, module = sys.argv[1:6]
    arguments = sys.argv[6:]
    process = os.getpid()
    sys.path.append(sys.path.pop(0))
    sys.path.extend(tool_overlays.split(os.pathsep) if tool_overlays else [])
    import_module("aqe_roots")
    if record:
        import_module("aqe_recorder").open_record(record)
    try:
        if rcfile:
            return _measured(rcfile, report, ["-m", module, *arguments])
        sys.argv = [module, *arguments]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        return 0
    finally:
        # A test may have forked, and its child come up to here.
        if record and os.getpid() == process:
            import_module("aqe_recorder").close_record()
            _tell_who_stays(record + ".leaving")


def _tell_who_stays(path: str) -> None:
    frames = sys._current_frames()  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    staying = [
        each.name + ":\n" + "".join(traceback.format_stack(frames[each.ident])[-6:])
        for each in threading.enumerate()
        if each.ident in frames and not each.daemon and each is not threading.main_thread()
    ]
    try:
        with open(path, "w", encoding="utf-8", errors="backslashreplace") as file:  # noqa: PTH123
            file.write("\n".join(staying))
    except OSError as error:
        # The tests may have left this process in any state.
        sys.stderr.write(f"aqe_launch: {error!r}\n")


def _measured(rcfile: str, report: str, arguments: list[str]) -> int | None:
    from coverage.cmdline import main as coverage

    import_module("aqe_coverage_settings").adopt(rcfile)
    place, process = os.getcwd(), os.getpid()  # noqa: PTH109
    contexts = "AQE_CONTEXTS" in os.environ
    code = coverage(["run", "--rcfile=" + rcfile, *arguments])
    # A test may have forked, and its child come up to here.
    if report and os.getpid() == process:
        try:
            # How the tests ended, should this process be stopped while it writes the report.
            with open(report + ".begun", "w", encoding="utf-8") as begun:  # noqa: PTH123
                begun.write(str(code or 0))
            os.chdir(place)
            import_module("aqe_coverage").conclude(rcfile, report, contexts=contexts)
        except Exception as error:  # noqa: BLE001
            # The tests may have left this process in any state; the report is then made elsewhere.
            sys.stderr.write(f"aqe_launch: {error!r}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
