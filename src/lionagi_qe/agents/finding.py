"""A defect at a place, as a tool found it; the same form for every tool."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

# As SARIF grades: "note" is told, and weighs nothing by itself.
Level = Literal["error", "warning", "note"]
_GRAVITY: dict[Level, int] = {"error": 0, "warning": 1, "note": 2}
COMPLEXITY = "complexity"


@dataclass(frozen=True, slots=True)
class Finding:
    """One defect.

    Attributes:
        tool: that found it.
        version: of the tool.
        rule: of the tool, for example ``B324``.
        name: of the rule, in words.
        level: how grave.
        message: what is wrong; it never shows a secret.
        file: within the project, with slashes.
        line: the first one, from 1; None if it is about the file.
        end_line: the last one.
        url: where the rule is explained.
        fingerprint: the same as long as the rule and the text of the line are, wherever it moves.
        known: the project's baseline lists it.
    """

    tool: str
    version: str
    rule: str
    name: str
    level: Level
    message: str
    file: str
    line: int | None = None
    end_line: int | None = None
    url: str | None = None
    fingerprint: str = ""
    known: bool = False


def fingerprinted(findings: Iterable[Finding], source: Path) -> list[Finding]:
    """Return findings, ordered by place, each with a fingerprint of its rule, file and line.

    Those that are alike in all three are counted, so that a second one is a new one.
    """
    lines: dict[str, list[str]] = {}
    seen: Counter[str] = Counter()
    marked: list[Finding] = []
    for finding in sorted(findings, key=lambda each: (each.file, each.line or 0, each.rule)):
        if finding.file not in lines:
            lines[finding.file] = _lines(source / finding.file)
        text = finding.fingerprint or _line(lines[finding.file], finding.line)
        key = f"{finding.tool}\0{finding.rule}\0{finding.file}\0{text}"
        seen[key] += 1
        digest = hashlib.sha256(f"{key}\0{seen[key]}".encode(errors="surrogateescape"))
        marked.append(replace(finding, fingerprint=digest.hexdigest()[:24]))
    return marked


def of_details(details: Mapping[str, Any]) -> list[Finding]:
    """Return the findings that an agent left in its details, the gravest first.

    Lists are cut at their ends: what may be a danger goes before what is hard to read.
    """
    found = [Finding(**each) for each in details.get("findings", [])]
    return sorted(found, key=lambda each: (_GRAVITY[each.level], each.rule == COMPLEXITY))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        # A tool may name what is no file, the project itself for one.
        return []


def _line(lines: list[str], number: int | None) -> str:
    if number is None or not 0 < number <= len(lines):
        return ""
    return " ".join(lines[number - 1].split())
