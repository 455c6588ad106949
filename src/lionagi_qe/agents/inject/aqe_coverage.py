"""Combines coverage.py's data and writes its JSON report: two commands in one start of Python.

``aqe_coverage RCFILE OUT``: as ``coverage combine`` and ``coverage json -i``. Runs in the target's
interpreter, beside the coverage.py that wrote the data.
"""

from __future__ import annotations

import sys


def main() -> int:
    """Combine, and write the report; what coverage.py says against it goes to stderr."""
    from coverage import Coverage
    from coverage.exceptions import CoverageException

    rcfile, out = sys.argv[1:]
    coverage = Coverage(config_file=rcfile)
    try:
        coverage.combine(strict=True)
        coverage.save()
        coverage.json_report(outfile=out, ignore_errors=True)
    except CoverageException as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
