"""Which of the lines that changed since the base ran in the tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.coverage.line_ranges import as_text, posix

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lionagi_qe.agents.project.diff import Diff


@dataclass(frozen=True, slots=True)
class ChangedLines:
    """Lines of code that are new or changed since a commit.

    Attributes:
        ref: the commit, as it was named.
        total: how many there are.
        missed: file -> those that no test ran, as ``line_ranges.as_text`` writes them.
        covered: how many ran.
    """

    ref: str
    total: int
    covered: int
    missed: Mapping[str, str]

    @classmethod
    def of(cls, report: Mapping[str, Any], diff: Diff) -> ChangedLines:
        """Return the changed lines that coverage.py's JSON report counts as code."""
        covered, total = 0, 0
        missed: dict[str, str] = {}
        for name, file in sorted(report["files"].items()):
            path = posix(name)
            added = diff.added(path)
            ran = added.intersection(file["executed_lines"])
            untested = added.intersection(file["missing_lines"]) - ran
            covered += len(ran)
            total += len(ran) + len(untested)
            if untested:
                missed[path] = as_text(untested)
        return cls(diff.ref, total, covered, missed)
