"""Writes coverage.py's JSON report, analysing only files that an earlier report does not tell of.

What coverage.py says of a file follows from its source, from which lines and jumps of it ran, and
from the settings. The report holds a digest of these for each file under "digests"; where that is
the same as in the earlier report, so is what it says. Most of a report's time goes into parsing.

Old syntax and the standard library alone, as in ``aqe_launch``.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from coverage import Coverage, CoverageData

# Of coverage.py's totals those that are sums.
_SUMS = ("covered_lines", "num_statements", "missing_lines", "excluded_lines")
_BRANCH_SUMS = ("covered_branches", "num_branches", "missing_branches", "num_partial_branches")
_SETTINGS = (
    *("report:exclude_lines", "report:partial_branches", "report:partial_branches_always"),
    *("report:omit", "report:include", "report:precision"),
)

# Of sources: what takes about a tenth of a second to analyse.
_LEAST_BYTES = 50_000.0


def write(coverage: Coverage, rcfile: str, out: str, earlier: str) -> None:
    """Write the report of the data that are loaded.

    Args:
        coverage: which has read or combined them.
        rcfile: its configuration.
        out: path of the report: coverage.py's document, of its totals only the counts.
        earlier: path of an earlier report; there may be none.

    """
    data = coverage.get_data()
    names = sorted(data.measured_files())
    digests = _digests(coverage, data, names)
    known = _read(earlier)
    old_digests, old_files = known.get("digests", {}), known.get("files", {})
    unchanged = {name for name in digests if digests[name] == old_digests.get(name)}
    changed = [name for name in names if _relative(name) not in unchanged]
    documents = _analysed_in_shares(coverage, rcfile, changed, out) if changed else []
    files = {name: old_files[name] for name in unchanged if name in old_files}
    for document in documents:
        files.update(document.get("files", {}))
    if not files:
        # As coverage.py would, in its own words.
        coverage.json_report(outfile=out, ignore_errors=True)
        return
    document = {
        "meta": next((each["meta"] for each in documents if each), None) or known["meta"],
        "files": {name: files[name] for name in sorted(files)},
        "totals": _totals(files.values()),
        "digests": digests,
    }
    with open(out, "w", encoding="utf-8") as target:  # noqa: PTH123
        target.write(json.dumps(document))


def _analysed_in_shares(
    coverage: Coverage, rcfile: str, names: list[str], out: str
) -> list[dict[str, Any]]:
    """Return coverage.py's own reports of some files; each process makes one of a share of them."""
    own = os.getpid()
    data_file = coverage.get_data().data_filename()

    def analysed(share: list[str]) -> dict[str, Any]:
        if os.getpid() == own:
            return _analysed(coverage, share, out)
        # In a fork, coverage.py's object for the data would delete their file to begin a new one.
        from coverage import Coverage

        another = Coverage(config_file=rcfile, data_file=data_file)
        another.load()
        return _analysed(another, share, out)

    sizes = {name: float(_size(name)) for name in names}
    return import_module("aqe_shares").done_in_shares(analysed, sizes, _LEAST_BYTES)


def _size(name: str) -> int:
    try:
        return os.stat(name).st_size  # noqa: PTH116
    except OSError:
        return 0


def _analysed(coverage: Coverage, names: list[str], out: str) -> dict[str, Any]:
    """Return coverage.py's own report of some files; {} if it leaves them all out."""
    from coverage.exceptions import NoDataError

    part = f"{out}.{os.getpid()}.part"
    try:
        with _short_ways() as taken:
            coverage.json_report(morfs=names, outfile=part, ignore_errors=True)
    except NoDataError:
        return {}
    return taken[0] if taken else _read(part)


class _Taking:
    """What coverage.py's reporter calls ``json``; its document is taken and not written."""

    def __init__(self) -> None:
        self.taken: list[dict[str, Any]] = []

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever json has
        return getattr(json, name)

    def dump(self, document: dict[str, Any], *_: Any, **__: Any) -> None:  # noqa: ANN401
        self.taken.append(document)


@contextmanager
def _short_ways() -> Generator[list[dict[str, Any]]]:
    """Have coverage.py leave out what nobody reads: its text, and sums of classes.

    That is a tenth of a report's time. A release that is made otherwise does all of it.
    """
    taking = _Taking()
    changed: list[tuple[Any, str, Any]] = []
    for module, path, value in (
        ("coverage.jsonreport", ("json",), taking),
        ("coverage.python", ("PythonFileReporter", "code_region_kinds"), _functions_alone),
    ):
        holder = import_module(module)
        for name in path[:-1]:
            holder = getattr(holder, name, None)
        if hasattr(holder, path[-1]):
            changed.append((holder, path[-1], getattr(holder, path[-1])))
            setattr(holder, path[-1], value)
    try:
        yield taking.taken
    finally:
        for holder, name, value in changed:
            setattr(holder, name, value)


def _functions_alone(_reporter: object) -> list[tuple[str, str]]:
    return [("function", "functions")]


def _digests(coverage: Coverage, data: CoverageData, names: Iterable[str]) -> dict[str, str]:
    """Return name in the report -> digest, of files whose report depends on nothing else."""
    from coverage import __version__

    if coverage.get_option("run:plugins"):
        # Whatever they read.
        return {}
    settings = [str(coverage.get_option(name)) for name in _SETTINGS]
    common = repr([__version__, sys.version, data.has_arcs(), settings]).encode()
    digests = {}
    for name in names:
        relative = _relative(name)
        if relative is None or data.file_tracer(name):
            continue
        ran = data.arcs(name) if data.has_arcs() else data.lines(name)
        digest = hashlib.sha256(common)
        digest.update(repr(sorted(ran or ())).encode())
        try:
            with open(name, "rb") as source:  # noqa: PTH123
                digest.update(source.read())
        except OSError:
            # Code that has no file, or none any more.
            continue
        digests[relative] = digest.hexdigest()
    return digests


def _relative(name: str) -> str | None:
    """Return a file's name in the report, where the report does not name its place."""
    here = os.path.realpath(os.curdir) + os.sep
    return name[len(here) :] if name.startswith(here) else None


def _totals(files: Iterable[dict[str, Any]]) -> dict[str, int]:
    summaries = [file["summary"] for file in files]
    names = [*_SUMS, *(_BRANCH_SUMS if "num_branches" in summaries[0] else ())]
    return {name: sum(summary[name] for summary in summaries) for name in names}


def _read(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123
            return json.load(file)
    except (OSError, ValueError):
        # None there, or half of one.
        return {}
