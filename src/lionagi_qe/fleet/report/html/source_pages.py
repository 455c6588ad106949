"""Which files of the source get a page, and what is told of their lines."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from lionagi_qe.agents.coverage.line_ranges import as_ranges, of_text
from lionagi_qe.agents.finding import of_details
from lionagi_qe.display import spelled_out
from lionagi_qe.fleet.report.html.found_secrets import without_secrets
from lionagi_qe.fleet.report.html.source_lines import FileMarks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lionagi_qe.fleet.run_record import RunRecord

# Of source, in UTF-8: pages take twice as much. Files that have least to tell are left out.
_MOST_BYTES = 5_500_000
_OTHER_SIGNS = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_NAME = 60


@dataclass(frozen=True, slots=True)
class SourcePage:
    """A file's page.

    Attributes:
        file: within the project.
        path: of the page, within the report.
        text: of the file.
        marks: of its lines.
    """

    file: str
    path: str
    text: str
    marks: FileMarks

    @property
    def is_python(self) -> bool:
        """Whether it is Python source."""
        return self.file.endswith((".py", ".pyi"))

    @property
    def missed(self) -> list[tuple[int, int]]:
        """The first and last line of each piece that did not run."""
        return as_ranges(self.marks.missed)


@dataclass(frozen=True, slots=True)
class SourcePages:
    """The pages of all files.

    Attributes:
        pages: in the order of the files' names.
        unavailable: files of which the examined text is nowhere to be had any more.
        crowded_out: files that nothing is to be told of, left out to keep the report small.
    """

    pages: list[SourcePage]
    unavailable: list[str]
    crowded_out: list[str]

    @classmethod
    def of(cls, record: RunRecord, texts: Mapping[str, str]) -> SourcePages:
        """Choose the files that a run tells of."""
        marks = _marks(record)
        available = texts.keys()
        texts = without_secrets(record, texts)
        order = sorted(texts, key=lambda file: (-_weight(marks[file]), file))
        chosen: set[str] = set()
        size = 0
        for file in order:
            size += len(texts[file].encode(errors="replace"))
            if size <= _MOST_BYTES:
                chosen.add(file)
        return cls(
            [
                SourcePage(file, f"source/{number:04}-{_slug(file)}.html", texts[file], marks[file])
                for number, file in enumerate(sorted(chosen), 1)
            ],
            sorted(file for file in record.sources if file not in available),
            sorted(file for file in texts if file not in chosen),
        )

    @property
    def links(self) -> dict[str, str]:
        """File -> path of its page."""
        return {page.file: page.path for page in self.pages}


def diff_lines(diff: str) -> list[str]:
    """Return the lines of a file's diff, without those that name the file."""
    return diff.removesuffix("\n").split("\n")[2:]


def _weight(marks: FileMarks) -> int:
    return len(marks.missed) + len(marks.missed_branches) + len(marks.notes)


def _slug(file: str) -> str:
    return _OTHER_SIGNS.sub("_", file)[-_LONGEST_NAME:]


def _marks(record: RunRecord) -> defaultdict[str, FileMarks]:
    marks: defaultdict[str, FileMarks] = defaultdict(FileMarks)
    measured: dict[str, dict[str, Any]] = record.detail("coverage-analyzer", "measured_lines") or {}
    notes: defaultdict[str, defaultdict[int, list[Markup]]]
    notes = defaultdict(lambda: defaultdict(list))
    for file, line, note in _notes(record):
        notes[file][line].append(note)
    for file in {*measured, *notes}:
        lines = measured.get(file, {"ran": "", "missed": "", "missed_branches": []})
        branches: defaultdict[int, list[int]] = defaultdict(list)
        for start, to in lines["missed_branches"]:
            branches[start].append(to)
        missed = frozenset(of_text(lines["missed"]))
        # Of a line that did not run no branch was taken: that is no news.
        taken = {line: to for line, to in branches.items() if line not in missed}
        marks[file] = FileMarks(frozenset(of_text(lines["ran"])), missed, taken, dict(notes[file]))
    return marks


def _notes(record: RunRecord) -> Iterator[tuple[str, int, Markup]]:
    for found in record.findings.values():
        if found.agent == "mutation-tester":
            continue
        for finding in of_details(found.details):
            if finding.line is not None:
                told = spelled_out(
                    f"{finding.level}: {finding.message} "
                    f"({finding.tool} {finding.version} {finding.rule})"
                )
                yield finding.file, finding.line, Markup("{}").format(told)
    for number, each in enumerate(record.detail("mutation-tester", "survivors")):
        told = Markup('<a href="../mutants.html#m{}">surviving mutant</a>: {} ({})')
        added = (line for line in diff_lines(each["diff"]) if line.startswith("+"))
        shown = spelled_out(next(added, each["operator"]).removeprefix("+").strip())
        run_by = "1 test runs it" if each["tests"] == 1 else f"{each['tests']} tests run it"
        yield each["file"], each["line"], told.format(number, shown, run_by)
