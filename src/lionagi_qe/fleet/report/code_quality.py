"""A run's findings as GitLab's code-quality report, which it shows at their lines of a change.

The form is that of GitLab's documentation, "Code Quality report format".
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lionagi_qe.agents.finding import of_details
from lionagi_qe.display import visible

if TYPE_CHECKING:
    from lionagi_qe.fleet.run import Outcome

_SEVERITIES = {"error": "critical", "warning": "major", "note": "info"}


def as_code_quality(outcome: Outcome, within: str = "") -> str:
    """Return the document: findings that the project's baseline doesn't list.

    GitLab compares fingerprints with those of the target branch, to tell what a change brought.
    """
    issues = [
        {
            "description": finding.message,
            "check_name": f"{finding.tool} {finding.rule}",
            "fingerprint": finding.fingerprint,
            "severity": _SEVERITIES[finding.level],
            # GitLab wants a line; what is about a whole file is shown at its first.
            "location": {"path": f"{within}{finding.file}", "lines": {"begin": finding.line or 1}},
        }
        for found in outcome.findings.values()
        for finding in of_details(found.details)
        if not finding.known
    ]
    return visible(json.dumps(issues, indent=2, ensure_ascii=False))
