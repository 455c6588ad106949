"""Has coverage.py read sources before it is known which of their lines ran.

To parse the sources takes most of a report's time, and needs nothing of the tests. What is read
stays with the objects of coverage.py that stand for the files; a report then asks for these. Where
a version of coverage.py has no such objects, or not where this looks for them, the report takes the
time that it takes. Old syntax and the standard library alone, as in ``aqe_launch``.
"""

from __future__ import annotations

import os
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from coverage import Coverage
    from coverage.plugin import FileReporter


class Analyses:
    """What was read: of each file coverage.py's object, and the file's state by then."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[list[int], FileReporter]] = {}

    def read(self, coverage: Coverage, is_over: Callable[[], bool]) -> None:
        """Read the code to measure until all of it is read, or there is no more time for it.

        Args:
            coverage: whose configuration says what that is.
            is_over: called before each file.

        """
        if not hasattr(coverage, "_get_file_reporter") or coverage.get_option("run:plugins"):
            # Plugins read what they like.
            return
        coverage.get_data()
        for path in _sources(coverage):
            if is_over():
                return
            try:
                state = _state(path)
                self._known[path] = state, _analysed(coverage, path)
            except Exception:  # noqa: BLE001, S112
                # What is wrong with a file is told by the report, which reads it again.
                continue

    def use_in(self, coverage: Coverage) -> None:
        """Let a report take what was read of the files that did not change since."""
        if not self._known:
            return
        anything: Any = coverage
        reporter_of = anything._get_file_reporter  # noqa: SLF001

        def known_or_new(path: str) -> FileReporter:
            state, known = self._known.get(path, (None, None))
            return reporter_of(path) if known is None or state != _state(path) else known

        anything._get_file_reporter = known_or_new  # noqa: SLF001


def _analysed(coverage: Coverage, path: str) -> FileReporter:
    anything: Any = coverage
    reporter = anything._get_file_reporter(path)  # noqa: SLF001
    for part in ("lines", "excluded_lines", "arcs", "exit_counts", "no_branch_lines"):
        getattr(reporter, part)()
    regions = list(reporter.code_regions())
    reporter.code_regions = lambda: regions
    if hasattr(reporter.parser, "_ast_root"):
        # All that is made of it is made, and it takes a hundred times the file's size.
        reporter.parser._ast_root = None  # noqa: SLF001
    return reporter


def _sources(coverage: Coverage) -> Iterator[str]:
    sources: Any = coverage.get_option("run:source") or ()
    left_out: Any = coverage.get_option("run:omit") or ()
    for source in sources:
        for folder, _, names in os.walk(str(source)):
            for name in sorted(names):
                path = os.path.join(folder, name)  # noqa: PTH118
                if name.endswith(".py") and not any(fnmatch(path, each) for each in left_out):
                    yield path


def _state(path: str) -> list[int]:
    """Return what changes with a file; nothing of one that is not there."""
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        return []
    return [status.st_ino, status.st_size, status.st_mtime_ns]
