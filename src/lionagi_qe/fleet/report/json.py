"""A run as one JSON document, for programs."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from lionagi_qe.display import visible

if TYPE_CHECKING:
    from lionagi_qe.fleet.run import Outcome

SCHEMA = 1


def as_json(outcome: Outcome, exit_code: int) -> str:
    """Return the document; ``schema`` grows when its shape changes."""
    return visible(json.dumps(_document(outcome, exit_code), indent=2, ensure_ascii=False))


def _document(outcome: Outcome, exit_code: int) -> dict[str, Any]:
    comparison = outcome.comparison
    return {
        "schema": SCHEMA,
        "run": outcome.run,
        "project": outcome.project,
        "path": str(outcome.path),
        "commit": outcome.commit,
        "at": outcome.at.isoformat(timespec="seconds"),
        "memory": outcome.memory,
        "environment": {
            "python": outcome.environment.version,
            "interpreter": str(outcome.environment.python),
            "origin": outcome.environment.origin,
            "scope": outcome.environment.layout.scope,
            "scope_origin": outcome.environment.scope_origin,
        },
        "metrics": [
            {"agent": findings.agent, **asdict(metric)}
            for findings in outcome.findings.values()
            for metric in findings.metrics
        ],
        "tests": outcome.detail("test-executor", "tests"),
        "order": _order(outcome),
        "failure_groups": outcome.detail("test-executor", "failure_groups"),
        "uncollectable": outcome.detail("test-executor", "uncollectable") or {},
        "files": outcome.detail("coverage-analyzer", "files"),
        "changed_lines": outcome.detail("coverage-analyzer", "changed_lines") or None,
        "findings": [
            finding
            for findings in outcome.findings.values()
            for finding in findings.details.get("findings", [])
        ],
        "flaky": outcome.detail("flaky-test-hunter", "flaky"),
        "not_idempotent": outcome.detail("flaky-test-hunter", "not_idempotent"),
        "selection": _details(outcome, "regression-selector"),
        "survivors": outcome.detail("mutation-tester", "survivors"),
        "generated": outcome.detail("test-generator", "tests"),
        "not_generated": outcome.detail("test-generator", "rejected"),
        "possible_bugs": outcome.detail("test-generator", "possible_bugs"),
        "gate": outcome.detail("quality-gate", "rulings"),
        "comparison": None if comparison is None else asdict(comparison),
        "notes": outcome.notes,
        "defects": outcome.defects,
        "exit_code": exit_code,
    }


def _order(outcome: Outcome) -> dict[str, str] | None:
    decided = outcome.detail("test-executor", "order")
    return {"ran": decided["ran"], "why": decided["why"]} if decided else None


def _details(outcome: Outcome, agent: str) -> dict[str, Any] | None:
    findings = outcome.findings.get(agent)
    return None if findings is None else dict(findings.details)
