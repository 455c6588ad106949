"""Writes which test ran which line, from coverage.py's data, as one JSON document.

``aqe_contexts DATA OUT``: OUT gets {"tests": [id], "files": {path: {"lines": {line: [index of a
test]}, "imported": [line]}}}; "imported" ran outside any test, while files were imported. Runs in
the target's interpreter, beside the coverage.py that wrote the data.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coverage import CoverageData


def main() -> None:
    """Read the data and write the document."""
    from coverage import CoverageData

    data = CoverageData(basename=sys.argv[1])
    data.read()
    write(data, sys.argv[2])


def write(data: CoverageData, path: str) -> None:
    """Write the document of data that were read."""
    tests: dict[str, int] = {}
    files = {}
    for name in data.measured_files():
        lines = {}
        imported = []
        for line, contexts in data.contexts_by_lineno(name).items():
            if line <= 0:
                # coverage.py's sign for entering or leaving a block.
                continue
            named = [tests.setdefault(test, len(tests)) for test in contexts if test]
            if named:
                lines[line] = sorted(named)
            if "" in contexts:
                imported.append(line)
        files[name] = {"lines": lines, "imported": sorted(imported)}
    with open(path, "w", encoding="utf-8") as out:  # noqa: PTH123 - as the other plugins
        json.dump({"tests": list(tests), "files": files}, out)


if __name__ == "__main__":
    main()
