"""Source without the lines in which a secret was found: pages are passed on and published."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

from lionagi_qe.agents.finding import of_details
from lionagi_qe.agents.static.secrets import DETECT_SECRETS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lionagi_qe.fleet.run_record import RunRecord

_IN_PLACE = "... a secret was found in this line: it is not shown here ..."
# Of a key in several lines only the first is found.
_KEY_BEGINS = re.compile(r"BEGIN [A-Z ]*PRIVATE KEY")
_KEY_ENDS = re.compile(r"END [A-Z ]*PRIVATE KEY")
_LINE_END = re.compile(r"\r\n|\r|\n")


def without_secrets(record: RunRecord, texts: Mapping[str, str]) -> dict[str, str]:
    """Return file -> text without lines that hold secrets.

    Files that hold one and are no code that was measured (settings, data) are left out.
    """
    lines: defaultdict[str, set[int]] = defaultdict(set)
    for found in record.findings.values():
        for finding in of_details(found.details):
            if finding.tool == DETECT_SECRETS:
                lines[finding.file].add(finding.line or 0)
    measured = record.detail("coverage-analyzer", "measured_lines") or {}
    return {
        file: _without(text, lines[file]) if file in lines else text
        for file, text in texts.items()
        if file not in lines or file in measured
    }


def _without(text: str, secret: Iterable[int]) -> str:
    hidden = frozenset(secret)
    shown: list[str] = []
    within_key = False
    for number, line in enumerate(_LINE_END.split(text), 1):
        within_key = within_key or (number in hidden and bool(_KEY_BEGINS.search(line)))
        shown.append(_IN_PLACE if within_key or number in hidden else line)
        if _KEY_ENDS.search(line):
            within_key = False
    return "\n".join(shown)
