"""A run's findings as SARIF 2.1.0, one run a tool, for code hosts that annotate changes."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from lionagi_qe.agents.finding import of_details
from lionagi_qe.display import visible

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lionagi_qe.agents.finding import Finding
    from lionagi_qe.fleet.run import Outcome

VERSION = "2.1.0"
SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_BRACKETS = re.compile(r"([\\\[\]])")
_HOMES = {
    "bandit": "https://bandit.readthedocs.io",
    "detect-secrets": "https://github.com/Yelp/detect-secrets",
    "mypy": "https://mypy.readthedocs.io",
    "pyright": "https://microsoft.github.io/pyright",
    "radon": "https://radon.readthedocs.io",
}

_ROOT = "The top of the repository, or the directory that was examined where there is none."


def as_sarif(outcome: Outcome, within: str = "") -> str:
    """Return the document; a tool that did not measure is in it, with the reason.

    Args:
        outcome: of the run.
        within: the project's place in its repository, from whose top code scanning counts files.

    """
    tools: dict[str, dict[str, Any]] = {}
    findings: dict[str, list[Finding]] = {}
    for found in outcome.findings.values():
        for tool in found.details.get("tools", []):
            tools[tool["tool"]] = tool
        for finding in of_details(found.details):
            findings.setdefault(finding.tool, []).append(finding)
    log = {
        "$schema": SCHEMA,
        "version": VERSION,
        "runs": [
            _run(tool, findings.get(name, []), outcome, within) for name, tool in tools.items()
        ],
    }
    return visible(json.dumps(log, indent=2, ensure_ascii=False))


def _run(
    tool: Mapping[str, Any], findings: Sequence[Finding], outcome: Outcome, within: str
) -> dict[str, Any]:
    rules = list({finding.rule: finding for finding in findings}.values())
    numbers = {finding.rule: number for number, finding in enumerate(rules)}
    driver: dict[str, Any] = {"name": tool["tool"], "rules": [_rule(rule) for rule in rules]}
    if tool["version"] is not None:
        driver["version"] = tool["version"]
    if tool["tool"] in _HOMES:
        driver["informationUri"] = _HOMES[tool["tool"]]
    return {
        "tool": {"driver": driver},
        "automationDetails": {"id": f"aqe/{tool['tool']}/{quote(within)}{outcome.run}"},
        "columnKind": "unicodeCodePoints",
        "invocations": [_invocation(tool, outcome)],
        "originalUriBaseIds": {"SRCROOT": {"description": {"text": _ROOT}}},
        "results": [_result(finding, numbers[finding.rule], within) for finding in findings],
    }


def _unlinked(message: str) -> str:
    """Return a message in which SARIF sees no link: ``[text](target)`` would be one."""
    if "](" not in message:
        return message
    return _BRACKETS.sub(r"\\\1", message)


def _rule(finding: Finding) -> dict[str, Any]:
    rule: dict[str, Any] = {
        "id": finding.rule,
        "name": finding.name,
        "shortDescription": {"text": finding.name},
        "defaultConfiguration": {"level": finding.level},
    }
    if finding.url is not None:
        rule["helpUri"] = finding.url
    return rule


def _invocation(tool: Mapping[str, Any], outcome: Outcome) -> dict[str, Any]:
    invocation: dict[str, Any] = {
        "executionSuccessful": tool["reason"] is None,
        "startTimeUtc": outcome.at.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    if tool["command"] is not None:
        invocation["commandLine"] = tool["command"]
    if tool["reason"] is not None:
        invocation["toolExecutionNotifications"] = [
            {"level": "error", "message": {"text": f"not measured: {tool['reason']}"}}
        ]
    return invocation


def _result(finding: Finding, rule: int, within: str) -> dict[str, Any]:
    location: dict[str, Any] = {
        "artifactLocation": {
            "uri": quote(f"{within}{finding.file}", errors="surrogateescape"),
            "uriBaseId": "SRCROOT",
        }
    }
    if finding.line is not None:
        location["region"] = {
            "startLine": finding.line,
            "endLine": max(finding.end_line or finding.line, finding.line),
        }
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "ruleIndex": rule,
        "level": finding.level,
        "message": {"text": _unlinked(finding.message)},
        "locations": [{"physicalLocation": location}],
        "partialFingerprints": {"aqe/v1": finding.fingerprint},
    }
    if finding.known:
        result["suppressions"] = [
            {"kind": "external", "justification": "listed in the project's baseline"}
        ]
    return result
