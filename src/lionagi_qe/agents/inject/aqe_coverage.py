"""Combines coverage.py's data and writes its JSON report: two commands in one start of Python.

``aqe_coverage RCFILE OUT``: as ``coverage combine`` and ``coverage json -i``. Runs in the target's
interpreter, beside the coverage.py that wrote the data. OUT.earlier may be a report of an earlier
run; see ``aqe_report``.

``aqe_coverage RCFILE OUT merge``: one data file of those that sessions side by side have written,
each in a copy of the project, and all that ``conclude`` makes of it.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from importlib import import_module
from pathlib import Path


def main() -> int:
    """Combine, and write the report; what coverage.py says against it goes to stderr."""
    from coverage import Coverage
    from coverage.exceptions import CoverageException

    rcfile, out, *merging = sys.argv[1:]
    import_module("aqe_coverage_settings").adopt(rcfile)
    if merging:
        try:
            _merge(rcfile)
            conclude(rcfile, out, contexts="AQE_CONTEXTS" in os.environ, of_tests=False)
        except CoverageException as error:
            sys.stderr.write(f"{error}\n")
            return 1
        return 0
    coverage = Coverage(config_file=rcfile)
    try:
        coverage.combine(strict=True)
        coverage.save()
        import_module("aqe_report").write(coverage, rcfile, out, out + ".earlier")
    except CoverageException as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _merge(rcfile: str) -> None:
    """Combine all data files into one, as if one process had measured what they hold."""
    from coverage import Coverage

    data_file = Path(str(Coverage(config_file=rcfile).get_option("run:data_file")))
    paths = [str(path) for path in sorted(data_file.parent.glob(data_file.name + ".*"))]
    merged = str(data_file.parent / "merged.data")
    coverage = Coverage(config_file=rcfile, data_file=merged)
    coverage.combine(data_paths=paths, strict=True)
    coverage.save()
    # Named as a part, so that others who combine find it.
    os.replace(merged, str(data_file) + ".merged")  # noqa: PTH105


def conclude(rcfile: str, out: str, *, contexts: bool, of_tests: bool = True) -> None:
    """Write the report in the process that was measured, which saves a start of Python.

    OUT.contexts gets what ``aqe_contexts`` writes, if asked for. The data files stay as they are,
    and OUT.done comes last: {"parts": {name of a data file: [size, time of change]}, "seconds"};
    the seconds are those within the tests' process, so 0 unless ``of_tests``. Without it, or when
    there are other data files by then, others have to make the report.
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
    import_module("aqe_report").write(coverage, rcfile, out, out + ".earlier")
    if contexts:
        data = CoverageData(basename=combined)
        data.read()
        import_module("aqe_contexts").write(data, out + ".contexts")
    seconds = time.monotonic() - began if of_tests else 0.0
    done = json.dumps({"parts": parts, "seconds": seconds})
    Path(out + ".done").write_text(done, encoding="utf-8")


def _state(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


if __name__ == "__main__":
    sys.exit(main())
