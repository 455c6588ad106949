"""Findings that a project knows of: a file of fingerprints, kept under version control."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.project.parsing import NOT_PARSED
from lionagi_qe.errors import ProjectError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from lionagi_qe.agents.finding import Finding

SCHEMA = 1


def as_baseline(findings: Iterable[Finding]) -> str:
    """Return the text of a baseline that lists these findings, each where and what it is."""
    known = {
        finding.fingerprint: f"{finding.tool} {finding.rule} {finding.file}" for finding in findings
    }
    ordered = dict(sorted(known.items(), key=lambda item: (item[1], item[0])))
    return json.dumps({"schema": SCHEMA, "known": ordered}, indent=2, ensure_ascii=False) + "\n"


def read_baseline(path: Path) -> frozenset[str]:
    """Return the fingerprints that a baseline lists.

    Raises:
        ProjectError: there is no such file, or it is no baseline.

    """
    try:
        document: Any = json.loads(path.read_text(encoding="utf-8"))
        schema, known = document["schema"], frozenset(document["known"])
    except OSError as error:
        raise ProjectError(
            f"{path}: the baseline can't be read: {error.strerror}; "
            "write one with aqe run --write-baseline, or take it out of [tool.aqe]"
        ) from error
    except (*NOT_PARSED, LookupError, TypeError) as error:
        raise ProjectError(
            f"{path}: is no baseline; write it anew with aqe run --write-baseline"
        ) from error
    if schema != SCHEMA:
        raise ProjectError(
            f"{path}: a baseline of schema {schema!r}, and this version reads {SCHEMA}; "
            "write it anew with aqe run --write-baseline"
        )
    return known


def marked(findings: Iterable[Finding], known: frozenset[str]) -> list[Finding]:
    """Return the findings, those that the baseline lists marked as known."""
    return [replace(finding, known=finding.fingerprint in known) for finding in findings]
