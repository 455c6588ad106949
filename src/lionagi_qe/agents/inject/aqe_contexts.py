"""Writes which test ran which line, from coverage.py's data, as one JSON document.

``aqe_contexts DATA OUT``: OUT gets {"tests": [id], "files": {path: {"lines": {line: [index of a
test]}, "imported": [line]}}}; "imported" ran outside any test, while files were imported. Runs in
the target's interpreter, beside the coverage.py that wrote the data.
"""

from __future__ import annotations

import json
import sys


def main() -> None:
    """Read the data and write the document."""
    from coverage import CoverageData

    data = CoverageData(basename=sys.argv[1])
    data.read()
    tests = {}
    files = {}
    for path in data.measured_files():
        lines = {}
        imported = []
        for line, contexts in data.contexts_by_lineno(path).items():
            if line <= 0:
                # coverage.py's sign for entering or leaving a block.
                continue
            named = [tests.setdefault(name, len(tests)) for name in contexts if name]
            if named:
                lines[line] = sorted(named)
            if "" in contexts:
                imported.append(line)
        files[path] = {"lines": lines, "imported": sorted(imported)}
    with open(sys.argv[2], "w", encoding="utf-8") as out:  # noqa: PTH123 - as the other plugins
        json.dump({"tests": list(tests), "files": files}, out)


if __name__ == "__main__":
    main()
