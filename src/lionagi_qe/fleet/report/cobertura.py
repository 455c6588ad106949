"""What tests ran as Cobertura's XML, which GitLab shows at the lines of a change.

Lines, branches and rates are those that ``coverage xml`` writes for the same data; the form is that
of Cobertura's ``coverage-04.dtd``, which has no attribute for where a missed branch leads.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from lionagi_qe.agents.coverage.line_ranges import of_text
from lionagi_qe.display import spelled_out

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lionagi_qe.fleet.run import Outcome

_DTD = "http://cobertura.sourceforge.net/xml/coverage-04.dtd"
_DOCTYPE = f'<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE coverage SYSTEM "{_DTD}">\n'


@dataclass(slots=True)
class _Counts:
    lines: int = 0
    lines_covered: int = 0
    branches: int = 0
    branches_covered: int = 0

    def add(self, file: Mapping[str, int]) -> None:
        self.lines += file["lines"]
        self.lines_covered += file["lines_covered"]
        self.branches += file["branches"]
        self.branches_covered += file["branches_covered"]

    def rates(self) -> dict[str, str]:
        return {
            "line-rate": _rate(self.lines_covered, self.lines),
            "branch-rate": _rate(self.branches_covered, self.branches),
            "complexity": "0",
        }


def as_cobertura(outcome: Outcome) -> bytes:
    """Return the document: files by directory, their names relative to the project's directory.

    Where coverage was not measured it has no file, and says why in a comment.
    """
    files: list[dict[str, Any]] = outcome.detail("coverage-analyzer", "files")
    measured: Mapping[str, Any] = outcome.detail("coverage-analyzer", "measured_lines") or {}
    line_coverage = outcome.metric("line_coverage")
    total = _counted(files)
    root = ET.Element(
        "coverage",
        {
            "version": (line_coverage and line_coverage.version) or "",
            "timestamp": str(int(outcome.at.timestamp() * 1000)),
            "lines-valid": str(total.lines),
            "lines-covered": str(total.lines_covered),
            "branches-valid": str(total.branches),
            "branches-covered": str(total.branches_covered),
            **total.rates(),
        },
    )
    if not files:
        # Nothing of nothing is 100 % for coverage.py, which refuses to write it.
        root.attrib |= {"line-rate": "0", "branch-rate": "0"}
        reason = line_coverage.reason if line_coverage else "coverage-analyzer did not run"
        # Two hyphens would end an XML comment.
        root.append(ET.Comment(f" not measured: {spelled_out(str(reason)).replace('--', '- -')} "))
    sources = ET.SubElement(root, "sources")
    ET.SubElement(sources, "source").text = spelled_out(str(outcome.path))
    packages = ET.SubElement(root, "packages")
    for directory, members in sorted(_by_directory(files).items()):
        name = directory.replace("/", ".")
        package = ET.SubElement(packages, "package", {"name": name} | _counted(members).rates())
        classes = ET.SubElement(package, "classes")
        for file in members:
            _add_class(classes, file, measured[file["file"]])
    ET.indent(root)
    return _DOCTYPE.encode() + ET.tostring(root, encoding="utf-8") + b"\n"


def _add_class(classes: ET.Element, file: Mapping[str, Any], measured: Mapping[str, Any]) -> None:
    name = spelled_out(file["file"])
    names = {"name": PurePosixPath(name).name, "filename": name}
    element = ET.SubElement(classes, "class", names | _counted([file]).rates())
    ET.SubElement(element, "methods")
    lines = ET.SubElement(element, "lines")
    hits = dict.fromkeys(of_text(measured["ran"]), 1) | dict.fromkeys(
        of_text(measured["missed"]), 0
    )
    branches = {line: (total, taken) for line, total, taken in measured.get("branches", ())}
    for line in sorted(hits):
        entry = ET.SubElement(lines, "line", number=str(line), hits=str(hits[line]))
        if line in branches:
            total, taken = branches[line]
            entry.set("branch", "true")
            entry.set("condition-coverage", f"{100 * taken // total}% ({taken}/{total})")


def _by_directory(files: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    directories: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for file in files:
        directories[str(PurePosixPath(spelled_out(file["file"])).parent)].append(file)
    return directories


def _counted(files: Iterable[Mapping[str, int]]) -> _Counts:
    counts = _Counts()
    for file in files:
        counts.add(file)
    return counts


def _rate(covered: int, total: int) -> str:
    """Return a share as coverage.py writes it: 0 and 1 are never the result of rounding."""
    if covered == total:
        return "1"
    if covered == 0:
        return "0"
    return f"{min(max(covered / total, 0.0001), 0.9999):.4g}"
