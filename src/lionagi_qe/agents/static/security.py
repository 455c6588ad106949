"""What bandit and detect-secrets find; they parse or read files, and run nothing of the project."""

from __future__ import annotations

import json
import re
import shlex
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.environment import process
from lionagi_qe.agents.finding import Finding, Level
from lionagi_qe.agents.metric import Source
from lionagi_qe.agents.project.layout import TEST_FILES, layout_of
from lionagi_qe.agents.project.settings import read_pyproject

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lionagi_qe.agents.base import Examination

BANDIT = "bandit"
DETECT_SECRETS = "detect-secrets"
_TIMEOUT = 300.0
_BANDIT_FOUND = 1
_LEVELS: dict[str, Level] = {"HIGH": "error", "MEDIUM": "warning", "LOW": "note"}
# Rules whose messages quote the password that they found.
_QUOTES = frozenset({"B105", "B106", "B107"})


@dataclass(frozen=True, slots=True)
class Scan:
    """What a tool found, or why it did not look.

    Attributes:
        source: the tool and its call.
        findings: in the tool's order, without fingerprints.
        reason: why nothing was measured, if so.
        unread: file -> why the tool could not read it.
    """

    source: Source
    findings: tuple[Finding, ...] = ()
    reason: str | None = None
    unread: tuple[tuple[str, str], ...] = ()


async def bandit(examination: Examination) -> Scan:
    """Scan the product's code, tests left out: these assert, and use throw-away passwords."""
    pristine = examination.workspace.pristine
    layout = layout_of(pristine).only(examination.environment.layout.names)
    targets = [path.relative_to(pristine).as_posix() for path in layout.packages + layout.modules]
    excluded = ",".join(f"*/{pattern.removeprefix('**/')}" for pattern in TEST_FILES)
    excluded = excluded.replace("/**", "/*")
    arguments = ["-q", "-r", *targets, "-x", excluded]
    if "bandit" in read_pyproject(pristine).get("tool", {}):
        arguments += ["-c", "pyproject.toml"]
    if not targets:
        source = Source(BANDIT, _version(BANDIT), None, examination.workspace.commit)
        return Scan(source, reason="no package or module found")
    target = examination.workspace.artifacts / "bandit.json"
    quiet = ["-f", "json", "-o", str(target)]
    scan, completed = await _run(examination, BANDIT, "bandit", arguments, quiet)
    if completed is None:
        return scan
    if completed.exit_code not in {0, _BANDIT_FOUND} or not target.exists():
        return Scan(scan.source, reason=_failure(BANDIT, completed))
    report = json.loads(target.read_text(encoding="utf-8"))
    return Scan(
        scan.source,
        tuple(_of_bandit(issue) for issue in report["results"]),
        unread=tuple((_relative(each["filename"]), each["reason"]) for each in report["errors"]),
    )


async def detect_secrets(examination: Examination) -> Scan:
    """Scan every file of the project; nothing is tried out over the network."""
    arguments = ["scan", "--all-files", "--no-verify"]
    scan, completed = await _run(examination, DETECT_SECRETS, "detect_secrets", arguments)
    if completed is None:
        return scan
    said = (examination.workspace.artifacts / f"{DETECT_SECRETS}.log").read_bytes()
    if completed.exit_code != 0:
        return Scan(scan.source, reason=_failure(DETECT_SECRETS, completed))
    try:
        report = json.loads(said)
    except ValueError:
        return Scan(scan.source, reason=f"{DETECT_SECRETS} printed no JSON: {completed.output!r}")
    found = [secret for secrets in report["results"].values() for secret in secrets]
    return Scan(scan.source, tuple(_of_secret(secret) for secret in found))


async def _run(
    examination: Examination,
    tool: str,
    module: str,
    arguments: Sequence[str],
    quiet: Sequence[str] = (),
) -> tuple[Scan, process.Completed | None]:
    """Run a tool of the fleet's own environment over the pristine copy; None if it is missing."""
    workspace = examination.workspace
    release = _version(tool)
    shown = shlex.join([tool, *arguments])
    source = Source(tool, release, shown if release else None, workspace.commit)
    if release is None:
        reason = f"{tool} is not installed beside aqe: python -m pip install {tool}"
        return Scan(source, reason=reason), None
    # -I: a module of the project that is called as one of the tool's must not be imported.
    completed = await process.run(
        [sys.executable, "-I", "-m", module, *arguments, *quiet],
        cwd=workspace.pristine,
        env=process.allowed_environment() | {"HOME": str(workspace.home)},
        log=workspace.artifacts / f"{tool}.log",
        timeout=examination.seconds(_TIMEOUT),
    )
    return Scan(source), completed


def _version(tool: str) -> str | None:
    try:
        return version(tool)
    except PackageNotFoundError:
        return None


def _failure(tool: str, completed: process.Completed) -> str:
    said = completed.output.strip().splitlines()
    return f"{tool} {completed.how}: {said[-1] if said else 'it said nothing'}"


def _of_bandit(issue: dict[str, Any]) -> Finding:
    message: str = issue["issue_text"]
    if issue["test_id"] in _QUOTES:
        message = message.partition(":")[0]
    lines: list[int] = issue["line_range"]
    return Finding(
        BANDIT,
        version(BANDIT),
        issue["test_id"],
        issue["test_name"],
        _LEVELS.get(issue["issue_severity"], "warning"),
        f"{message} (severity {issue['issue_severity'].lower()}, "
        f"confidence {issue['issue_confidence'].lower()})",
        _relative(issue["filename"]),
        issue["line_number"],
        max([*lines, issue["line_number"]]),
        issue["more_info"],
    )


def _of_secret(secret: dict[str, Any]) -> Finding:
    kind: str = secret["type"]
    return Finding(
        DETECT_SECRETS,
        version(DETECT_SECRETS),
        re.sub(r"\W+", "-", kind).strip("-").lower(),
        kind,
        "warning",
        f"Possible secret: {kind}",
        _relative(secret["filename"]),
        secret["line_number"],
        secret["line_number"],
        "https://github.com/Yelp/detect-secrets",
        fingerprint=secret["hashed_secret"],
    )


def _relative(name: str) -> str:
    return Path(name).as_posix().removeprefix("./")
