"""Combines coverage.py's data and writes its JSON report: two commands in one start of Python.

``aqe_coverage RCFILE OUT``: as ``coverage combine`` and ``coverage json -i``. Runs in the target's
interpreter, beside the coverage.py that wrote the data. OUT.earlier may be a report of an earlier
run; see ``aqe_report``.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from importlib import import_module
from pathlib import Path


def main() -> int:
    """Combine, and write the report; what coverage.py says against it goes to stderr."""
    from coverage import Coverage
    from coverage.exceptions import CoverageException

    rcfile, out = sys.argv[1:]
    import_module("aqe_coverage_settings").adopt(rcfile)
    coverage = Coverage(config_file=rcfile)
    try:
        coverage.combine(strict=True)
        coverage.save()
        import_module("aqe_report").write(coverage, out, out + ".earlier")
    except CoverageException as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def conclude(rcfile: str, out: str, *, contexts: bool) -> None:
    """Write the report in the process that was measured, which saves a start of Python.

    OUT.contexts gets what ``aqe_contexts`` writes, if asked for. The data files stay as they are,
    and OUT.done comes last: {"parts": {name of a data file: [size, time of change]}, "seconds"}.
    Without it, or when there are other data files by then, others have to make the report.
    """
    from coverage import Coverage, CoverageData

    began = time.monotonic()
    if hasattr(gc, "freeze"):
        # To look through what the tests left again and again takes longer than the report.
        gc.freeze()
    data_file = Path(str(Coverage(config_file=rcfile).get_option("run:data_file")))
    paths = sorted(data_file.parent.glob(data_file.name + ".*"))
    parts = {path.name: _state(path) for path in paths}
    one = len(paths) == 1
    combined = str(paths[0]) if one else out + ".data"
    coverage = Coverage(config_file=rcfile, data_file=combined)
    if one:
        coverage.load()
    else:
        coverage.combine(data_paths=[str(path) for path in paths], strict=True, keep=True)
        coverage.save()
    import_module("aqe_report").write(coverage, out, out + ".earlier")
    if contexts:
        data = CoverageData(basename=combined)
        data.read()
        import_module("aqe_contexts").write(data, out + ".contexts")
    done = json.dumps({"parts": parts, "seconds": time.monotonic() - began})
    Path(out + ".done").write_text(done, encoding="utf-8")


def _state(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


if __name__ == "__main__":
    sys.exit(main())
