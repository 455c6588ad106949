"""What is wrong as commands of GitHub Actions, which shows them at their lines of a change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lionagi_qe.agents.execution.outcomes import BAD
from lionagi_qe.agents.finding import of_details
from lionagi_qe.display import visible
from lionagi_qe.fleet.report.failure_groups import failure_groups
from lionagi_qe.fleet.report.failure_words import place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lionagi_qe.fleet.run import Outcome

_COMMANDS = {"error": "error", "warning": "warning", "note": "notice"}
_LAST_LINES = 5


def as_annotations(outcome: Outcome, within: str = "") -> str:
    """Return a command a line: failed tests, new findings, rules of the gate that don't hold.

    Args:
        outcome: of the run.
        within: the project's place in its repository, from whose top GitHub counts files.

    """
    commands = (*_tests(outcome, within), *_findings(outcome, within), *_gate(outcome))
    return "".join(f"{command}\n" for command in commands)


def _tests(outcome: Outcome, within: str) -> Iterator[str]:
    places = {test: place(group) for group in failure_groups(outcome) for test in group["tests"]}
    for test in outcome.detail("test-executor", "tests"):
        if test["outcome"] in BAD:
            said = "\n".join(test["message"].strip().splitlines()[-_LAST_LINES:])
            file = test["id"].split("::")[0]
            raised, _, line = (places.get(test["id"]) or "").rpartition(":")
            yield _command(
                "error",
                said or test["outcome"],
                file=f"{within}{file}",
                line=line if raised == file else None,
                title=test["id"],
            )
    for file, why in dict(outcome.detail("test-executor", "uncollectable") or {}).items():
        said = "\n".join(why.strip().splitlines()[-_LAST_LINES:])
        yield _command("error", said, file=f"{within}{file}", title="tests can't be collected")


def _findings(outcome: Outcome, within: str) -> Iterator[str]:
    for found in outcome.findings.values():
        for finding in of_details(found.details):
            if not finding.known:
                yield _command(
                    _COMMANDS[finding.level],
                    finding.message,
                    file=f"{within}{finding.file}",
                    line=None if finding.line is None else str(finding.line),
                    title=f"{finding.tool} {finding.rule}",
                )


def _gate(outcome: Outcome) -> Iterator[str]:
    for ruling in outcome.detail("quality-gate", "rulings"):
        if ruling["verdict"] != "passed":
            said = f"{ruling['rule']}: {ruling['detail']}"
            yield _command("error", said, title=f"quality gate: {ruling['verdict']}")


def _command(kind: str, message: str, **properties: str | None) -> str:
    given = ",".join(
        f"{name}={_escaped(value).replace(':', '%3A').replace(',', '%2C')}"
        for name, value in properties.items()
        if value is not None
    )
    return f"::{kind} {given}::{_escaped(message)}"


def _escaped(text: str) -> str:
    # Ends of lines are escaped as the commands have it, all else as everywhere.
    lines = [visible(line) for line in text.replace("\r\n", "\n").split("\n")]
    return "\n".join(lines).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
